"""A first picture of a long run while it is still being read: rows from all over its file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cptstudio.durable import open_regular_file
from cptstudio.web.series import parsing
from cptstudio.web.series.columns import RunColumns

_PIECES: Final = 1000
_PIECE: Final = 4096
_ENDS: Final = 64 * 1024


def sample(path: Path) -> RunColumns:
    """Columns of some thousand rows, evenly spread over the file, with its first and last.

    They are real rows, but not all: a spike of one row may be missing, and rows that a resume
    superseded may be among them.

    Raises:
        FileNotFoundError: there is no file.
        UnusableFileError: something else than a regular file is there.
    """
    columns = RunColumns(path)
    with open_regular_file(path) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        places = [round(number * size / _PIECES) for number in range(1, _PIECES)]
        pieces = [_whole_lines(os.pread(descriptor, _ENDS, 0), first=True)]
        pieces += [_whole_lines(os.pread(descriptor, _PIECE, place)) for place in places]
        pieces.append(_whole_lines(os.pread(descriptor, _ENDS, max(0, size - _ENDS))))
    columns.add(parsing.parse_block(b"".join(pieces)), 0, size)
    return columns


def _whole_lines(data: bytes, first: bool = False) -> bytes:
    start = 0 if first else data.find(b"\n") + 1
    end = data.rfind(b"\n") + 1
    return data[start:end] if start or first else b""
