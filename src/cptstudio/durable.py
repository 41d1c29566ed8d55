"""Files that survive a crash: atomic writes, append-only JSON lines, careful reading.

A write is staged beside its target, flushed to the disk, renamed over the target, and the
folder is flushed too, so that a reader sees the old content or the new one and never a part.
JSON never holds the literals NaN or Infinity, which are not JSON (RFC 8259, section 6):
non-finite numbers are written as the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cptstudio import macos
from cptstudio.errors import UserError

MEBIBYTE = 1024 * 1024
ROOM = 256 * MEBIBYTE
"""Bytes that stay free beside what is written."""
JSON_SIZE_LIMIT = 64 * MEBIBYTE
LINE_SIZE_LIMIT = 16 * MEBIBYTE
PLAIN_FILE_LIMIT = 1024 * MEBIBYTE
_LONGEST_INTEGER = 4000
"""Digits: Python itself reads 4,300 at most, and says so in its own words."""
_TEXT_SUFFIXES = frozenset({".json", ".jinja", ".jsonl", ".model", ".py", ".txt", ".vocab"})
_STAGING_MARK = ".staging-"


class UnusableFileError(UserError):
    """A file that cannot be read as what it should be: its path and the reason."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


# --- writing -------------------------------------------------------------------------------


def flush_to_disk(descriptor: int) -> None:
    """Flush one open file or folder to the disk itself."""
    if not (macos.HERE and macos.flush_to_disk(descriptor)):
        os.fsync(descriptor)


def flush_directory(path: Path) -> None:
    """Flush a folder's list of names, so that a rename inside it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flush_to_disk(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def staging_path(target: Path) -> Path:
    """Return a new name beside `target`, on the same file system, that marks it as unfinished."""
    return target.with_name(f".{target.name}{_STAGING_MARK}{os.getpid()}-{secrets.token_hex(4)}")


def is_staging_name(name: str) -> bool:
    """Return whether a name was made by `staging_path`, so what it names may be swept away."""
    return name.startswith(".") and _STAGING_MARK in name


def staging_pid(name: str) -> int | None:
    """Return the process that a name of `staging_path` was made by; None where it does not tell."""
    pid = name.rpartition(_STAGING_MARK)[2].partition("-")[0]
    return int(pid) if is_staging_name(name) and pid.isdecimal() else None


@contextmanager
def atomic_file(target: Path, mode: int = 0o644, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `target` when the block ends well, and vanishes if not.

    Args:
        lasting: it survives a power cut, too, for which the disk is waited for.
    """
    staged = staging_path(target)
    try:
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if lasting:
                flush_to_disk(file.fileno())
        os.replace(staged, target)
    except BaseException as error:
        staged.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(staged)):
            error.filename = str(target)  # What it was for, which the system does not know.
        raise
    if lasting:
        flush_directory(target.parent)


