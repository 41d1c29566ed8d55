"""Long runs: a first picture, then all of it; kept on disk, and only as long as it is true."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from cptstudio import metrics
from cptstudio.web.series import first_picture, reading
from cptstudio.web.series.answers import SeriesQuery, answer
from cptstudio.web.series.library import SeriesLibrary
from cptstudio.workspace import Workspace
from tests.web.series.metrics_files import append, resume_row, train_row, write_many
from tests.web.server_process import wait_for

ROWS = 40_000
SPIKE_AT = 12_345


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "metrics.jsonl"
    write_many(path, ROWS, spike_at=SPIKE_AT)
    return path


@pytest.fixture
def workspace(tmp_path: Path, long_file: Path) -> Workspace:
    made = Workspace(tmp_path)
    made.run("long").mkdir(parents=True)
    shutil.copy(long_file, made.run("long"))
    return made


def settled() -> None:
    """Wait for the threads of libraries."""
    for thread in threading.enumerate():
        if thread.name.startswith("metrics-"):
            thread.join()


def kept(workspace: Workspace) -> Path:
    return workspace.private / "cache" / "series" / "long.columns"


def test_without_patience_there_is_a_first_picture_and_then_all(workspace: Workspace) -> None:
    library = SeriesLibrary(workspace)
    directory = workspace.run("long")
    found = library.answer("long", directory, SeriesQuery(), patience=0.0)
    if not found["complete"]:
        assert found["total"] > 1000
        assert found["last_seq"] == ROWS
    found = library.answer("long", directory, SeriesQuery())
    assert found["complete"]
    assert found["total"] == ROWS
    assert max(found["keys"]["loss"]["max"]) == 50.0
    settled()


def test_the_first_picture_is_real_rows_from_end_to_end(workspace: Workspace) -> None:
    columns = first_picture.sample(workspace.run("long") / "metrics.jsonl")
    steps = columns.column("step")
    assert steps[0] == 1
    assert steps[-1] == ROWS
    assert (steps[1:] - steps[:-1]).max() < ROWS / 200
    assert columns.damaged == 0


def test_nothing_is_written_before_somebody_looks(workspace: Workspace) -> None:
    SeriesLibrary(workspace)
    assert not workspace.private.exists()


def test_kept_columns_answer_the_same(workspace: Workspace) -> None:
    directory = workspace.run("long")
    append(directory / "metrics.jsonl", resume_row(ROWS + 1, 30_000, 30_000))
    append(directory / "metrics.jsonl", train_row(ROWS + 2, 30_001))
    first = SeriesLibrary(workspace).answer("long", directory, SeriesQuery())
    settled()
    assert kept(workspace).is_file()
    assert kept(workspace).stat().st_mode & 0o077 == 0
    append(directory / "metrics.jsonl", train_row(ROWS + 3, 30_002, loss=77.0))
    library = SeriesLibrary(workspace)
    columns = library.columns("long", directory)
    assert columns is not None
    read = columns.offset
    again = answer(columns, SeriesQuery())
    assert again["total"] == first["total"] + 1
    assert max(again["keys"]["loss"]["max"]) == 77.0
    assert again["x_max"] == 30_002
    rows = reading.rows_after(columns, 29_999, 10)
    assert [row["seq"] for row in rows] == [30_000, ROWS + 2, ROWS + 3]
    assert read == (directory / "metrics.jsonl").stat().st_size
    settled()


@pytest.mark.parametrize("damage", ["cut", "header", "other file", "rewritten end", "garbage"])
def test_kept_columns_that_are_not_of_this_file_are_not_used(
    workspace: Workspace, damage: str
) -> None:
    directory = workspace.run("long")
    rows = directory / "metrics.jsonl"
    SeriesLibrary(workspace).answer("long", directory, SeriesQuery())
    settled()
    file = kept(workspace)
    if damage == "cut":
        os.truncate(file, file.stat().st_size - 1000)
    elif damage == "header":
        data = bytearray(file.read_bytes())
        data[2:12] = b"0123456789"
        file.write_bytes(data)
    elif damage == "other file":
        shutil.copy(rows, directory / "copy")
        os.replace(directory / "copy", rows)
    elif damage == "rewritten end":
        with rows.open("r+b") as opened:
            opened.seek(-300, os.SEEK_END)
            opened.write(b"x" * 200)
    else:
        file.write_bytes(os.urandom(100_000))
    columns = SeriesLibrary(workspace).columns("long", directory)
    assert columns is not None
    steps = columns.column("step").tolist()
    assert steps[:3] == [1, 2, 3]
    assert len(steps) >= ROWS - 2
    settled()


def test_kept_columns_of_another_table_of_metrics_are_not_used(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = workspace.run("long")
    append(directory / "metrics.jsonl", train_row(ROWS + 1, ROWS + 1, update_ratio=0.25))
    SeriesLibrary(workspace).answer("long", directory, SeriesQuery())
    settled()
    assert kept(workspace).is_file()
    monkeypatch.setattr(metrics, "NUMBERS", (*metrics.NUMBERS, "update_ratio"))
    query = SeriesQuery(keys=("update_ratio",))
    curve = SeriesLibrary(workspace).answer("long", directory, query)["keys"]["update_ratio"]
    assert (curve["x"], curve["last"]) == ([ROWS + 1], [0.25])
    settled()


def test_deleted_runs_leave_nothing(workspace: Workspace) -> None:
    library = SeriesLibrary(workspace)
    library.answer("long", workspace.run("long"), SeriesQuery())
    settled()
    assert kept(workspace).exists()
    library.forget_all_but([])
    assert not kept(workspace).exists()
    shutil.rmtree(workspace.run("long"))
    library.keep_on_disk(library._cached("long", workspace.run("long")))
    assert not kept(workspace).exists()


def test_memory_is_bounded_by_dropping_what_was_not_looked_at(workspace: Workspace) -> None:
    for name in ("one", "two", "three"):
        workspace.run(name).mkdir()
        append(workspace.run(name) / "metrics.jsonl", train_row(1, 1))
    library = SeriesLibrary(workspace, memory_limit=1)
    for name in ("one", "two", "three"):
        assert library.columns(name, workspace.run(name)) is not None
    assert len(library._known) <= 2


def test_many_readers_at_once_read_once(workspace: Workspace) -> None:
    library = SeriesLibrary(workspace)
    totals: list[int] = []

    def look() -> None:
        totals.append(library.answer("long", workspace.run("long"), SeriesQuery())["total"])

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(totals) == 8, "all readers")
    assert set(totals) == {ROWS}
    settled()
