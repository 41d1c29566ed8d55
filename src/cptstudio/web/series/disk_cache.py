"""Columns of a long run on disk, so that it opens at once the next time.

One file a run below .cpt-studio/cache/series: a header of JSON, then the columns one after the
other as they are in memory. It is only ever a copy: it may be deleted at any time, is used only
when metrics.jsonl is still the file it was made from, and anything odd about it means that it
is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cptstudio import metrics
from cptstudio.durable import UnusableFileError, atomic_file, open_regular_file, parse_json
from cptstudio.web.series import parsing
from cptstudio.web.series.columns import Place, RunColumns
from cptstudio.web.series.parsing import Rows

VERSION: Final = 1
_HEADER_LIMIT: Final = 64 * 1024 * 1024
_PREFIX: Final = 4096
_SUFFIX: Final = ".columns"
_ALIGNED: Final = 64


def path_of(folder: Path, run: str) -> Path:
    """Return the file of a run."""
    return folder / f"{run}{_SUFFIX}"


@dataclass(frozen=True)
class Kept:
    """Columns as they were at one moment. Arrays are never changed in place."""

    header: bytes
    arrays: Sequence[npt.NDArray[Any]]
    offset: int


def copy_of(columns: RunColumns) -> Kept | None:
    """What to keep of the columns, or None while it cannot be; the caller holds their lock."""
    if columns.mark is None or columns.skipping:
        return None
    arrays = _arrays(columns)
    header = {
        "version": VERSION,
        "file": list(columns.mark[:2]),
        "offset": columns.offset,
        "prefix": _prefix(columns.path, columns.offset),
        "before": columns.before.hex(),
        "damaged": columns.damaged,
        "count": columns.count,
        "numbers": list(metrics.NUMBERS),
        "columns": list(arrays),
        "others": columns.others(),
        "places": [
            [place.start, place.end, place.first_row, place.damaged] for place in columns.places(-1)
        ],
    }
    line = json.dumps(header, separators=(",", ":")).encode()
    line += b" " * (-(len(line) + 1) % _ALIGNED) + b"\n"
    return Kept(line, list(arrays.values()), columns.offset)


def save(kept: Kept, target: Path) -> None:
    """Write columns; `target.parent` is there.

    Raises:
        OSError: they could not be written; nothing is left behind.
    """
    with atomic_file(target, mode=0o600) as file:
        file.write(kept.header)
        for array in kept.arrays:
            file.write(np.ascontiguousarray(array).data)
            file.write(b"\0" * (-array.nbytes % _ALIGNED))


def load(columns: RunColumns, source: Path) -> bool:
    """Fill columns that are empty so far; returns whether the file could be used."""
    try:
        header, start = _header(source)
        status = os.stat(columns.path, follow_symlinks=False)
        if header["version"] != VERSION or header["file"] != [status.st_dev, status.st_ino]:
            return False
        if header["numbers"] != list(metrics.NUMBERS):
            return False  # Rows may hold what was not read when the columns were made.
        offset, count = int(header["offset"]), int(header["count"])
        if count < 1:
            return False
        if status.st_size < offset or header["prefix"] != _prefix(columns.path, offset):
            return False
        before = bytes.fromhex(header["before"])
        if _read(columns.path, offset - len(before), len(before)) != before:
            return False
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in header["columns"]:
            kind: Any = {"seq": np.int64, "train": np.bool_}.get(name, np.float64)
            # Mapped, not read: only the columns that are asked for cost memory.
            arrays[name] = np.memmap(source, kind, "r", start, (count,))
            start += -(-count * np.dtype(kind).itemsize // _ALIGNED) * _ALIGNED
        if start != source.stat().st_size:
            return False
        rows = Rows(
            arrays["seq"],
            arrays["train"],
            {
                name: arrays[name] if name in arrays else parsing.absent(count)
                for name in metrics.NUMBERS
            },
            [(int(at), row) for at, row in header["others"]],
            int(header["damaged"]),
        )
        places = [Place(*(int(value) for value in place)) for place in header["places"]]
    except (OSError, UnusableFileError, ValueError, KeyError, TypeError):
        return False
    columns.restore(rows, places, offset, before)
    columns.mark = (status.st_dev, status.st_ino, -1, -1)
    return True


def forget(folder: Path, run: str) -> None:
    """Remove what is kept of a run."""
    with suppress(OSError):
        path_of(folder, run).unlink(missing_ok=True)


def kept_runs(folder: Path) -> set[str]:
    """Runs of which something is kept."""
    try:
        names = os.listdir(folder)
    except OSError:
        return set()
    return {name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)}


def _arrays(columns: RunColumns) -> dict[str, Any]:
    arrays: dict[str, Any] = {"seq": columns.all_seqs(), "train": columns.all_train()}
    for name in metrics.NUMBERS:
        values = columns.all_values(name)
        if not parsing.is_absent(values).all():
            arrays[name] = values
    return arrays


def _header(source: Path) -> tuple[dict[str, Any], int]:
    with open_regular_file(source) as file:
        line = file.readline(_HEADER_LIMIT)
    header = parse_json(line)
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, len(line)


def _prefix(path: Path, offset: int) -> str:
    return hashlib.sha256(_read(path, 0, min(_PREFIX, offset))).hexdigest()


def _read(path: Path, start: int, count: int) -> bytes:
    with open_regular_file(path) as file:
        return os.pread(file.fileno(), count, start)