def write_bytes(target: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a whole file atomically and durably."""
    with atomic_file(target, mode) as file:
        file.write(data)


def write_json(target: Path, value: Any, mode: int = 0o644) -> None:
    """Write a value as indented JSON, atomically and durably."""
    write_bytes(target, dump_json(value, indent=2).encode() + b"\n", mode)


def write_passing_json(target: Path, value: Any) -> None:
    """Write what is true for a moment as JSON, atomically; the disk is not waited for."""
    with atomic_file(target, lasting=False) as file:
        file.write(dump_json(value).encode() + b"\n")


def flush_tree(folder: Path, more: Callable[[int], None] = lambda size: None) -> None:
    """Flush every regular file below a folder, and the folders themselves.

    Args:
        folder: the outermost one.
        more: told the bytes of every file that was flushed.
    """
    for directory, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW)
            try:
                flush_to_disk(descriptor)
                more(os.fstat(descriptor).st_size)
            finally:
                os.close(descriptor)
        flush_directory(Path(directory))


def commit_directory(staged: Path, target: Path) -> None:
    """Make a staged folder become `target`, whose former content is removed afterwards.

    The former folder is renamed aside first: between the two renames `target` is missing for
    an instant, and a crash there leaves the former content under its staging name. Where
    readers must never see that gap, commit to a fresh name and switch a pointer file instead.
    """
    flush_tree(staged)
    former: Path | None = None
    if target.exists():
        former = staging_path(target)
        os.rename(target, former)
    os.rename(staged, target)
    flush_directory(target.parent)
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def sweep_staging(folder: Path) -> list[Path]:
    """Remove what interrupted writes left in a folder; returns what was removed.

    Call it only where no other process can be writing.
    """
    removed = []
    for entry in list(os.scandir(folder)):
        if is_staging_name(entry.name):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed.append(path)
    return removed


# --- JSON ----------------------------------------------------------------------------------


def jsonable(value: Any) -> Any:
    """Return a value as our files hold it: JSON has no non-finite numbers, and no paths."""
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def integer(value: Any) -> int | None:
    """Return a whole number that JSON held; None of all else, true and false among it."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def dump_json(value: Any, indent: int | None = None) -> str:
    """JSON text in which non-finite numbers are strings and lone surrogates are escaped."""
    separators = (",", ":") if indent is None else None
    return json.dumps(jsonable(value), indent=indent, separators=separators, allow_nan=False)


def _reject_constant(literal: str) -> Any:
    raise ValueError(f"the literal {literal} is not JSON")


def _parsed(text: str | bytes, most_digits: int, **hooks: Any) -> Any:
    def integer(digits: str) -> int:
        if len(digits) > most_digits:
            raise ValueError(f"a number of {len(digits)} digits")
        return int(digits)

    try:
        return json.loads(text, parse_int=integer, **hooks)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON strictly: no NaN literals, no huge integers, no deep nesting.

    Raises:
        ValueError: with a short reason.
    """
    return _parsed(text, 30, parse_constant=_reject_constant)


def parse_foreign_json(text: str | bytes) -> Any:
    """Parse JSON as other programs write it: models, tokenizers, texts to be measured.

    Python writes the literals NaN and Infinity (the time_step_limit of Mamba 2), and transformers
    the integer nearest to 1e30 (model_max_length).

    Raises:
        ValueError: with a short reason; also for deep nesting.
    """
    return _parsed(text, _LONGEST_INTEGER)


def read_foreign_json(path: Path) -> Any:
    """Read JSON as other programs write it, also through links, as the Hugging Face cache has them.

    Raises:
        FileNotFoundError: nothing is there.
        UnusableFileError: it is no regular file, or too large.
        ValueError: it is not JSON; with a short reason.
    """
    return parse_foreign_json(read_bytes(real_path(path)))


# --- reading -------------------------------------------------------------------------------


def real_path(path: Path) -> Path:
    """Where a path leads through links; links in a circle stay, for whoever opens them to tell.

    `Path.resolve` raises a RuntimeError on these before Python 3.13.
    """
    return Path(os.path.realpath(path))


def open_descriptor(path: Path, flags: int, mode: int = 0o644) -> int:
    """Open a file as `os.open` does, if it is a regular file and not a link.

    O_NONBLOCK keeps a FIFO from blocking the open; the type is checked on the open
    descriptor, so that nothing can be swapped in between.

    Raises:
        OSError: as `os.open`; ELOOP for a link.
        UnusableFileError: a folder, FIFO or device is there.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableFileError(path, "is not a regular file")
    return descriptor


def open_regular_file(path: Path) -> io.BufferedReader:
    """Open a file for reading if it is a regular file and not a link.

    Raises:
        FileNotFoundError: nothing is there.
        UnusableFileError: a link, folder, FIFO, device, or something unreadable is there.
    """
    try:
        descriptor = open_descriptor(path, os.O_RDONLY)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise UnusableFileError(path, f"cannot be opened: {reason}") from None
    return os.fdopen(descriptor, "rb")


def check_plain_files(folder: Path, limit: int = PLAIN_FILE_LIMIT) -> None:
    """Refuse a folder in which a library that opens files by name could wait or read for ever.

    For folders that other libraries read (models, tokenizers). Links are followed, since the
    Hugging Face cache consists of them; a link to nothing is as good as no file.

    Args:
        folder: whose entries are looked at, not those of folders in it.
        limit: bytes that a text or JSON file may have.

    Raises:
        UnusableFileError: a FIFO, a device, a socket, or a text file beyond the limit.
    """
    for entry in sorted(folder.iterdir()):
        try:
            status = entry.stat()
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFileError(entry, "is not a regular file")
        if entry.suffix in _TEXT_SUFFIXES and status.st_size > limit:
            raise UnusableFileError(entry, f"is larger than {limit:,} bytes")


FolderSignature = tuple[tuple[str, int, int, int], ...]


def folder_signature(folder: Path) -> FolderSignature:
    """Name, size, time and inode of each entry of a folder: another one when a file changes.

    Links count as what they lead to, a link to nothing as no entry; a folder that cannot be read
    has none.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:
                    continue
                found.append((entry.name, status.st_size, status.st_mtime_ns, status.st_ino))
    except OSError:
        return ()
    return tuple(sorted(found))


def read_bytes(path: Path, limit: int = JSON_SIZE_LIMIT) -> bytes:
    """Read a whole regular file of at most `limit` bytes."""
    with open_regular_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UnusableFileError(path, f"is larger than {limit:,} bytes")
    return data


def read_json(path: Path, limit: int = JSON_SIZE_LIMIT) -> Any:
    """Read one JSON document.

    Raises:
        FileNotFoundError: nothing is there.
        UnusableFileError: what is there is not strict JSON, or too large.
    """
    data = read_bytes(path, limit)
    try:
        return parse_json(data)
    except ValueError as error:
        raise UnusableFileError(path, f"is not valid JSON: {error}") from None


def free_space(path: Path) -> int:
    """Return the bytes that are free on the disk of a path, which need not be there yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk of a folder has no room for.

    Args:
        needed: bytes that will be written; `ROOM` stays free beside them.
        what: needs it, for the message, such as "The model".

    Raises:
        UserError: there is less.
    """
    free = free_space(folder)
    if free < needed + ROOM:
        raise UserError(
            f"{what} needs {(needed + ROOM) / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB are "
            "free. Make room, then try again."
        )


def sha256_of_file(path: Path, more: Callable[[int], None] = lambda size: None) -> str:
    """Hexadecimal SHA-256 of a regular file's content.

    Args:
        path: the file.
        more: told of every mebibyte that was read.
    """
    digest = hashlib.sha256()
    with open_regular_file(path) as file:
        while data := file.read(MEBIBYTE):
            digest.update(data)
            more(len(data))
    return digest.hexdigest()
