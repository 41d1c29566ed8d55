"""Finds the files of a corpus, and tells what was left aside and why."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cptstudio.errors import UserError

# Written by tools, never by the author of the documents beside them.
_TOOL_FOLDERS = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv"})


@dataclass(frozen=True)
class Source:
    """A file or folder that the user gave, with what is to be made of it.

    Attributes:
        path: where it is on this machine.
        label: its name in reports in place of the path's own, such as the name that an uploaded
            file had; it may contain slashes.
        hidden: whether files and folders inside it whose names begin with a dot are read.
    """

    path: Path
    label: str | None = None
    hidden: bool = True


@dataclass(frozen=True)
class SourceFile:
    """A regular file to read.

    Attributes:
        path: where it is on this machine.
        label: its name in reports: the given folder's own name and the path inside it. It does
            not depend on where the folder lies.
        size: bytes.
        modified_ns: time of its last change, nanoseconds since 1970.
    """

    path: Path
    label: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Skipped:
    """Something that lies in a source and is not read."""

    label: str
    reason: str


def find_sources(roots: Sequence[Path | Source]) -> tuple[list[SourceFile], list[Skipped]]:
    """All regular files in the given files and folders, in the order of their labels.

    Symbolic links inside a folder are reported, not followed, so that no loop and nothing
    outside the folder is read. A given path itself may be a link: the user named it.

    Raises:
        UserError: a given path is not there, or none of them holds a file.
    """
    files: list[SourceFile] = []
    skipped: list[Skipped] = []
    given = [root if isinstance(root, Source) else Source(root) for root in roots]
    missing = [one.label or str(one.path) for one in given if not one.path.exists()]
    if missing:
        raise UserError(f"Not found: {', '.join(missing)}. Give files or folders that exist.")
    taken: dict[str, int] = {}
    for one in given:
        path = one.path.expanduser().resolve()
        label = one.label or path.name
        taken[label] = taken.get(label, 0) + 1
        name = label if taken[label] == 1 else f"{label}#{taken[label]}"
        for found in _walk(path, name, one.hidden):
            if isinstance(found, SourceFile):
                files.append(found)
            else:
                skipped.append(found)
    if not files:
        raise UserError(
            f"There is no file to read in {', '.join(one.label or str(one.path) for one in given)}."
        )
    files.sort(key=lambda file: file.label.split("/"))
    return files, skipped


def _walk(path: Path, label: str, hidden: bool) -> Iterator[SourceFile | Skipped]:
    waiting = [(path, _printable(label))]
    while waiting:
        here, name = waiting.pop()
        if not hidden and here != path and here.name.startswith("."):
            yield Skipped(name, "is hidden: its name begins with a dot")
            continue
        try:
            information = os.lstat(here)
            if stat.S_ISDIR(information.st_mode):
                if here != path and here.name in _TOOL_FOLDERS:
                    yield Skipped(name, "is a folder that tools keep for themselves")
                    continue
                entries = sorted(os.scandir(here), key=lambda entry: entry.name, reverse=True)
                waiting.extend((Path(e.path), f"{name}/{_printable(e.name)}") for e in entries)
                continue
        except OSError as error:
            yield Skipped(name, f"cannot be read: {error.strerror}")
            continue
        if stat.S_ISREG(information.st_mode):
            yield SourceFile(here, name, information.st_size, information.st_mtime_ns)
        elif stat.S_ISLNK(information.st_mode):
            yield Skipped(name, "is a symbolic link, which is not followed")
        else:
            yield Skipped(name, f"is a {_kind(information.st_mode)}, not a regular file")


def _printable(name: str) -> str:
    """A file name that can be written as UTF-8, whatever bytes it has."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "FIFO"
    return "socket" if stat.S_ISSOCK(mode) else "device"
