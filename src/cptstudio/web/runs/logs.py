"""A run's train.log: pieces of it, lines that hold given words, and all of it.

A log may have hundreds of megabytes. Nothing here holds more than some of them: it is read in
pieces, and a search ends its counting somewhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from cptstudio import run_files
from cptstudio.durable import MEBIBYTE, open_regular_file
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.web.problems import NotFound
from cptstudio.web.runs.run_library import RunLibrary

MOST_COUNTED: Final = 100_000
_PIECE: Final = 4 * MEBIBYTE
_LONGEST_LINE: Final = 1000


def log_part(
    library: RunLibrary, run: str, count: int, before: int | None, after: int | None
) -> dict[str, Any]:
    """Return text of the run's log.

    Args:
        count: bytes at most.
        before: where the part ends; None for the end of the file.
        after: where it begins in place of that.
    """
    with _opened(library, run) as file:
        if file is None:
            return {"text": "", "start": 0, "end": 0, "size": 0}
        size = os.fstat(file.fileno()).st_size
        if after is None:
            end = size if before is None else min(before, size)
            start = max(0, end - count)
        else:
            start = min(after, size)
            end = min(size, start + count)
        data = os.pread(file.fileno(), end - start, start)
    line = data.find(b"\n") + 1
    if after is None and start and 0 < line < len(data):
        start, data = start + line, data[line:]
    last = data.rfind(b"\n") + 1
    if after is not None and start + len(data) < size and last > 0:
        data = data[:last]
    text = data.decode("utf-8", errors="replace")
    return {"text": text, "start": start, "end": start + len(data), "size": size}


def log_search(library: RunLibrary, run: str, words: str, after: int, limit: int) -> dict[str, Any]:
    """Return the lines that hold some words, in whatever case.

    Args:
        after: offset behind which the lines lie that are returned; all of them are counted.
        limit: lines that are returned at most.
    """
    lines: list[dict[str, Any]] = []
    total = size = 0
    more = capped = False
    with _opened(library, run) as file:
        if file is not None:
            size = os.fstat(file.fileno()).st_size
            for offset, line in _matching(file, size, words):
                if total == MOST_COUNTED:
                    capped = True
                    break
                total += 1
                if offset < after:
                    continue
                if len(lines) == limit:
                    more = True
                    continue
                text = line.decode("utf-8", errors="replace").rstrip("\r")
                lines.append({"offset": offset, "text": text[:_LONGEST_LINE]})
    return {"lines": lines, "total": total, "capped": capped, "more": more, "size": size}


def whole_log(library: RunLibrary, run: str) -> Iterator[bytes]:
    """Return all of the log as it is now, piece by piece.

    Raises:
        NotFound: the run has none.
    """
    with _opened(library, run) as file:
        if file is None:
            raise NotFound(f"The run {run!r} has no {run_files.LOG}.")
        descriptor = os.dup(file.fileno())

    def pieces() -> Iterator[bytes]:
        with os.fdopen(descriptor, "rb") as again:
            left = os.fstat(again.fileno()).st_size
            offset = 0
            while left > 0 and (data := os.pread(again.fileno(), min(_PIECE, left), offset)):
                offset, left = offset + len(data), left - len(data)
                yield data

    return pieces()


@contextmanager
def _opened(library: RunLibrary, run: str) -> Iterator[IO[bytes] | None]:
    """Open the log of a run of ours; None where there is none."""
    if run.startswith(ID_PREFIX):
        library.imported(run)
        yield None
        return
    try:
        file = open_regular_file(library.directory(run) / run_files.LOG)
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def _matching(file: IO[bytes], size: int, words: str) -> Iterator[tuple[int, bytes]]:
    """Yield each line that holds the words, with its offset."""
    offset, rest = 0, b""
    while offset < size:
        data = os.pread(file.fileno(), min(_PIECE, size - offset), offset)
        if not data:
            break
        begin, data = offset - len(rest), rest + data
        offset = begin + len(data)
        cut = len(data) if offset >= size else data.rfind(b"\n") + 1
        if cut == 0 and len(data) < 4 * _PIECE:
            rest = data  # A line that is longer than a piece.
            continue
        cut = cut or len(data)
        rest = data[cut:]
        at = 0
        for place in _places(data[:cut], words):
            if place < at:
                continue
            start = data.rfind(b"\n", 0, place) + 1
            at = data.find(b"\n", place, cut)
            at = cut if at < 0 else at
            yield begin + start, data[start:at]


def _places(data: bytes, words: str) -> Iterator[int]:
    """Yield where the words begin, in whatever case."""
    if words.isascii():
        # Far quicker than an expression, and the same.
        sought, lowered = words.lower().encode(), data.lower()
        place = lowered.find(sought)
        while place >= 0:
            yield place
            end = lowered.find(b"\n", place)
            place = lowered.find(sought, end) if end >= 0 else -1
        return
    letters = ({one, one.lower(), one.upper()} for one in words)
    pattern = b"".join(
        b"(?:" + b"|".join(re.escape(form.encode()) for form in sorted(forms)) + b")"
        for forms in letters
    )
    for match in re.finditer(pattern, data):
        yield match.start()
