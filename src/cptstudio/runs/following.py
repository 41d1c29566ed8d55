"""Follows a growing file of JSON lines from where it was.

What may happen to the file meanwhile is noticed and told: it is exchanged for another one,
cut off, torn in the middle of a line, deleted, or replaced by something that is no regular
file. A last line without its newline is held back until it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio.durable import (
    LINE_SIZE_LIMIT,
    MEBIBYTE,
    UnusableFileError,
    open_regular_file,
    parse_json,
)
from cptstudio.json_lines import usable_size

_CHUNK = 4 * MEBIBYTE


@dataclass(frozen=True)
class News:
    """The news found in a file.

    Attributes:
        records: the objects of the lines that were completed since the last look.
        restarted: the file was cut off or exchanged; `records` begin at its beginning.
        problems: lines or files that could not be read, each with its reason.
    """

    records: tuple[dict[str, Any], ...] = ()
    restarted: bool = False
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.records or self.restarted or self.problems)


_NOTHING = News()


class Follower:
    """Follows one file; nothing is read twice, nothing is read while nothing changed.

    Args:
        begin: offset of a line's beginning; what lies before it is not read.
        sought: only lines that hold one of these are parsed; a plain search is much quicker.
    """

    def __init__(self, path: Path, begin: int = 0, sought: Sequence[bytes] = ()) -> None:
        self.path = path
        self._sought = tuple(sought)
        self._seen: tuple[int, int, int, int] | None = None
        self._offset = begin
        self._rest = b""
        self._skipping = False
        self._refused: str | None = None
        self.caught_up = False

    def look(self) -> News:
        """Return the news since the last look, at most some megabytes; see `caught_up`."""
        self.caught_up = True
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            # Deleted, or not written yet; whatever comes next is a new file.
            return _NOTHING
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if mark == self._seen:
            return _NOTHING
        restarted = status.st_size < self._offset or (
            self._seen is not None and mark[:2] != self._seen[:2]
        )
        if restarted:
            self._offset, self._rest, self._skipping = 0, b"", False
        try:
            records, problems, at_end = self._read((status.st_dev, status.st_ino))
        except FileNotFoundError:
            return _NOTHING
        except UnusableFileError as error:
            told, self._refused = self._refused, str(error)
            return _NOTHING if told == self._refused else News(problems=(str(error),))
        self._refused = None
        # Not at the end (a bounded chunk, or exchanged meanwhile): look again next time.
        self._seen = mark if at_end else (*mark[:2], -1, -1)
        self.caught_up = at_end
        return News(tuple(records), restarted, tuple(problems))

    def look_to_the_end(self) -> Iterator[News]:
        """Look until there is nothing new."""
        while True:
            if news := self.look():
                yield news
            if self.caught_up:
                return

    def _read(self, expected: tuple[int, int]) -> tuple[list[dict[str, Any]], list[str], bool]:
        with open_regular_file(self.path) as file:
            usable_size(self.path, file)
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != expected:
                return [], [], False
            data = os.pread(file.fileno(), _CHUNK, self._offset)
        self._offset += len(data)
        records: list[dict[str, Any]] = []
        problems: list[str] = []
        first, last = data.find(b"\n"), data.rfind(b"\n")
        if first < 0:
            self._rest += data
        else:
            head, self._rest = self._rest + data[:first], data[last + 1 :]
            lines = [] if self._skipping else self._lines(head, 0, len(head))
            self._skipping = False
            for line in lines + (self._lines(data, first + 1, last) if first < last else []):
                self._parse(line, records, problems)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > LINE_SIZE_LIMIT:
            problems.append(f"{self.path}: a line is longer than {LINE_SIZE_LIMIT:,} bytes")
            self._rest, self._skipping = b"", True
        return records, problems, len(data) < _CHUNK

    def _lines(self, data: bytes, begin: int, end: int) -> list[bytes]:
        """The lines between two places, or those that are sought."""
        if not self._sought:
            return data[begin:end].split(b"\n")
        found = {}
        for word in self._sought:
            at = data.find(word, begin, end)
            while at >= 0:
                start, stop = data.rfind(b"\n", begin, at) + 1, data.find(b"\n", at, end)
                stop = end if stop < 0 else stop
                found[max(begin, start)] = data[max(begin, start) : stop]
                at = data.find(word, stop, end)
        return [found[start] for start in sorted(found)]

    def _parse(self, line: bytes, records: list[dict[str, Any]], problems: list[str]) -> None:
        try:
            record = parse_json(line)
        except ValueError as error:
            problems.append(f"{self.path}: skipped a damaged line: {error}")
            return
        if isinstance(record, dict):
            records.append(record)
        else:
            problems.append(f"{self.path}: skipped a line that is not a JSON object")
