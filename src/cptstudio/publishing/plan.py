"""What would leave the machine: every file with its size and digest, and the card. Asks nobody."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.models.card import CARD
from cptstudio.models.hub_address import check_id
from cptstudio.publishing.card import write_card
from cptstudio.publishing.subject import Subject

PUBLISHED = (
    "*.safetensors", "*.gguf", "*.json", "*.jinja", "*.tiktoken", "tokenizer.model",
    "spiece.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*", "Modelfile",
)  # fmt: skip
_NEVER = frozenset({"manifest.json", "cptstudio_origin.json", "export.json"})
"""What this studio notes for itself beside a model."""
_ADAPTER_CONFIG = "adapter_config.json"
CARD_BYTES = 256 * 1024
_JSON_BYTES = 4 * durable.MEBIBYTE
_FILES_LIMIT = 1000
_PATH = re.compile(
    r"\"((?:/(?:home|Users|root|mnt|media|Volumes|private|var|tmp)/|~/)[^\"]{1,200})\""
)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")


@dataclass(frozen=True)
class Choices:
    """What the user decides.

    Attributes:
        repo_id: such as "ada/notes-model".
        private: only those whom the owner lets in see it.
        update: the repository may be there already; its other files stay.
        data: what the user says of the data.
        license: in place of the base's; as the hub writes it.
        card: a text in place of the one written from the run.
    """

    repo_id: str
    private: bool = True
    update: bool = False
    data: str = ""
    license: str | None = None
    card: str | None = None


@dataclass(frozen=True)
class PlannedFile:
    """A file that would be published.

    Attributes:
        source: where it lies on this machine; None for what is written for the hub.
        signature: by which a change of it is seen without reading it.
        content: of what is written for the hub.
    """

    path: str
    size: int
    sha256: str
    source: str | None = None
    signature: tuple[int, ...] = ()
    content: bytes | None = None


@dataclass(frozen=True)
class Plan:
    """All that would leave the machine.

    Attributes:
        digest: of everything that is published and where to: who confirms it, confirms exactly
            this.
        left: names of files in the folder that are not published.
        warnings: sentences.
    """

    choices: Choices
    files: tuple[PlannedFile, ...]
    card: str
    digest: str
    left: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    def told(self) -> dict[str, Any]:
        """Return what is shown of it."""
        return {
            "repo_id": self.choices.repo_id,
            "private": self.choices.private,
            "update": self.choices.update,
            "files": [
                {"path": file.path, "size": file.size, "sha256": file.sha256} for file in self.files
            ],
            "bytes": self.bytes,
            "card": self.card,
            "digest": self.digest,
            "left": list(self.left),
            "warnings": list(self.warnings),
        }


def make_plan(
    subject: Subject, choices: Choices, tell: Callable[[int, int], None] = lambda done, total: None
) -> Plan:
    """Read what would be published, and say what it is.

    Args:
        tell: told the bytes that were read, and of how many.

    Raises:
        UserError: the name or the license cannot be, or a file is not to be published.
    """
    _check(choices)
    folder = Path(subject.folder)
    chosen, left = _chosen(folder)
    text, warnings = write_card(subject, choices.repo_id, choices.data, choices.license)
    text = choices.card if choices.card is not None else text
    total = sum(status.st_size for _, status in chosen)
    done = 0

    def more(size: int) -> None:
        nonlocal done
        done += size
        tell(done, total)

    files = [_written(CARD, text.encode())]
    for path, _ in chosen:
        if path.name == _ADAPTER_CONFIG:
            files.append(_adapter_config(path, subject))
            continue
        before = signature_of(path)
        digest = durable.sha256_of_file(path, more)
        if signature_of(path) != before:
            raise UserError(f"{path.name} changes while it is read: wait until it is whole.")
        files.append(PlannedFile(path.name, before[0], digest, str(path), before))
        warnings += _places_in(path)
    return Plan(choices, tuple(files), text, _digest(choices, files), tuple(left), tuple(warnings))


def _written(path: str, content: bytes) -> PlannedFile:
    digest = hashlib.sha256(content).hexdigest()
    return PlannedFile(path, len(content), digest, content=content)


def _adapter_config(path: Path, subject: Subject) -> PlannedFile:
    """An adapter's configuration that names its base by its ID in place of a folder."""
    config = durable.read_json(path, _JSON_BYTES)
    if isinstance(config, dict) and isinstance(config.get("model"), str):
        config["model"] = next(iter((*subject.bases, *subject.base_names)), "")
    return _written(path.name, durable.dump_json(config, indent=2).encode() + b"\n")


def signature_of(path: Path) -> tuple[int, ...]:
    """Return size, time of change and place of a file on its disk."""
    status = path.lstat()
    return (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


def _check(choices: Choices) -> None:
    check_id(choices.repo_id)
    if choices.repo_id.count("/") != 1:
        raise UserError(
            f"{choices.repo_id!r} names no owner: write it as your name at the hub, a slash, and "
            "the model's name, such as ada/notes-model."
        )
    if choices.license is not None and _LICENSE.fullmatch(choices.license) is None:
        raise UserError(
            f"{choices.license!r} is not a license as the hub writes it, such as apache-2.0."
        )
    if choices.card is not None and len(choices.card.encode()) > CARD_BYTES:
        raise UserError(f"The card is longer than {CARD_BYTES:,} bytes.")


def _chosen(folder: Path) -> tuple[list[tuple[Path, os.stat_result]], list[str]]:
    """The files to publish, and the names of what stays."""
    chosen, left = [], []
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from None
    for path in entries:
        name = path.name
        wanted = any(fnmatch(name, pattern) for pattern in PUBLISHED) and name not in _NEVER
        if not wanted or name.startswith(".") or path.is_dir():
            if name != CARD:
                left.append(name)
            continue
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is a link or no regular file, which is not published.")
        chosen.append((path, status))
    if not any(path.suffix in (".safetensors", ".gguf") for path, _ in chosen):
        raise UserError(f"{folder} holds no weights to publish (.safetensors or .gguf).")
    if len(chosen) > _FILES_LIMIT:
        raise UserError(f"{folder} has {len(chosen):,} files, more than a model has.")
    return chosen, left


def _places_in(path: Path) -> list[str]:
    """Warnings of folders of this machine that a file names."""
    if path.suffix != ".json" or path.name == "tokenizer.json":
        return []
    try:
        text = durable.read_bytes(path, _JSON_BYTES).decode("utf-8", "replace")
    except (OSError, UserError):
        return []
    found = list(dict.fromkeys(_PATH.findall(text)))
    return [f"{path.name} names a folder of this machine: {one}" for one in found[:3]]


def _digest(choices: Choices, files: list[PlannedFile]) -> str:
    told = {
        "repo_id": choices.repo_id,
        "private": choices.private,
        "update": choices.update,
        "files": [[file.path, file.size, file.sha256] for file in files],
    }
    return hashlib.sha256(durable.dump_json(told).encode()).hexdigest()


def plan_of_request(request: dict[str, Any], tell: Callable[[int, int], None]) -> Plan:
    """Return the plan that a program's request asks for: {"subject": ..., "choices": ...}."""
    subject = dict(request["subject"])
    for name in ("bases", "base_names"):
        subject[name] = tuple(subject[name])
    return make_plan(Subject(**subject), Choices(**request["choices"]), tell)


def request_of(subject: Subject, choices: Choices) -> dict[str, Any]:
    """Return what the programs are asked with."""
    return {"subject": asdict(subject), "choices": asdict(choices)}
