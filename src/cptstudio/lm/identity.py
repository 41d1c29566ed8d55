"""Which model a folder holds: the hash that a run's config.json names. Imports no MLX."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.durable import MEBIBYTE, folder_signature, sha256_of_file
from cptstudio.errors import UserError
from cptstudio.weight_files import check_present, weight_files

_OF_TOKENIZER: Final = re.compile(
    r"token|vocab|merges|special|tekken|spiece|sentencepiece|\.(model|tiktoken|bpe)$"
)
SMALL_MODEL: Final = 64 * MEBIBYTE
"""Bytes up to which a model is read each time, which takes a tenth of a second."""


@dataclass(frozen=True)
class KeptHashes:
    """The hashes of models that were read once, in a folder of the workspace.

    Large models only: 16 GB take 22 s. They hold for as long as each file's size, time of change
    and inode are what they were before the reading.

    Args:
        folder: made when something is kept; what cannot be kept is read again.
    """

    folder: Path

    def of(self, path: Path) -> dict[str, str] | None:
        """Return `model_files` of a model that was read and is as it was; None where it is not."""
        try:
            kept = durable.read_json(self._file(path))
            if kept["path"] != str(path) or kept["signature"] != _signature(path):
                return None
            return {str(name): str(digest) for name, digest in kept["files"].items()}
        except (OSError, UserError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, path: Path, signature: list[list[Any]], files: Mapping[str, str]) -> None:
        """Note what was read of a model that looked so before."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"path": str(path), "read": now, "signature": signature, "files": dict(files)}
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True, mode=0o700)
            durable.write_json(self._file(path), record, mode=0o600)

    def _file(self, path: Path) -> Path:
        return self.folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"


def kept_hashes(private: Path) -> KeptHashes:
    """Return the hashes that a workspace keeps.

    Args:
        private: the workspace's private folder.
    """
    return KeptHashes(private / "model_hashes")


def read_is_long(path: Path) -> bool:
    """Whether reading a model takes so long that nobody waits for it without being told why."""
    return sum(file.stat().st_size for file in _named(path)) > SMALL_MODEL


def model_hash(path: Path, kept: KeptHashes | None = None) -> str:
    """Return the SHA-256 over config.json and every weight file of a model folder, hexadecimal.

    Args:
        kept: as for `model_files`.
    """
    return hash_of_files(model_files(path, kept))


def model_files(
    path: Path,
    kept: KeptHashes | None = None,
    *,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Return the SHA-256 of config.json and of every weight file of a model folder, by name.

    It reads all weights, about a second for each GB, unless that was done before.

    Args:
        kept: what is known of models that were read before; added to.
        again: read them also where they are known.
        progress: called with the bytes that were read and that there are; what it raises ends it.
    """
    check_present(path)
    known = kept.of(path) if kept is not None and not again else None
    if known is not None:
        return known
    signature = _signature(path)
    files = _named(path)
    total, done = sum(size for _, size, *_ in signature), 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    found = {}
    for file in files:
        try:
            found[file.name] = sha256_of_file(durable.real_path(file), read)
        except FileNotFoundError:
            raise UserError(f"{file} is missing, so {path} is not a complete model.") from None
    if kept is not None and total > SMALL_MODEL:
        kept.keep(path, signature, found)
    return found


def _named(path: Path) -> list[Path]:
    files = [path / "config.json", *weight_files(path)]
    for file in files:
        if not file.is_file():
            raise UserError(f"{file} is missing, so {path} is not a complete model.")
    return files


def _signature(path: Path) -> list[list[Any]]:
    """Name, size, time of change and inode of each file that the hash is of."""
    names = {file.name for file in _named(path)}
    return [list(entry) for entry in folder_signature(path) if entry[0] in names]


def sizes_and_times(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of the files that the hash is of, by name: alike in a copy."""
    return {name: (size, changed) for name, size, changed, _ in _signature(path)}


def tokenizer_files(path: Path) -> dict[str, str]:
    """Return the SHA-256 of the files of a model folder that a tokenizer is made from, by name.

    config.json, which is asked for the tokenizer's class, is one of `model_files`.
    """
    return {
        file.name: sha256_of_file(durable.real_path(file))
        for file in sorted(path.iterdir())
        if _OF_TOKENIZER.search(file.name) and file.is_file()
    }


def hash_of_files(files: Mapping[str, str]) -> str:
    """Return one SHA-256 of what `model_files` gave."""
    total = hashlib.sha256()
    for name, digest in files.items():
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()
