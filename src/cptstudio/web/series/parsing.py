"""Bytes of metrics.jsonl to columns of numbers.

A block of whole lines is given to pyarrow's JSON reader, which parses in C++ without holding
the interpreter's lock. Whatever it does not take as it is (a torn line, a "NaN", a word where
a number belongs) is parsed line by line with the same strict parser that everything else of
the studio uses. Both give the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cptstudio import metrics
from cptstudio.run_rows import SEQ_LIMIT, row_of_line

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SEQ: Final = "seq"

_ABSENT_BITS: Final = np.uint64(0x7FF8_0000_000A_B5E7)
ABSENT: Final[float] = float(_ABSENT_BITS.view(np.float64))
"""Stands for "was not measured": a NaN of its own, told from a measured NaN by its bits."""

_NON_FINITE: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_PIECES: Final = 8
_SMALL_PIECE: Final = 64 * 1024
_ARROW_WORTH: Final = 64 * 1024
_DEEP: Final = 400
_USUAL_INNER: Final = 64


@dataclass
class Rows:
    """Rows in file order.

    Attributes:
        seq: position of each valid row in the file's own count.
        train: which of them are training rows.
        columns: of `metrics.NUMBERS`, one value a row, ABSENT where there is none.
        others: index and content of the rows that are no training rows.
        damaged: lines that hold no valid row.
    """

    seq: Integers
    train: npt.NDArray[np.bool_]
    columns: dict[str, Floats]
    others: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    damaged: int = 0

    def __len__(self) -> int:
        return len(self.seq)


def absent(count: int) -> Floats:
    """So many values that were not measured."""
    return np.full(count, _ABSENT_BITS).view(np.float64)


def is_absent(values: Floats) -> npt.NDArray[np.bool_]:
    """Return which values were not measured."""
    return np.equal(np.ascontiguousarray(values).view(np.uint64), _ABSENT_BITS)


def number(value: Any) -> float:
    """Return a measured value as a float, or ABSENT where it is none."""
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _NON_FINITE.get(value, ABSENT)
    return ABSENT


def parse_block(data: bytes) -> Rows:
    """Return the rows of a block of whole lines."""
    if len(data) >= _ARROW_WORTH:
        rows = _with_arrow(data)
        if rows is not None:
            return rows
        if len(data) > 2 * _SMALL_PIECE:
            return joined([parse_block(piece) for piece in _pieces(data)])
    return line_by_line(data)


def line_by_line(data: bytes) -> Rows:
    """Return the rows of a block of whole lines, by the strict parser."""
    found: list[dict[str, Any]] = []
    damaged = 0
    for line in data.split(b"\n")[:-1]:
        row = row_of_line(line)
        if row is None:
            damaged += 1
        else:
            found.append(row)
    return from_records(found, damaged)


def from_records(found: Sequence[dict[str, Any]], damaged: int = 0) -> Rows:
    """Return the columns of rows that are objects already."""
    train = [row["kind"] == "train" for row in found]
    return Rows(
        seq=np.array([row[SEQ] for row in found], dtype=np.int64),
        train=np.array(train, dtype=np.bool_),
        columns={name: _column(found, name) for name in metrics.NUMBERS},
        others=[(at, row) for at, row in enumerate(found) if not train[at]],
        damaged=damaged,
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of consecutive blocks as one."""
    others = []
    start = 0
    for part in parts:
        others += [(start + at, row) for at, row in part.others]
        start += len(part)
    return Rows(
        seq=np.concatenate([part.seq for part in parts]),
        train=np.concatenate([part.train for part in parts]),
        columns={
            name: np.concatenate([part.columns[name] for part in parts]) for name in metrics.NUMBERS
        },
        others=others,
        damaged=sum(part.damaged for part in parts),
    )


# A list of floats would lose the bits of ABSENT nowhere, but NumPy may: places are set instead.
def _column(found: Sequence[dict[str, Any]], name: str) -> Floats:
    values = absent(len(found))
    for at, row in enumerate(found):
        value = row.get(name)
        if value is None:
            continue
        measured = number(value)
        if measured is not ABSENT:
            values[at] = measured
    return values


def _pieces(data: bytes) -> list[bytes]:
    """The block in smaller ones, cut after a newline."""
    size = max(_SMALL_PIECE, len(data) // _PIECES)
    pieces = []
    start = 0
    while start < len(data):
        cut = data.find(b"\n", start + size)
        end = len(data) if cut < 0 else cut + 1
        pieces.append(data[start:end])
        start = end
    return pieces


def _with_arrow(data: bytes) -> Rows | None:
    """Rows by pyarrow, or None when one line or more is not what the trainer writes."""
    import pyarrow as pa
    import pyarrow.json as arrow_json

    # pyarrow takes NaN and Infinity for numbers, and JSON has no such numbers. Rows of training
    # hold neither letter, and single letters are found ten times as fast as words.
    if (b"N" in data and b"NaN" in data) or (b"I" in data and b"Inf" in data):
        return None
    text = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    # pyarrow passes over empty lines and takes two objects on one line for two rows. Where each
    # line begins and ends like an object, as many rows as lines means one in each.
    if (text[starts] != ord("{")).any() or (text[ends - 1] != ord("}")).any():
        return None
    fields = [("kind", pa.string()), (SEQ, pa.int64())]
    fields += [(name, pa.float64()) for name in metrics.NUMBERS]
    try:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=arrow_json.ParseOptions(
                explicit_schema=pa.schema(fields), unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowInvalid:
        return None
    kind, seq = table.column("kind"), table.column(SEQ)
    if kind.null_count or seq.null_count or table.num_rows != len(ends):
        return None
    seqs: Integers = seq.to_numpy()
    if len(seqs) and (int(seqs.min()) < 0 or int(seqs.max()) >= SEQ_LIMIT):
        return None
    train = np.asarray(pa.compute.equal(kind, "train").to_numpy(zero_copy_only=False), np.bool_)
    rows = Rows(seqs, train, {name: _from_arrow(table.column(name)) for name in metrics.NUMBERS})
    others = np.flatnonzero(~train)
    inner = data.count(b"{") + data.count(b"[") - len(rows)
    if inner > _DEEP + _USUAL_INNER * len(others):
        return None  # Perhaps nested too deeply in a field that pyarrow passes over.
    if len(others):
        for at in others.tolist():
            row = row_of_line(data[int(ends[at - 1]) + 1 if at else 0 : int(ends[at])])
            if row is None:
                return None
            rows.others.append((at, row))
    return rows


def _from_arrow(column: Any) -> Floats:
    values: Floats = column.to_numpy()
    if column.null_count:
        values = np.array(values)
        missing = column.is_null().to_numpy(zero_copy_only=False)
        values.view(np.uint64)[missing] = _ABSENT_BITS
    return values
