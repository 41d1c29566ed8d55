"""A run's rows, events and samples: which of them hold, the newest ones, the best one.

Rows of metrics.jsonl carry `seq` (strictly increasing in the file), `session` (which trainer
process wrote it: 0 for the first, one more for each resume), `kind` ("train", "evaluation" or
"resume") and `step` (optimizer updates done). A resumed session begins with a row of kind
"resume" that names the step it continues from and, as `after_seq`, the position of its
checkpoint in the file: what held there holds again, and everything between is superseded.
Events and samples carry session and step, and hold by the same rule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar

from cptstudio.durable import LINE_SIZE_LIMIT, MEBIBYTE, UnusableFileError, integer, parse_json
from cptstudio.json_lines import located_json_lines_backwards, read_json_lines_backwards
from cptstudio.run_files import EVENTS, METRICS, readable_manifests

Row = dict[str, Any]
TRAIN: Final = "train"
EVALUATION: Final = "evaluation"
RESUME: Final = "resume"
SEQ_LIMIT: Final = 2**53

_NEAR_ROWS: Final = 200
_SEARCH_BYTES: Final = 16 * MEBIBYTE
_Item = TypeVar("_Item")


def is_row(value: Any) -> TypeGuard[Row]:
    """Return whether a value is a row: an object with a whole `seq` and a `kind`."""
    if not isinstance(value, dict):
        return False
    seq = integer(value.get("seq"))
    return seq is not None and 0 <= seq < SEQ_LIMIT and isinstance(value.get("kind"), str)


def finite(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """Return a whole number, or None."""
    number = finite(value)
    return int(number) if number is not None and abs(number) < 2**63 else None


def row_of_line(line: bytes) -> Row | None:
    """Return the row of a line of metrics.jsonl, or None where it holds none."""
    if len(line) > LINE_SIZE_LIMIT:
        return None
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if is_row(row) else None


def resumed_after(row: Row) -> int | None:
    """Return the position that a row goes back to, or None when it is no resume row."""
    after = integer(row.get("after_seq"))
    if row["kind"] != RESUME or after is None:
        return None
    return max(-1, min(after, int(row["seq"]) - 1))


def held_spans(resumes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans (low, high) of `seq` that hold, in ascending order: low < seq <= high.

    Args:
        resumes: `seq` of the resume rows and what `resumed_after` says of them, in file order.
    """
    spans: list[tuple[int, int]] = []
    high = SEQ_LIMIT
    for own, after in reversed(list(resumes)):
        if own <= high:
            spans.append((own, high))
            high = after
    return [(-1, high), *reversed(spans)]


def newest_first(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows that hold, without the resume rows, of rows that come the last one first."""
    high = SEQ_LIMIT
    for row in rows:
        if not is_row(row) or row["seq"] > high:
            continue
        after = resumed_after(row)
        if after is not None:
            high = after
        elif row["kind"] != RESUME:
            yield row


def current_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that hold, in file order, without the resume rows."""
    return list(newest_first(reversed(rows)))[::-1]


def read_newest_first(run_directory: Path) -> Iterator[Row]:
    """Yield the rows of metrics.jsonl that hold, the last one first.

    Only the end of the file is read, as far as it is asked for, and some megabytes at most.

    Raises:
        UnusableFileError: it is no regular file, or larger than any file of rows is.
    """
    return newest_first(read_json_lines_backwards(run_directory / METRICS, _SEARCH_BYTES))


def last_seq_until(run_directory: Path, step: int) -> int:
    """Return the position of the last row that holds up to a step; 0 where none is found."""
    rows = read_newest_first(run_directory)
    return next((row["seq"] for row in rows if (whole(row.get("step")) or 0) <= step), 0)


def last_row(run_directory: Path, kind: str) -> Row | None:
    """Return the newest row of a kind that holds, if it is near the end of metrics.jsonl."""
    try:
        rows = itertools.islice(read_newest_first(run_directory), _NEAR_ROWS)
        return next((row for row in rows if row["kind"] == kind), None)
    except (OSError, UnusableFileError):
        return None


def last_seq(run_directory: Path) -> int:
    """Return the position of the last row of metrics.jsonl, or 0; read from the file's end."""
    return _last_integer(run_directory / METRICS, "seq") or 0


def last_session(run_directory: Path) -> int | None:
    """Return the number of the last trainer process that left a row or an event, or None."""
    found = [_last_integer(run_directory / name, "session") for name in (METRICS, EVENTS)]
    return max((number for number in found if number is not None), default=None)


def _last_integer(path: Path, field: str) -> int | None:
    # `seq` and `session` only grow along a file, so its last line has the largest.
    found = (integer(record.get(field)) for record in read_json_lines_backwards(path))
    return next((value for value in found if value is not None), None)


def offset_after(run_directory: Path, seq: int) -> int:
    """Return a byte offset in metrics.jsonl behind which all rows after a position lie.

    It is looked for near the file's end: 0 where it may be further in front.
    """
    rows = located_json_lines_backwards(run_directory / METRICS, _SEARCH_BYTES)
    try:
        for end, row in rows:
            found = row.get("seq")
            if isinstance(found, int) and found <= seq:
                return end
    except (OSError, UnusableFileError):
        pass
    return 0


class CurrentNotes:
    """The notes of a run's sessions (events, samples), without those that a resume superseded.

    A note of a session holds until a later session resumes from a step before the note's.
    """

    def __init__(self) -> None:
        self._notes: list[tuple[int, int, Row]] = []
        self._resumes: list[tuple[int, int]] = []

    def see(self, event: Row) -> None:
        """Take in an event: a resume supersedes notes, whether they came before or come after."""
        place = _place(event)
        if place is not None and event.get("event") == "resumed":
            self._resumes.append(place)
            self._notes = [note for note in self._notes if self._holds(*note[:2])]

    def add(self, note: Row) -> None:
        """Note something. What names no session and step is left out."""
        place = _place(note)
        if place is not None and self._holds(*place):
            self._notes.append((*place, note))

    def notes(self) -> list[Row]:
        """Return those that hold, in the order in which they were added."""
        return [note for _, _, note in self._notes]

    def _holds(self, session: int, step: int) -> bool:
        return not any(later > session and begun < step for later, begun in self._resumes)


def _place(note: Row) -> tuple[int, int] | None:
    session, step = note.get("session"), note.get("step")
    return (session, step) if isinstance(session, int) and isinstance(step, int) else None


def is_better(bits_per_byte: float | None, than: float | None) -> bool:
    """Whether a measurement is finite and lower than the best one before, if there is one."""
    if bits_per_byte is None or not math.isfinite(bits_per_byte):
        return False
    return than is None or bits_per_byte < than


def best_of(measured: Iterable[tuple[_Item, float | None]]) -> _Item | None:
    """Return the item (a checkpoint, an evaluation) with the lowest bits per byte, or None.

    The first of equals is the best, as it is while a run trains.
    """
    best, lowest = None, None
    for item, value in measured:
        if is_better(value, lowest):
            best, lowest = item, value
    return best


def best_checkpoint(complete: Iterable[Path]) -> Path | None:
    """Return the checkpoint whose evaluation was the best; one that cannot be read is none."""
    return best_of((path, one.domain_bits_per_byte) for path, one in readable_manifests(complete))
