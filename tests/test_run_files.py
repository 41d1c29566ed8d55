"""The run directory: which rows hold, which checkpoints are complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptstudio import run_files, run_rows
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError


def rows(*items: tuple[int, str, int, int | None]) -> list[dict[str, Any]]:
    return [
        {"seq": seq, "kind": kind, "step": step}
        | ({"after_seq": after} if after is not None else {})
        for seq, kind, step, after in items
    ]


def test_a_resume_supersedes_what_came_after_its_checkpoint() -> None:
    file = rows(
        (1, "train", 1, None),
        (2, "train", 2, None),
        (3, "train", 3, None),
        (4, "resume", 2, 2),
        (5, "train", 3, None),
        (6, "train", 4, None),
    )
    assert [row["seq"] for row in run_rows.current_rows(file)] == [1, 2, 5, 6]


def test_resuming_from_a_checkpoint_of_a_superseded_session_brings_its_rows_back() -> None:
    file = rows(
        (1, "train", 1, None),
        (2, "train", 2, None),
        (3, "train", 3, None),
        (4, "resume", 1, 1),
        (5, "train", 2, None),
        (6, "resume", 3, 3),
        (7, "train", 4, None),
    )
    assert [row["seq"] for row in run_rows.current_rows(file)] == [1, 2, 3, 7]


@given(plan=st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=1, max_size=8))
def test_what_holds_is_what_a_trainer_that_goes_back_has_written(
    plan: list[tuple[int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file: list[dict[str, Any]] = []
    held: list[dict[str, Any]] = []
    written: dict[int, list[dict[str, Any]]] = {0: []}
    for session, (count, place) in enumerate(plan):
        if session:
            after = sorted(written)[int(place * (len(written) - 1))]
            seq = len(file) + 1
            file.append({"seq": seq, "kind": "resume", "step": 0, "after_seq": after})
            held = list(written[after])
        for _ in range(count):
            file.append({"seq": len(file) + 1, "kind": "train", "step": len(held) + 1})
            held.append(file[-1])
            written[len(file)] = list(held)
    assert run_rows.current_rows(file) == held
    resumes = [(row["seq"], row["after_seq"]) for row in file if row["kind"] == "resume"]
    spans = run_rows.held_spans(resumes)
    seqs = [row["seq"] for row in file]
    assert [seq for seq in seqs if any(low < seq <= high for low, high in spans)] == [
        row["seq"] for row in held
    ]
    directory = tmp_path_factory.mktemp("run")
    lines = "".join(json.dumps(row) + "\n" for row in file)
    (directory / run_files.METRICS).write_text(lines)
    assert list(run_rows.read_newest_first(directory)) == held[::-1]
    assert run_rows.last_row(directory, "train") == (held[-1] if held else None)


def test_an_evaluation_that_a_resume_superseded_is_not_the_last_one(tmp_path: Path) -> None:
    file = rows(
        (1, "evaluation", 10, None),
        (2, "evaluation", 20, None),
        (3, "resume", 10, 1),
        (4, "train", 11, None),
    )
    text = "".join(json.dumps(row) + "\n" for row in file)
    (tmp_path / run_files.METRICS).write_text(text)
    last = run_rows.last_row(tmp_path, "evaluation")
    assert last is not None and last["step"] == 10


def test_the_best_is_the_first_of_the_lowest_finite_ones() -> None:
    nan, inf = float("nan"), float("inf")
    assert run_rows.best_of(zip("abcde", (nan, None, 2.0, 1.0, 1.0), strict=True)) == "d"
    assert run_rows.best_of([("a", nan), ("b", inf), ("c", None)]) is None


def test_a_checkpoint_counts_when_its_manifest_is_there(tmp_path: Path) -> None:
    folder = tmp_path / run_files.CHECKPOINTS
    for name in ("step-00000100", "step-00000020", "step-00000300", ".step-1", "other"):
        (folder / name).mkdir(parents=True)
    for name in ("step-00000100", "step-00000020"):
        (folder / name / run_files.MANIFEST).write_text("{}")
    (folder / "step-00000400").symlink_to(folder / "step-00000100")
    names = [path.name for path in run_files.checkpoints_of(tmp_path)]
    assert names == ["step-00000020", "step-00000100"]
    assert run_files.checkpoints_of(tmp_path / "nothing") == []


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        run_files.read_config(tmp_path)
    (tmp_path / run_files.CONFIG).write_text('{"format_version": 1, "nmae": "x"}')
    with pytest.raises(UserError) as caught:
        run_files.read_config(tmp_path)
    assert "nmae: Unknown field. Did you mean name?" in str(caught.value)
    with pytest.raises(UnusableFileError, match="incomplete"):
        run_files.read_manifest(tmp_path)
    assert run_files.read_result(tmp_path) is None
