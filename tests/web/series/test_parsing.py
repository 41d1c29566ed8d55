"""Both ways from bytes to columns give the same, whatever is in the lines."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cptstudio.metrics import NUMBERS
from cptstudio.web.series import parsing
from tests.web.series.metrics_files import evaluation_row, lines, resume_row, train_row

HOSTILE_LINES = [
    b"",
    b"{",
    b'{"seq":1}',
    b'{"seq":"1","kind":"train"}',
    b'{"seq":true,"kind":"train"}',
    b'{"seq":-3,"kind":"train"}',
    b'{"seq":99999999999999999999,"kind":"train"}',
    b'{"seq":5,"kind":7}',
    b"[1,2]",
    b'"text"',
    b'{"seq":5,"kind":"train","loss":NaN}',
    b'{"seq":5,"kind":"train","loss":1e999}',
    b'{"seq":5,"kind":"train","loss":"NaN"}',
    b'{"seq":5,"kind":"train","loss":"five"}',
    b'{"seq":5,"kind":"train","loss":[1]}',
    b'{"seq":5,"kind":"train","loss":{"a":1}}',
    b'{"seq":5,"kind":"train","loss":true}',
    b'{"seq":5,"kind":"train","loss":null}',
    b'{"seq":5,"kind":"train","loss":123456789012345678901234567890}',
    b'{"seq":5,"kind":"train","step":"x","tokens_seen":-1}',
    b'{"seq":5,"kind":"train","loss":1}{"seq":6,"kind":"train"}',
    b'{"seq":5,"kind":"train","loss":1,"loss":2}',
    b'{"seq":5,"kind":"\xff"}',
    b"\x00\x01",
    b'{"seq":5,"kind":"train","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"seq":5,"kind":"evaluation","corpora":7}',
    b'{"seq":5,"kind":"resume","after_seq":"x"}',
    b'{"seq":5,"kind":"train","loss":1.5}\r',
    b'{"seq":5.0,"kind":"train"}',
    b'{"seq":5,"kind":"train","x":',
    b'{"a":1}}',
    b" ",
]
EMPTY, TWO, BEGINNING, END, BLANK = 0, 20, -3, -2, -1


def same(one: parsing.Rows, other: parsing.Rows) -> None:
    assert one.seq.tolist() == other.seq.tolist()
    assert one.train.tolist() == other.train.tolist()
    assert one.others == other.others
    assert one.damaged == other.damaged
    for name in NUMBERS:
        bits, others = one.columns[name].view(np.uint64), other.columns[name].view(np.uint64)
        nan = np.isnan(one.columns[name]) & ~parsing.is_absent(one.columns[name])
        assert (bits[~nan] == others[~nan]).all(), name
        assert np.isnan(other.columns[name][nan]).all()


def block(count: int) -> bytes:
    rows: list[dict[str, Any]] = [train_row(seq, seq) for seq in range(1, count)]
    rows.insert(count // 2, evaluation_row(count, count // 2))
    rows.append(resume_row(count + 1, 3, 3))
    return lines(rows)


def test_pyarrow_and_the_strict_parser_agree_on_what_trainers_write() -> None:
    data = block(800)
    assert len(data) > 64 * 1024
    parsed = parsing._with_arrow(data)
    assert parsed is not None, "the quick way is taken"
    same(parsed, parsing.line_by_line(data))
    assert len(parsed.others) == 2
    assert parsing.is_absent(parsed.columns["iterations_per_second"]).all()


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 700), st.sampled_from(range(len(HOSTILE_LINES)))), max_size=4)
)
# Two on one line, and one line less elsewhere.
@example([(9, EMPTY), (3, TWO)])
@example([(9, BLANK), (3, TWO)])
@example([(9, END), (9, BEGINNING), (3, TWO)])
def test_one_bad_line_spoils_nothing_else(places: list[tuple[int, int]]) -> None:
    rows = block(700).split(b"\n")[:-1]
    for at, which in places:
        rows.insert(at, HOSTILE_LINES[which])
    data = b"\n".join(rows) + b"\n"
    same(parsing.parse_block(data), parsing.line_by_line(data))


def test_every_hostile_line_alone() -> None:
    for line in HOSTILE_LINES:
        found = parsing.line_by_line(line + b"\n")
        assert len(found) + found.damaged == 1, line
    for value, text in ((float("nan"), "NaN"), (float("-inf"), "-Infinity")):
        row = json.dumps({"seq": 1, "kind": "train", "loss": text}).encode() + b"\n"
        read = parsing.line_by_line(row).columns["loss"]
        assert not parsing.is_absent(read).any()
        assert np.array_equal(read, [value], equal_nan=True)


def test_absent_is_not_a_measured_nan() -> None:
    values = parsing.absent(3)
    values[1] = float("nan")
    values[2] = 0.0
    assert parsing.is_absent(values).tolist() == [True, False, False]
    assert parsing.is_absent(np.concatenate([values, values])).sum() == 2
