"""Reads metrics.jsonl into columns, and rows back out of it.

Long files are parsed by two threads, a few blocks ahead of where they are appended, so memory
does not grow with the file but by its columns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from cptstudio.durable import LINE_SIZE_LIMIT, UnusableFileError, open_regular_file
from cptstudio.run_rows import row_of_line
from cptstudio.web.series import parsing
from cptstudio.web.series.columns import RunColumns
from cptstudio.web.series.parsing import Rows

SMALL: Final = 256 * 1024
"""So many bytes are read at once, and their rows kept for who follows the run."""

_FILE_SIZE_LIMIT: Final = 64 * 1024**3
_BLOCK: Final = 2 * 1024 * 1024
_THREADS: Final = 2
_CHECKED_BYTES: Final = 64
_RECENT_LINE: Final = 16 * 1024


def read_on(columns: RunColumns) -> None:
    """Read what was appended since the last time. A last line without its newline waits.

    Raises:
        UnusableFileError: something else than a regular file is there, or a huge one.
    """
    if not columns.waiting():
        return
    try:
        with open_regular_file(columns.path) as file:
            status = os.fstat(file.fileno())
            if status.st_size > _FILE_SIZE_LIMIT:
                raise UnusableFileError(columns.path, "is larger than any file of metrics")
            if not continues(file.fileno(), columns):
                columns.reset()
            read = _read_little if status.st_size - columns.offset <= SMALL else _read_much
            try:
                read(file.fileno(), columns, status.st_size)
            except BaseException:
                # The offset may be ahead of the rows.
                columns.reset()
                raise
            start = max(0, columns.offset - _CHECKED_BYTES)
            columns.before = os.pread(file.fileno(), columns.offset - start, start)
    except FileNotFoundError:
        return
    columns.mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def continues(descriptor: int, columns: RunColumns) -> bool:
    """Return whether what was read last still stands where it was read."""
    start = columns.offset - len(columns.before)
    return os.pread(descriptor, len(columns.before), start) == columns.before


def rows_after(columns: RunColumns, after_seq: int, limit: int) -> list[dict[str, Any]]:
    """Return the first current rows with a greater `seq`, as they are in the file."""
    if after_seq >= columns.recent_after:
        found = [row for row in columns.recent if row[parsing.SEQ] > after_seq]
        return found[:limit]
    found = []
    try:
        with open_regular_file(columns.path) as file:
            if not continues(file.fileno(), columns):
                return []
            for row in _rows_of_places(file.fileno(), columns, after_seq):
                found.append(row)
                if len(found) >= limit:
                    break
    except FileNotFoundError:
        return []
    return found


def current_lines(columns: RunColumns) -> Iterator[bytes]:
    """The lines of all current rows, each a JSON object, from a file that may go on meanwhile.

    What holds is decided once, at the beginning; only the block that is under way is in memory.
    The columns' lock is held for the beginning alone.
    """
    with columns.lock:
        held, seqs, places = columns.held(), columns.all_seqs().copy(), columns.places(-1)
    try:
        file = open_regular_file(columns.path)
    except FileNotFoundError:
        return
    with file:
        with columns.lock:
            if not continues(file.fileno(), columns):
                return
        for place in places:
            at = place.first_row
            data = os.pread(file.fileno(), place.end - place.start, place.start)
            for line in data.split(b"\n")[:-1]:
                if at >= len(seqs):
                    return
                # In a block without damage every line is a row that was read before.
                if place.damaged and row_of_line(line) is None:
                    continue
                wanted = held is None or held[at]
                at += 1
                # Cheaper than reading it: the word is in few lines that are no resume.
                if wanted and b'"resume"' in line:
                    row = row_of_line(line)
                    wanted = row is not None and row["kind"] != "resume"
                if wanted:
                    yield line


def _rows_of_places(
    descriptor: int, columns: RunColumns, after_seq: int
) -> Iterator[dict[str, Any]]:
    held, seqs = columns.held(), columns.all_seqs()
    for place in columns.places(after_seq):
        at = place.first_row
        data = os.pread(descriptor, place.end - place.start, place.start)
        for line in data.split(b"\n")[:-1]:
            # In a block without damage the row's number is the line's, so most are not parsed.
            wanted = at < len(seqs) and seqs[at] > after_seq and (held is None or held[at])
            if not wanted and not place.damaged:
                at += 1
                continue
            row = row_of_line(line)
            if row is None:
                continue
            at += 1
            if wanted and row["kind"] != "resume":
                yield row


def _read_little(descriptor: int, columns: RunColumns, size: int) -> None:
    for start, data in _blocks(descriptor, columns, size):
        lines = data.split(b"\n")[:-1]
        found = [row for line in lines if (row := row_of_line(line)) is not None]
        rows = parsing.from_records(found, len(lines) - len(found))
        columns.add(rows, start, start + len(data))
        columns.add_recent(found)
        if any(len(line) > _RECENT_LINE for line in lines):
            columns.forget_recent()


def _read_much(descriptor: int, columns: RunColumns, size: int) -> None:
    under_way: deque[tuple[int, int, Future[Rows]]] = deque()

    def add_first() -> None:
        start, end, future = under_way.popleft()
        columns.add(future.result(), start, end)

    with ThreadPoolExecutor(_THREADS, "metrics") as pool:
        for start, data in _blocks(descriptor, columns, size):
            future = pool.submit(parsing.parse_block, data)
            under_way.append((start, start + len(data), future))
            if len(under_way) > 2 * _THREADS:
                add_first()
        while under_way:
            add_first()
    columns.forget_recent()


def _blocks(descriptor: int, columns: RunColumns, size: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines from the columns' offset on, which is moved behind each."""
    while columns.offset < size:
        start = columns.offset
        data = os.pread(descriptor, min(_BLOCK, size - start), start)
        if not data:
            return
        end = data.rfind(b"\n") + 1
        if columns.skipping:
            # The rest of a line that was too long: it counts as one damaged line.
            first = data.find(b"\n") + 1
            columns.offset += first or len(data)
            columns.skipping = not first
            columns.damaged += bool(first)
        elif end:
            columns.offset += end
            yield start, data[:end]
        elif len(data) < _BLOCK:
            return
        else:
            data = os.pread(descriptor, min(LINE_SIZE_LIMIT + 1, size - start), start)
            end = data.rfind(b"\n") + 1
            if end:
                columns.offset += end
                yield start, data[:end]
            elif len(data) > LINE_SIZE_LIMIT:
                columns.skipping = True
            else:
                return
