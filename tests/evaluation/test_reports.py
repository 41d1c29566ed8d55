"""Reports in the workspace: kept, listed, read, deleted, and what damaged ones do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation.reports import UNKNOWN, NoReportError, Reports
from cptstudio.workspace import Workspace


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(Workspace(tmp_path))


def file_of(tmp_path: Path, number: str) -> Path:
    return tmp_path / "reports" / f"{number}.json"


def test_nothing_is_created_by_looking(reports: Reports, tmp_path: Path) -> None:
    assert reports.list() == []
    with pytest.raises(NoReportError):
        reports.read("20261124-004512-3fa9c1")
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_read_as_it_was_kept(reports: Reports, tmp_path: Path) -> None:
    request = {"models": ["a"], "path": tmp_path}
    answer = reports.keep("evaluation", "a and\nb", request, {"value": math.inf, "text": "größer"})
    assert answer["title"] == "a and b"
    found = reports.read(answer["report"])
    assert found["kind"] == "evaluation"
    assert found["request"] == {"models": ["a"], "path": str(tmp_path)}
    assert found["result"] == {"value": "Infinity", "text": "größer"}
    whole = json.loads(file_of(tmp_path, answer["report"]).read_text(encoding="utf-8"))
    assert whole["report"]["id"] == answer["report"]


def test_lists_are_by_kind_and_the_newest_first(reports: Reports, tmp_path: Path) -> None:
    first = reports.keep("suite", "one", {}, {})["report"]
    second = reports.keep("merge", "two", {}, {})["report"]
    third = reports.keep("suite", "three", {}, {})["report"]
    assert [one["id"] for one in reports.list()] == [third, second, first]
    assert [one["title"] for one in reports.list("suite")] == ["three", "one"]
    reports.file(first).unlink()
    assert [one["id"] for one in reports.list("suite")] == [third]
    with pytest.raises(NoReportError):
        reports.file(first)
    (tmp_path / "reports" / "notes.txt").write_text("the user's own", encoding="utf-8")
    assert len(reports.list()) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]\n", b"\x00" * 100, b'{"report": {"id": 1}},\n}\n', b"[" * 100_000, None],
)
def test_a_damaged_report_is_a_listed_problem(
    reports: Reports, tmp_path: Path, content: bytes | None
) -> None:
    whole = reports.keep("questions", "fine", {}, {"a": 1})["report"]
    number = "20261124-004512-3fa9c1"
    if content is None:
        file_of(tmp_path, number).symlink_to(file_of(tmp_path, whole))
    else:
        file_of(tmp_path, number).write_bytes(content)
    listed = {one["id"]: one for one in reports.list("questions")}
    assert listed[whole]["problem"] is None
    assert listed[number]["kind"] == UNKNOWN
    assert number in listed[number]["problem"]
    assert listed[number]["created"] > 1.7e9
    with pytest.raises(UserError):
        reports.read(number)
    reports.file(number).unlink()
    assert [one["id"] for one in reports.list()] == [whole]


def test_a_report_that_was_cut_off_or_renamed_is_a_problem(
    reports: Reports, tmp_path: Path
) -> None:
    number = reports.keep("merge", "t", {}, {"a": list(range(100))})["report"]
    path = file_of(tmp_path, number)
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    assert reports.list()[0]["problem"]
    path.rename(file_of(tmp_path, "20991124-004512-3fa9c1"))
    file_of(tmp_path, "20991124-004512-3fa9c1").write_bytes(data)
    assert reports.list()[0]["problem"]


@pytest.mark.parametrize("number", ["../x", "", "20261124-004512-3fa9c1.json", "a" * 300])
def test_names_that_are_no_ids_name_no_report(reports: Reports, number: str) -> None:
    with pytest.raises(NoReportError):
        reports.read(number)
    with pytest.raises(NoReportError):
        reports.file(number)


def test_a_workspace_that_is_renamed_while_a_job_works_is_not_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    reports = Reports(Workspace.held(root))
    root.rename(tmp_path / "aside")
    with pytest.raises(UserError, match="no longer exists"):
        reports.keep("merge", "late", {}, {})
    assert not root.exists()
    # One that was never there is made.
    Reports(Workspace.held(tmp_path / "new")).keep("merge", "first", {}, {})
