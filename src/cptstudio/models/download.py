"""Downloads a model into the workspace as a job: `python -m cptstudio.models.download`.

The request, see `job_programs`: {"id": ID, "revision": NAME|null, "base_models": FOLDER}.

Only what a model is loaded from is fetched: safetensors, configuration, tokenizer, license; no
pickle and no Python code. Files come in parts that are kept when the download ends early:

    models/base/.download-<org>--<name>/    see `staging`

so that the same download continues where it was, even when the hub has a newer commit. The
folder under models/base/ appears at the end, complete.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cptstudio import durable, job_programs
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer, TellsProgress
from cptstudio.models.fetching import Fetcher, RemoteFile
from cptstudio.models.hub import explained, understood
from cptstudio.models.hub_address import check_id, check_online, check_revision
from cptstudio.models.origin import ORIGIN, Origin, read_origin
from cptstudio.models.staging import (
    Snapshot,
    check_room,
    list_commit,
    parts_kept_in,
    remote_file,
)
from cptstudio.workspace import NAME_PATTERN, check_new_name

PARTS_PREFIX = ".download-"
"""Begins the names of the folders in which parts are kept."""
_WEIGHTS = "model*.safetensors"
_WANTED = (
    _WEIGHTS, "*.json", "*.jinja", "*.tiktoken", "tokenizer.model", "spiece.model", "merges.txt",
    "vocab.txt", "LICENSE*", "README.md",
)  # fmt: skip
_FILES_LIMIT = 2000


def download(
    model_id: str, revision: str | None, base_models: Path, answer: TellsProgress
) -> tuple[Path, int]:
    """Download a model; returns its folder and its size in bytes.

    Raises:
        UserError: it is not there, may not be read, does not fit, or the hub cannot be reached.
    """
    check_id(model_id)
    check_revision(revision or "main")
    check_online()
    answer.progress(phase="asking", final=True)
    with explained(model_id), understood():
        snapshot = _look_up(model_id, revision or "main")
    target = target_folder(base_models, model_id, snapshot.commit)
    if target.exists():
        return target, snapshot.bytes
    base_models.mkdir(parents=True, exist_ok=True)
    staging = base_models / f"{PARTS_PREFIX}{model_id.replace('/', '--')}"
    with parts_kept_in(staging, model_id) as staged:
        check_room(staged, snapshot.bytes, "The model")
        fetcher = Fetcher(model_id, snapshot.commit, staged, snapshot.files, answer)
        with explained(model_id):
            fetcher.fetch_all()
        answer.progress(phase="saving", final=True)
        _assemble(staged, snapshot, target, model_id, revision or "main")
    return target, snapshot.bytes


def target_folder(base_models: Path, model_id: str, commit: str) -> Path:
    """Return where a model goes: the name of its id, with that of its owner where it is taken.

    Raises:
        UserError: the model is there at another commit.
    """
    owner, _, name = model_id.rpartition("/")
    for candidate in (name, f"{owner}--{name}" if owner else f"{name}-hub"):
        candidate = candidate[:64]
        folder = base_models / candidate
        if NAME_PATTERN.fullmatch(candidate) is None:
            continue
        if not folder.exists():
            try:
                check_new_name(folder, "model")
            except UserError:
                continue
            return folder
        origin = read_origin(folder)
        if origin is not None and origin.id == model_id:
            if origin.commit == commit:
                return folder
            raise UserError(
                f"{model_id} already exists as {candidate} at commit {origin.commit[:8]}; "
                f"the hub has {commit[:8]}. Delete the existing one first."
            )
    raise UserError(
        f"models/base/ has other models under the names for {model_id}. Rename them first."
    )


def _look_up(model_id: str, revision: str) -> Snapshot:
    commit, listed = list_commit("model", model_id, revision)
    return Snapshot(commit, choose_files(model_id, listed))


def choose_files(model_id: str, listed: Sequence[Any]) -> list[RemoteFile]:
    """Return the files of a commit that a model is loaded from.

    Raises:
        UserError: it has no weights that can be used.
    """
    names = [entry.path for entry in listed]
    if not any(fnmatch(name, _WEIGHTS) for name in names):
        raise UserError(_no_weights(model_id, names))
    wanted = [entry for entry in listed if _is_wanted(entry.path)]
    if len(wanted) > _FILES_LIMIT:
        raise UserError(f"{model_id} has {len(wanted):,} files, more than any model has.")
    return [remote_file(entry) for entry in wanted]


def _is_wanted(name: str) -> bool:
    plain = "/" not in name and not name.startswith(".") and name != ORIGIN
    return plain and any(fnmatch(name, pattern) for pattern in _WANTED)


def _no_weights(model_id: str, names: Sequence[str]) -> str:
    if any(name.endswith(".gguf") for name in names):
        return (
            f"{model_id} has GGUF weights, which cannot be trained. Choose the original "
            "model with .safetensors files."
        )
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        return (
            f"{model_id} has only pickle weights, which can run any code when loaded. "
            "Choose a version with .safetensors files."
        )
    return f"{model_id} has no weights (model*.safetensors), so it is not a language model."


def _assemble(staged: Path, snapshot: Snapshot, target: Path, model_id: str, revision: str) -> None:
    """Make the model's folder of the whole files."""
    folder = durable.staging_path(target)
    folder.mkdir()
    try:
        for file in snapshot.files:
            _place(staged / file.digest, folder / file.name)
        origin = Origin(
            id=model_id, commit=snapshot.commit, revision=revision, downloaded=time.time()
        )
        durable.write_json(folder / ORIGIN, origin.model_dump())
        durable.commit_directory(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place(source: Path, target: Path) -> None:
    try:
        # The part stays until the folder is whole, so nothing has to come twice.
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def work(request: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """Do what the request says."""
    base_models = Path(request["base_models"])
    folder, size = download(request["id"], request.get("revision"), base_models, answer)
    return {"id": folder.name, "path": str(folder), "bytes": size}


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
