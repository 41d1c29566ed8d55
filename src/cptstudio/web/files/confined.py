"""Folders shown without ever leaving them: every step is opened, none is followed.

A path below a root is walked one name at a time, each opened relative to the folder before it
and never through a symbolic link. A link that is put in place between a check and its use
therefore leads nowhere (compare openat2(2), RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, which only
Linux has).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cptstudio.errors import UserError
from cptstudio.web.problems import NotFound

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SHOWN = 2000
_LOOKED_AT = 50_000
_DEPTH = 64


@dataclass(frozen=True)
class FileEntry:
    """An entry of a folder.

    Attributes:
        bytes: of a file; None for a folder.
        modified: time of its last change, Unix seconds.
    """

    name: str
    kind: Literal["folder", "file"]
    bytes: int | None
    modified: float


@dataclass(frozen=True)
class Listing:
    """A folder's entries, folders first.

    Attributes:
        truncated: there are more than are shown.
        left_out: hidden entries, links, devices and names that are no text.
    """

    entries: list[FileEntry]
    truncated: bool
    left_out: int


def names_of(path: str) -> list[str]:
    """Return the names of a relative path.

    Raises:
        UserError: it is not a plain path downwards, or leads into something hidden.
    """
    names = path.split("/") if path else []
    if len(names) > _DEPTH:
        raise UserError(f"The path has more than {_DEPTH} levels.")
    for name in names:
        if name.startswith(".") or not name or "\0" in name or len(os.fsencode(name)) > 255:
            raise UserError(
                f"{path!r} is not a path inside the folder: give names with a slash between "
                "them, none of them empty or beginning with a dot."
            )
    return names


@contextmanager
def opened(root: Path, path: str) -> Iterator[int]:
    """A descriptor of the file or folder at a path below a root, for reading.

    Raises:
        UserError: the path is malformed, leads through a link, or is neither file nor folder.
        NotFound: nothing is there.
    """
    names = names_of(path)
    descriptor = _open(root, os.O_DIRECTORY, None, root.name)
    try:
        for place, name in enumerate(names):
            last = place == len(names) - 1
            inner = _open(name, 0 if last else os.O_DIRECTORY, descriptor, name)
            os.close(descriptor)
            descriptor = inner
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise UserError(f"{path!r} is neither a file nor a folder.")
        yield descriptor
    finally:
        os.close(descriptor)


def locate(root: Path, path: str) -> Path:
    """Return the path of something below a root that is there and is reached through no link."""
    with opened(root, path):
        return root.joinpath(*names_of(path))


def listing(root: Path, path: str) -> Listing:
    """Return the entries of a folder below a root."""
    with opened(root, path) as descriptor:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise UserError(f"{path!r} is a file, not a folder.")
        entries: list[FileEntry] = []
        left_out = looked_at = 0
        with os.scandir(descriptor) as found:
            for one in found:
                looked_at += 1
                if looked_at > _LOOKED_AT:
                    break
                entry = _entry(one)
                if entry is None:
                    left_out += 1
                else:
                    entries.append(entry)
    entries.sort(key=lambda entry: (entry.kind == "file", entry.name.casefold(), entry.name))
    truncated = looked_at > _LOOKED_AT or len(entries) > _SHOWN
    return Listing(entries[:_SHOWN], truncated, left_out)


def _entry(one: os.DirEntry[str]) -> FileEntry | None:
    if one.name.startswith("."):
        return None
    try:
        one.name.encode("utf-8")
        facts = one.stat(follow_symlinks=False)
    except (OSError, UnicodeEncodeError):
        return None
    if stat.S_ISDIR(facts.st_mode):
        return FileEntry(one.name, "folder", None, facts.st_mtime)
    if stat.S_ISREG(facts.st_mode):
        return FileEntry(one.name, "file", facts.st_size, facts.st_mtime)
    return None


def _open(path: str | Path, flags: int, folder: int | None, name: str) -> int:
    try:
        return os.open(path, _FLAGS | flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise NotFound(f"{name!r} is not there (any more).") from None
        # With O_DIRECTORY a link is reported as "not a directory" on some systems.
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise UserError(
                f"{name!r} is a symbolic link or no folder; links are not followed."
            ) from None
        raise UserError(f"{name!r} cannot be opened: {error.strerror}.") from None
