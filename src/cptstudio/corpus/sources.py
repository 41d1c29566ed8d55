"""Finds the files of a corpus, and tells what was left aside and why."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cptstudio.corpus.hub_source import HubSource
from cptstudio.corpus.left_aside import Kind, LeftAside
from cptstudio.durable import MEBIBYTE, real_path
from cptstudio.errors import UserError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SPARSE = 1024 * MEBIBYTE


@dataclass(frozen=True)
class Source:
    """A file or folder that the user gave, with what is to be made of it.

    Attributes:
        path: where it is on this machine.
        label: its name in reports in place of the path's own, such as the name that an uploaded
            file had; it may contain slashes.
        uploaded: it came with others, so it is left aside for its name like what lies in a
            folder; a copy of it is kept with the corpus, because nothing else keeps it.
        hub: where on the hub it came from.
    """

    path: Path
    label: str | None = None
    uploaded: bool = False
    hub: HubSource | None = None

    @classmethod
    def of(cls, given: Path | Source) -> Source:
        """Return what was given; a path alone is one without a label."""
        return given if isinstance(given, Source) else cls(given)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file to read; there may be millions.

    Attributes:
        location: where it is on this machine.
        label: its name in reports: the given folder's own name and the path inside it. It does
            not depend on where the folder lies.
        size: bytes.
        modified_ns: time of its last change, nanoseconds since 1970.
    """

    location: str
    label: str
    size: int
    modified_ns: int

    @property
    def path(self) -> Path:
        """Where it is on this machine."""
        return Path(self.location)


@dataclass(frozen=True)
class Skipped:
    """A file or folder in a source that is not read.

    Attributes:
        aside: its kind, when it is left aside and not one that cannot be read.
    """

    label: str
    reason: str
    aside: Kind | None = None


def find_sources(
    roots: Sequence[Path | Source],
    aside: LeftAside | None = None,
    found_one: Callable[[], None] = lambda: None,
) -> tuple[list[SourceFile], list[Skipped]]:
    """Return all regular files in the given files and folders, in the order of their labels.

    Symbolic links inside a folder are reported, not followed, so that no loop and nothing
    outside the folder is read. A given path itself may be a link: the user named it.

    Args:
        roots: what the user gave.
        aside: what is left aside.
        found_one: called for each file.

    Raises:
        UserError: a given path is not there, is known to hold secrets, or none holds a file.
    """
    aside = aside or LeftAside()
    files: list[SourceFile] = []
    skipped: list[Skipped] = []
    given = [_resolved(root, aside) for root in roots]
    taken: dict[str, int] = {}
    uploads = [one.label for one in given if one.uploaded and one.label]
    marked = aside.marked_folders(uploads)
    told: set[str] = set()
    for one in given:
        label = one.label or one.path.name
        taken[label] = taken.get(label, 0) + 1
        name = label if taken[label] == 1 else f"{label}#{taken[label]}"
        left = aside.of_path(label, marked, given=True) if one.uploaded else None
        if left is not None:
            if left[0] not in told:
                skipped.append(Skipped(printable(left[0]), left[1].reason, left[1].kind))
            told.add(left[0])
            continue
        for found in _walk(one.path, name, aside):
            if isinstance(found, SourceFile):
                files.append(found)
                found_one()
            else:
                skipped.append(found)
    if not files:
        problems = [f"{thing.label}: {thing.reason}" for thing in skipped[:20]]
        names = ", ".join(printable(one.label or str(one.path)) for one in given[:20])
        raise UserError(f"No readable file in {names}.", problems)
    # By folders, as a label has no NUL; a list for each would take three times the memory.
    files.sort(key=lambda file: file.label.replace("/", "\0"))
    return files, skipped


def path_of(roots: Sequence[Source], label: str) -> Path | None:
    """Where a file is that `find_sources` found by this label in these roots; None if unknown."""
    taken: dict[str, int] = {}
    for one in roots:
        name = one.label or one.path.name
        taken[name] = taken.get(name, 0) + 1
        shown = printable(name if taken[name] == 1 else f"{name}#{taken[name]}")
        if label == shown:
            return one.path
        if label.startswith(f"{shown}/"):
            return one.path / label.removeprefix(f"{shown}/")
    return None


def _resolved(root: Path | Source, aside: LeftAside) -> Source:
    one = Source.of(root)
    shown = printable(one.label or str(one.path))
    try:
        path = real_path(one.path.expanduser())
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"Not found: {shown}. Choose files or folders that exist.") from None
    except (OSError, RuntimeError) as error:
        # A loop of links is a RuntimeError before Python 3.13.
        reason = getattr(error, "strerror", None) or "its symbolic links form a loop"
        raise UserError(f"Could not read {shown}: {reason}.") from None
    if not one.uploaded and (left := aside.of_secret_path(path.parts)):
        raise UserError(
            f"{shown} was not read because it {left.reason}. To read it anyway, include "
            "secrets (--include secrets)."
        )
    return replace(one, path=path)


def _walk(path: Path, label: str, aside: LeftAside) -> Iterator[SourceFile | Skipped]:
    waiting = [(path, printable(label))]
    while waiting:
        here, name = waiting.pop()
        try:
            information = os.lstat(here)
            folder = stat.S_ISDIR(information.st_mode)
            left = aside.of_name(here.name, folder=folder) if here != path else None
            if folder and left is None:
                with os.scandir(here) as found:
                    entries = sorted(found, key=lambda entry: entry.name, reverse=True)
                left = aside.of_folder(e.name for e in entries) if here != path else None
                if left is None:
                    waiting += [(Path(e.path), f"{name}/{printable(e.name)}") for e in entries]
                    continue
        except OSError as error:
            yield Skipped(name, f"unreadable: {error.strerror}")
            continue
        if left is not None:
            yield Skipped(name, left.reason, left.kind)
        elif stat.S_ISREG(information.st_mode):
            if _is_sparse(information):
                reason = f"sparse file: {information.st_size:,} bytes, most of them never written"
                yield Skipped(name, reason)
            else:
                yield SourceFile(str(here), name, information.st_size, information.st_mtime_ns)
        elif stat.S_ISLNK(information.st_mode):
            yield Skipped(name, "symbolic link (not followed)")
        else:
            yield Skipped(name, f"{_kind(information.st_mode)}, not a regular file")


def _is_sparse(information: os.stat_result) -> bool:
    """Whether a large file is mostly holes, so that reading it would be reading zeros for hours.

    Documents are not compressed a hundredfold by any file system, which would look the same.
    """
    stored = information.st_blocks * 512
    return information.st_size > _SPARSE and stored * 100 < information.st_size


def printable(text: str) -> str:
    """Return a name that can be written as UTF-8 and shown anywhere, whatever bytes it has.

    Control characters would reach the terminal, and marks of direction change what is read.
    """
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", known)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "FIFO"
    return "socket" if stat.S_ISSOCK(mode) else "device"
