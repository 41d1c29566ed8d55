"""Measurements that are kept, so that nothing is computed twice.

    .cpt-studio/measurements/<key>.json     one model on one set of documents

The key is the SHA-256 of everything that decides the numbers. What it is made of is stored
beside them. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cptstudio import durable, run_files
from cptstudio.durable import UnusableFileError
from cptstudio.lm.identity import KeptHashes, kept_hashes, model_hash
from cptstudio.workspace import Workspace

FORMAT = 1
"""Raised when the way of measuring changes its numbers."""
_FOLDER = "measurements"
_LARGEST = 256 * durable.MEBIBYTE


class Results:
    """The measurements of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._folder = workspace.private / _FOLDER
        self._hashed: dict[Path, bytes] = {}

    def identity(self, model: Path, adapter: Path | None) -> str:
        """`model_identity`, which reads each folder once in this object's life."""
        kept = kept_hashes(self._workspace.private)
        return model_identity(model, adapter, self._hashed, kept)

    def find(self, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Return the cached result of exactly these inputs; None if there is none."""
        try:
            stored = durable.read_json(self._path(inputs), _LARGEST)
        except (FileNotFoundError, UnusableFileError):
            return None
        if not isinstance(stored, dict) or stored.get("inputs") != _complete(inputs):
            return None
        measured = stored.get("measured")
        return measured if isinstance(measured, dict) else None

    def keep(self, inputs: dict[str, Any], measured: dict[str, Any]) -> None:
        """Store a measurement with its inputs."""
        self._workspace.make(self._workspace.private, mode=0o700)
        self._workspace.make(self._folder)
        content = {"inputs": _complete(inputs), "measured": measured}
        durable.write_json(self._path(inputs), content)

    def _path(self, inputs: dict[str, Any]) -> Path:
        text = durable.dump_json(_complete(inputs))
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def _complete(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"format": FORMAT, **dict(sorted(inputs.items()))}


def model_identity(
    model: Path,
    adapter: Path | None,
    hashed: dict[Path, bytes] | None = None,
    kept: KeptHashes | None = None,
) -> str:
    """Return a hash that identifies a set of weights, hexadecimal.

    A checkpoint's manifest names the hash of each file; a folder without one is read whole.

    Args:
        model: folder of the (base) model.
        adapter: folder of an adapter on it, or None.
        hashed: what is known of folders that do not change meanwhile; added to.
        kept: hashes of large models that were read before; added to.
    """
    known = hashed if hashed is not None else {}
    total = hashlib.sha256()
    for folder in (model, adapter):
        if folder is None:
            continue
        if folder not in known:
            known[folder] = _content(folder, folder == model, kept)
        total.update(known[folder])
    return total.hexdigest()


def _content(folder: Path, whole: bool, kept: KeptHashes | None) -> bytes:
    """The hashes of a folder's weights."""
    try:
        manifest = run_files.read_manifest(folder)
    except (UnusableFileError, OSError):
        return (model_hash(folder, kept) if whole else _adapter_hash(folder)).encode()
    return b"".join(
        f"{name}\0{file.sha256}\n".encode() for name, file in sorted(manifest.files.items())
    )


def _adapter_hash(adapter: Path) -> str:
    total = hashlib.sha256()
    for name in ("adapter_config.json", "adapters.safetensors"):
        with durable.open_regular_file(durable.real_path(adapter / name)) as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
