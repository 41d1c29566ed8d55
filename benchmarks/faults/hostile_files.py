"""Something hostile stands where a file is read: the run ends in words, never hangs or crashes.

`MANAGER_READS` and `TRAINER_READS` list every file that manager, keeper and trainer open for
reading. They are held against what these processes really open, by the tests.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.faults.findings import Findings
from benchmarks.faults.server import kill_all, processes_of
from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import toy_config

RUN: Final = "run"
_SECONDS: Final = 60.0
_MEMORY_LIMIT: Final = 24 << 30
_RUN: Final = f"workspace/models/cpt/{RUN}"
_PRIVATE: Final = "workspace/.cpt-studio"
_CHECKPOINT: Final = f"{_RUN}/checkpoints/step-*"
_DOCUMENTS: Final = "parts/corpora/toy/versions/*/documents"
_TOKENS: Final = "parts/corpora/toy/versions/*/tokens/*"

MANAGER_READS: Final = (
    *(
        f"{_PRIVATE}/{name}"
        for name in (
            "imported.json",
            "imported.lock",
            "launch.lock",
            "queue.json",
            "server.lock",
            "settings.json",
            "workspace.json",
        )
    ),
    *(
        f"{_PRIVATE}/runs/{RUN}/{name}"
        for name in ("control.json", "exit.json", "keeper.json", "keeper.lock", "lock", "spec.json")
    ),
    *(
        f"{_RUN}/{name}"
        for name in (
            "config.json",
            "events.jsonl",
            "metrics.jsonl",
            "phase.json",
            "result.json",
            "trainer.lock",
        )
    ),
    "workspace/models/cpt/forgellm/CPT_ended.json",
    "imported/mlx-lm.log",
    "parts/corpora/toy/manifest.json",
    "parts/model/config.json",
    "parts/model/model.safetensors",
    "parts/model/model.safetensors.index.json",
)
"""Patterns of what the manager and the keeper read, below a base folder."""

TRAINER_READS: Final = (
    f"{_PRIVATE}/workspace.json",
    f"{_PRIVATE}/model_hashes/*.json",
    "parts/corpora/toy/manifest.json",
    *(f"{_DOCUMENTS}/{name}" for name in ("documents.npy", "frames.npy", "cuts.npy")),
    *(
        f"{_TOKENS}/{name}"
        for name in (
            "byte_lengths.npy",
            "documents.npy",
            "manifest.json",
            "offsets.npy",
            "sides.npy",
            "tokens.bin",
        )
    ),
    *(
        f"parts/model/{name}"
        for name in (
            "config.json",
            "hf_quant_config.json",
            "model.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "tokenizer_config.json",
        )
    ),
    *(
        f"{_CHECKPOINT}/{name}"
        for name in (
            "config.json",
            "manifest.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "training_state/optimizer.safetensors",
            "training_state/state.json",
        )
    ),
    *(
        f"{_RUN}/{name}"
        for name in (
            "config.json",
            "document_sums.jsonl",
            "events.jsonl",
            "metrics.jsonl",
            "phases.jsonl",
            "result.json",
            "samples.jsonl",
            "system.jsonl",
            "trainer.lock",
        )
    ),
)
"""Patterns of what the trainer reads when it resumes, below a base folder."""


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def _link_to_fifo(path: Path) -> None:
    target = path.with_name(f"{path.name}.target")
    os.mkfifo(target)
    path.symlink_to(target)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 400)


def _folder(path: Path) -> None:
    path.mkdir()


HOSTILE: Final[Mapping[str, Callable[[Path], None]]] = {
    "FIFO": _fifo,
    "link to nothing": _link_to_nothing,
    "link to a FIFO": _link_to_fifo,
    "huge file": _huge,
    "binary file": _binary,
    "folder": _folder,
}


def move_parts(parts: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Copy model and corpus below `base`; returns what configurations then need."""
    shutil.copytree(Path(parts["model_path"]).parent, base / "parts")
    corpus = dict(parts["corpus"], path=str(base / "parts" / "corpora" / "toy"))
    return dict(parts, model_path=str(base / "parts" / "model"), corpus=corpus)


def prepare(base: Path, parts: Mapping[str, Any]) -> None:
    """Train a run of a few steps below `base`, to be copied for each case."""
    manager = TrainingManager(Workspace(base / "workspace"), prevent_sleep=False)
    manager.start(toy_config(move_parts(parts, base), RUN, 12))
    _wait(manager)
    if manager.run(RUN).state.outcome != "completed":
        raise RuntimeError(f"the run to be copied is {manager.run(RUN).state}")


def hostile_resume(prepared: Path, base: Path, place: str, kind: str, findings: Findings) -> None:
    """Put something hostile in place of one file that the trainer reads, and resume.

    Args:
        prepared: what `prepare` made.
        base: a folder to make and remove.
        place: one of `TRAINER_READS`.
        kind: one of `HOSTILE`.
        findings: takes counts and violations.
    """
    # A copy at the same path: the run's configuration names its model and corpus by that.
    shutil.copytree(prepared, base, symlinks=True)
    aside = prepared.with_name(f"{prepared.name}.aside")
    prepared.rename(aside)
    base.rename(prepared)
    try:
        _resume(prepared, place, kind, findings)
    finally:
        shutil.rmtree(prepared)
        aside.rename(prepared)


def _resume(base: Path, place: str, kind: str, findings: Findings) -> None:
    case = f"{kind} at {place}"
    workspace = Workspace(base / "workspace")
    manager = TrainingManager(workspace, prevent_sleep=False)
    # From its first checkpoint: from the last one a complete run has nothing to go on with.
    target = sorted(base.glob(place))[0] if "*" in place else base / place
    checkpoint = manager.run(RUN).checkpoints()[0]
    target.unlink(missing_ok=True)
    HOSTILE[kind](target)
    log = workspace.run(RUN) / run_files.LOG
    before = log.stat().st_size
    # What reads without a limit fails by this one, and not by taking the machine's memory.
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, limits[1]))
    refused = None
    try:
        manager.resume(RUN, checkpoint, confirmed=True)
    except UserError as error:
        refused = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    findings.did("hostile files in the trainer's way")
    if refused is not None:
        findings.check("a refusal names the file", target.name in refused, f"{case}: {refused}")
        return
    ended = _wait(manager)
    findings.check("a trainer never hangs", ended, f"{case}: it still runs")
    if not ended:
        kill_all(set().union(*processes_of(workspace)))
        _wait(manager)
        return
    run = manager.run(RUN)
    findings.check("it ends by itself", _by_itself(run), f"{case}: {run.state}, {run.exit}")
    with log.open("rb") as file:
        file.seek(before)
        said = file.read().decode("utf-8", "replace")
    findings.check("it says so in words", "Traceback" not in said, f"{case}: {said[-1500:]}")


def _by_itself(run: Run) -> bool:
    return run.state.name == "ended" and run.exit is not None and run.exit.signal is None


def _wait(manager: TrainingManager) -> bool:
    deadline = time.monotonic() + _SECONDS
    while any(run.lock_held for run in manager.runs()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
