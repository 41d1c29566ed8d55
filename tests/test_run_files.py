"""The run directory: which rows hold, which checkpoints are complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files
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
    assert [row["seq"] for row in run_files.current_rows(file)] == [1, 2, 5, 6]


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
    assert [row["seq"] for row in run_files.current_rows(file)] == [1, 2, 3, 7]


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
    with pytest.raises(UserError, match="is no run"):
        run_files.read_config(tmp_path)
    (tmp_path / run_files.CONFIG).write_text('{"format_version": 1, "nmae": "x"}')
    with pytest.raises(UserError) as caught:
        run_files.read_config(tmp_path)
    assert "nmae: There is no such field. Did you mean name?" in str(caught.value)
    with pytest.raises(UnusableFileError, match="incomplete"):
        run_files.read_manifest(tmp_path)
    assert run_files.read_result(tmp_path) is None
