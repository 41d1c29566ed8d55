"""Which model a folder holds: the hash that a run's config.json names. Imports no MLX."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cptstudio.durable import FolderSignature, folder_signature, open_regular_file
from cptstudio.lm.description import check_present, weight_files

_kept: dict[Path, tuple[FolderSignature, str]] = {}


def model_hash(path: Path) -> str:
    """SHA-256 over config.json and every weight file of a model folder, hexadecimal.

    It reads all weights: about a second for each GB.
    """
    check_present(path)
    total = hashlib.sha256()
    for file in [path / "config.json", *weight_files(path)]:
        with open_regular_file(file.resolve()) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{file.name}\0{digest}\n".encode())
    return total.hexdigest()


def known_model_hash(path: Path) -> str:
    """`model_hash`, kept by this process for as long as the folder's files stay as they are.

    A server that prepares many runs of one model reads it once. Whoever must be sure of what is on
    disk, as the training program, asks `model_hash`.
    """
    signature = folder_signature(path)
    kept = _kept.get(path)
    if kept is None or kept[0] != signature:
        # Of before the reading: what changes meanwhile is read again the next time.
        kept = _kept[path] = (signature, model_hash(path))
    return kept[1]
