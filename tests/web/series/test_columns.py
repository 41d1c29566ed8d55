"""Columns follow a file as `run_rows.current_rows` reads it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio import run_files, run_rows
from cptstudio.durable import UnusableFileError
from cptstudio.json_lines import read_json_lines
from cptstudio.web.series import reading
from cptstudio.web.series.columns import RunColumns
from tests.web.series.metrics_files import (
    append,
    evaluation_row,
    lines,
    resume_row,
    train_row,
    write_many,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def read(path: Path) -> RunColumns:
    columns = RunColumns(path)
    reading.read_on(columns)
    return columns


def check_against_the_file(columns: RunColumns, path: Path) -> None:
    rows = run_rows.current_rows(read_json_lines(path.parent / run_files.METRICS).records)
    train = [row for row in rows if row["kind"] == "train"]
    assert columns.seqs().tolist() == [row["seq"] for row in train]
    assert columns.column("loss").tolist() == [row["loss"] for row in train]
    assert columns.evaluations() == [row for row in rows if row["kind"] == "evaluation"]
    for after in (0, 1, columns.last_seq // 2, columns.last_seq - 1, columns.last_seq):
        fetched = reading.rows_after(columns, after, 10**6)
        assert fetched == [row for row in rows if row["seq"] > after]


def history(plan: list[int], seed: int) -> list[dict[str, Any]]:
    """Rows of several sessions: so many steps each, from a random earlier place."""
    generator = random.Random(seed)
    rows: list[dict[str, Any]] = []
    seq = step = 0
    for session, count in enumerate(plan):
        if session:
            place = generator.choice([0, *(row["seq"] for row in rows if row["kind"] != "resume")])
            step = next((row["step"] for row in rows if row["seq"] == place), 0)
            seq += 1
            rows.append(resume_row(seq, place, step, session))
        for _ in range(count):
            seq += 1
            step += 1
            made = evaluation_row if generator.random() < 0.1 else train_row
            rows.append(made(seq, step, session=session))
    return rows


@settings(deadline=None, max_examples=40)
@given(
    plan=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    cut=st.integers(1, 5),
)
def test_sessions_resumed_from_anywhere(
    tmp_path_factory: pytest.TempPathFactory, plan: list[int], seed: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "metrics.jsonl"
    data = lines(history(plan, seed))
    columns = RunColumns(path)
    path.write_bytes(b"")
    size = max(1, len(data) // cut)
    for start in range(0, len(data), size):
        with path.open("ab") as file:
            file.write(data[start : start + size])
        reading.read_on(columns)
    check_against_the_file(columns, path)
    check_against_the_file(read(path), path)


def test_a_resume_changes_the_generation_and_nothing_else_does(path: Path) -> None:
    append(path, *(train_row(seq, seq) for seq in range(1, 30)))
    columns = read(path)
    before = columns.generation
    append(path, train_row(30, 30))
    reading.read_on(columns)
    assert columns.generation == before
    assert list(columns.recent)[-1]["seq"] == 30
    append(path, resume_row(31, 10, 10), train_row(32, 11))
    reading.read_on(columns)
    assert columns.generation != before
    assert columns.column("step").tolist() == [*range(1, 11), 11]
    assert columns.recent_after >= 31, "who follows has to fetch"


def test_an_incomplete_last_line_waits(path: Path) -> None:
    data = lines([train_row(1, 1), train_row(2, 2)])
    path.write_bytes(data[:-5])
    columns = read(path)
    assert columns.last_seq == 1
    path.write_bytes(data)
    reading.read_on(columns)
    assert columns.last_seq == 2
    assert columns.damaged == 0


def test_a_torn_line_is_counted_and_costs_nothing_else(path: Path) -> None:
    append(path, train_row(1, 1))
    with path.open("ab") as file:
        file.write(b'{"seq":2,"session":0,"ki\n')
    append(path, train_row(2, 2), train_row(3, 3))
    columns = read(path)
    assert (columns.last_seq, columns.damaged) == (3, 1)
    assert [row["seq"] for row in reading.rows_after(columns, 1, 10)] == [2, 3]


@pytest.mark.parametrize("how", ["exchanged", "cut", "rewritten"])
def test_another_file_is_another_generation(path: Path, how: str) -> None:
    append(path, *(train_row(seq, seq) for seq in range(1, 50)))
    columns = read(path)
    before = columns.generation
    other = [train_row(seq, seq, loss=9.0) for seq in range(1, 60)]
    if how == "exchanged":
        fresh = path.with_name("fresh")
        append(fresh, *other)
        os.replace(fresh, path)
    elif how == "cut":
        with path.open("r+b") as file:
            file.truncate(0)
        append(path, *other[:3])
    else:
        with path.open("r+b") as file:
            file.write(lines(other))
    reading.read_on(columns)
    assert columns.generation != before
    assert set(columns.column("loss").tolist()) == {9.0}


def test_a_deleted_file_leaves_nothing(path: Path) -> None:
    append(path, train_row(1, 1))
    columns = read(path)
    before = columns.generation
    path.unlink()
    reading.read_on(columns)
    assert columns.seqs().tolist() == []
    assert columns.generation != before


def test_what_is_no_file_is_refused(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(UnusableFileError):
        read(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    append(tmp_path / "elsewhere", train_row(1, 1))
    with pytest.raises(UnusableFileError):
        read(path)


def test_a_line_without_end_is_passed_over(path: Path) -> None:
    append(path, train_row(1, 1))
    with path.open("ab") as file:
        for _ in range(20):
            file.write(b"x" * 1024 * 1024)
        file.write(b"\n")
    append(path, train_row(2, 2))
    columns = read(path)
    assert columns.seqs().tolist() == [1, 2]
    assert columns.damaged == 1


def test_long_files_are_read_the_same(path: Path) -> None:
    write_many(path, 30_000)
    append(path, resume_row(30_001, 20_000, 20_000), train_row(30_002, 20_001))
    columns = read(path)
    assert columns.column("step").tolist() == list(range(1, 20_002))
    rows = reading.rows_after(columns, 19_998, 10)
    assert [row["seq"] for row in rows] == [19_999, 20_000, 30_002]


@pytest.mark.parametrize("rows", [0, 3])
def test_a_last_block_of_damaged_lines_alone_hides_no_row(path: Path, rows: int) -> None:
    append(path, *(train_row(number, number) for number in range(1, rows + 1)))
    columns = read(path)
    with path.open("ab") as file:
        file.write(b"damaged\n" * 4)
    reading.read_on(columns)
    assert len(list(reading.current_lines(columns))) == rows
    check_against_the_file(columns, path)
