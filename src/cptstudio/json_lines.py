"""Append-only files of one JSON object a line.

A crash can leave the last line torn. The next writer closes it with a newline before it
appends, and readers count such a line and skip it: it is reported, never merged with what
follows. A last line without its newline may still be growing, so readers hold it back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from cptstudio.durable import (
    LINE_SIZE_LIMIT,
    MEBIBYTE,
    UnusableFileError,
    dump_json,
    flush_to_disk,
    open_descriptor,
    open_regular_file,
    parse_json,
)

_BLOCK: Final = 64 * 1024
FILE_SIZE_LIMIT: Final = 64 * 1024 * MEBIBYTE
"""A file of rows is never that large: a hundred million of them. A sparse one may be."""


class JsonLinesWriter:
    """Appends objects to a file, each handed to the operating system as one whole line.

    A line survives the death of the process as soon as `append` returns; `flush_to_disk`
    makes it survive the death of the machine, and costs some forty times as much, so the
    caller decides when (a checkpoint, the end).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = open_descriptor(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.closed_torn_line = False
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._write(b"\n")
            self.closed_torn_line = True

    def append(self, record: dict[str, Any]) -> None:
        """Append one object. A full disk leaves a torn line, which the next append closes."""
        self._write(dump_json(record).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def flush_to_disk(self) -> None:
        """Force what was appended onto the disk."""
        flush_to_disk(self._descriptor)

    def close(self) -> None:
        """Close the file; appending afterwards is an error."""
        os.close(self._descriptor)


@dataclass(frozen=True)
class JsonLines:
    """The content of a JSON lines file.

    Attributes:
        records: the objects of the complete, valid lines, in file order.
        damaged: one-based line numbers that hold no JSON object, with the reason.
        end_offset: byte offset after the last complete line; give it to the next call.
    """

    records: list[dict[str, Any]]
    damaged: list[tuple[int, str]]
    end_offset: int


def _complete_lines(path: Path, offset: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (end offset, line without newline or None when too long) of complete lines."""
    with open_regular_file(path) as file:
        usable_size(path, file)
        file.seek(offset)
        while True:
            line = file.readline(LINE_SIZE_LIMIT + 1)
            if not line:
                return
            oversize = False
            while len(line) > LINE_SIZE_LIMIT and not line.endswith(b"\n"):
                oversize = True
                line = file.readline(LINE_SIZE_LIMIT + 1)
                if not line:
                    return
            if not line.endswith(b"\n"):
                return
            offset = file.tell()
            yield offset, None if oversize else line[:-1]


def usable_size(path: Path, file: IO[bytes]) -> int:
    """Return the size of an open file of rows.

    Raises:
        UnusableFileError: it is larger than any is.
    """
    size = os.fstat(file.fileno()).st_size
    if size > FILE_SIZE_LIMIT:
        raise UnusableFileError(path, f"is larger than {FILE_SIZE_LIMIT:,} bytes")
    return size


def read_json_lines(path: Path, offset: int = 0) -> JsonLines:
    """Read the complete lines from a byte offset on; a file that is not there is empty.

    Line numbers in `damaged` count from the offset.

    Raises:
        UnusableFileError: it is no regular file, or larger than any file of rows is.
    """
    records: list[dict[str, Any]] = []
    damaged: list[tuple[int, str]] = []
    for number, (end, record) in enumerate(_parsed_lines(path, offset), start=1):
        offset = end
        if isinstance(record, str):
            damaged.append((number, record))
        else:
            records.append(record)
    return JsonLines(records, damaged, offset)


def located_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a file's complete, valid lines, each with its byte offset.

    One at a time, so that a file of any length takes the memory of a line. Damaged lines are left
    out. A file that is not there is empty.

    Raises:
        UnusableFileError: it is no regular file, or larger than any file of rows is.
    """
    begin = 0
    for end, record in _parsed_lines(path, 0):
        if isinstance(record, dict):
            yield begin, record
        begin = end


def damaged_json_lines(path: Path) -> list[tuple[int, str]]:
    """Return the one-based numbers of the lines that hold no JSON object, each with the reason.

    The others are not kept, so a file of any length can be looked through.

    Raises:
        UnusableFileError: it is no regular file, or larger than any file of rows is.
    """
    lines = enumerate(_parsed_lines(path, 0), start=1)
    return [(number, reason) for number, (_, reason) in lines if isinstance(reason, str)]


def _parsed_lines(path: Path, offset: int) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield (end offset, object, or why it is none) of complete lines; none of no file."""
    try:
        for end, line in _complete_lines(path, offset):
            if line is None:
                yield end, f"longer than {LINE_SIZE_LIMIT:,} bytes"
                continue
            try:
                record = parse_json(line)
            except ValueError as error:
                yield end, str(error)
                continue
            yield end, record if isinstance(record, dict) else "not a JSON object"
    except FileNotFoundError:
        return


def read_json_lines_backwards(
    path: Path, byte_limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file's complete, valid lines, the last one first.

    Only what is asked for is read, block by block, so the end of a file of a million lines costs
    as much as that of ten. Damaged lines are left out. A file that is not there is empty.

    Args:
        byte_limit: bytes at its end to look at; None for all of it.

    Raises:
        UnusableFileError: it is no regular file, or larger than any file of rows is.
    """
    for _, record in located_json_lines_backwards(path, byte_limit):
        yield record


def located_json_lines_backwards(
    path: Path, byte_limit: int | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """As `read_json_lines_backwards`, with the byte offset behind each object's line."""
    for end, line in _complete_lines_backwards(path, byte_limit):
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield end, record


def _complete_lines_backwards(path: Path, byte_limit: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield (offset behind its newline, line without it), the last line first."""
    try:
        file = open_regular_file(path)
    except FileNotFoundError:
        return
    with file:
        position = usable_size(path, file)
        stop = 0 if byte_limit is None else max(0, position - byte_limit)
        # What lies behind the last newline is torn or still growing.
        pieces: list[bytes] | None = None
        held = end = 0
        while position > stop:
            size = min(_BLOCK, position - stop)
            position -= size
            first, *rest = os.pread(file.fileno(), size, position).split(b"\n")
            if rest:
                *whole, last = rest
                if pieces is not None and held + len(last) <= LINE_SIZE_LIMIT:
                    yield end, b"".join([last, *reversed(pieces)])
                end = position + size - len(last)
                for line in reversed(whole):
                    yield end, line
                    end -= len(line) + 1
                pieces, held = [], 0
            if pieces is not None:
                held += len(first)
                if held <= LINE_SIZE_LIMIT:
                    pieces.append(first)
                else:
                    pieces.clear()
        if position == 0 and pieces is not None and held <= LINE_SIZE_LIMIT:
            yield end, b"".join(reversed(pieces))
