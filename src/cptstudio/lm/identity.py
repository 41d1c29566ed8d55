"""Which model a folder holds: the hash that a run's config.json names. Imports no MLX."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cptstudio.durable import FolderSignature, folder_signature, sha256_of_file
from cptstudio.errors import UserError
from cptstudio.weight_files import check_present, weight_files

_OF_TOKENIZER: Final = re.compile(
    r"token|vocab|merges|special|tekken|spiece|sentencepiece|\.(model|tiktoken|bpe)$"
)
_kept: dict[Path, tuple[FolderSignature, dict[str, str]]] = {}


def model_hash(path: Path) -> str:
    """SHA-256 over config.json and every weight file of a model folder, hexadecimal."""
    return hash_of_files(model_files(path))


def model_files(path: Path) -> dict[str, str]:
    """SHA-256 of config.json and of every weight file of a model folder, by name.

    It reads all weights: about a second for each GB.
    """
    check_present(path)
    found = {}
    for file in [path / "config.json", *weight_files(path)]:
        try:
            found[file.name] = sha256_of_file(file.resolve())
        except FileNotFoundError:
            raise UserError(f"{file} is not there: {path} is no complete model.") from None
    return found


def tokenizer_files(path: Path) -> dict[str, str]:
    """SHA-256 of the files of a model folder that a tokenizer is made from, by name.

    config.json, which is asked for the tokenizer's class, is one of `model_files`.
    """
    return {
        file.name: sha256_of_file(file.resolve())
        for file in sorted(path.iterdir())
        if _OF_TOKENIZER.search(file.name) and file.is_file()
    }


def hash_of_files(files: Mapping[str, str]) -> str:
    """One SHA-256 of what `model_files` gave."""
    total = hashlib.sha256()
    for name, digest in files.items():
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


def known_model_files(path: Path) -> dict[str, str]:
    """`model_files`, kept by this process for as long as the folder's files stay as they are.

    A server that prepares many runs of one model reads it once. Whoever must be sure of what is on
    disk, as the training program, asks `model_files`.
    """
    signature = folder_signature(path)
    kept = _kept.get(path)
    if kept is None or kept[0] != signature:
        # Of before the reading: what changes meanwhile is read again the next time.
        kept = _kept[path] = (signature, model_files(path))
    return kept[1]
