"""A workspace of a former version opens, lists, resumes, compares, evaluates and merges as it was.

What it said then is beside it; see scripts/make_workspace_fixture.py.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cptstudio import cli
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.web.series.library import SeriesLibrary
from cptstudio.workspace import Workspace
from tests.web.in_process import make_web
from tests.workspace_of_before import lay_out, what_it_said

SAID = what_it_said()
# Of the moment, or of where it lies: an imported run's id is made of its path.
VOLATILE = {"report", "first_token_seconds", "tokens_per_second", "path", "directory", "model"}
# Read from files, so quick; the others load models in programs of their own.
KINDS = ("evaluation", "suite", "questions", "merge")
LOOKS = ("runs", "run", "corpora", "corpus")
# Another processor, or a GPU, rounds otherwise.
TOLERANCE = 1e-3
TRAINED = ("step", "loss", "gradient_norm", "learning_rate", "tokens", "tokens_seen")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("before") / "workspace")


@pytest.fixture
def say(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a command of today in the workspace; returns what it prints."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("CPT_STUDIO_WORKSPACE", raising=False)

    def run(*command: str) -> str:
        capsys.readouterr()
        typer.main.get_command(cli.app).main(list(command), standalone_mode=False)
        return capsys.readouterr().out

    return run


# How a run ended is said in other words since.
RENAMED = {"repetition_context": "repetition_window"}
REWORDED = {
    "All 12 steps are done.": r"Completed 12 steps\.",
    "All 24 steps are done.": r"Completed 24 steps\.",
    "Stopped on request.": r"Stopped by you at step (61|37); checkpoint saved\.",
    "it was never started": "it has not been started yet",
    "2 training losses were left out: ForgeLLM did not measure but interpolate them.": (
        "2 training losses were skipped because ForgeLLM interpolated instead of measuring them."
    ),
    "ended from outside": r"Ended by the system or another program\.",
}


def check_same(found: Any, expected: Any, where: str = "") -> None:
    """All that was said before is said now; there may be more."""
    if isinstance(expected, dict):
        for name in expected.keys() - VOLATILE:
            if name in RENAMED:
                check_same(found[RENAMED[name]], expected[name], f"{where}.{name}")
                continue
            assert name in found, f"{where}.{name}"
            if name == "warnings":  # There may be more to warn about.
                assert set(expected[name]) <= set(found[name]), where
            elif name == "difference" and found[name]["claim"] == "too little":
                # Two documents were enough for a range then.
                kept = {key: expected[name][key] for key in ("value", "better", "documents")}
                check_same(found[name], kept, f"{where}.{name}")
            else:
                check_same(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            check_same(one, other, f"{where}[{number}]")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE), where
    elif not str(expected).startswith("imported-") and found != expected:
        expected = str(expected).removeprefix("reported by the trainer: ")
        wanted = REWORDED.get(expected, re.escape(expected))
        assert re.fullmatch(wanted, str(found)), (where, found, expected)


@pytest.mark.parametrize("name", LOOKS)
def test_it_is_listed_as_it_was(name: str, say: Callable[..., str]) -> None:
    check_same(json.loads(say(*SAID["commands"][name], "--json")), SAID["answers"][name], name)


def test_the_server_shows_all_of_it(root: Path) -> None:
    web = make_web(root)
    try:
        listed = web.get("/api/runs")
        reports = web.get("/api/evaluation/reports")
    finally:
        web.studio.news.close()
        web.studio.manager.close()
    runs = {run["id"]: run for run in listed["runs"]}
    names = {run["id"] for run in SAID["answers"]["runs"] if run["state"] != "imported"}
    assert names <= runs.keys()
    assert runs["full-completed"]["tags"] == ["baseline"]
    assert runs["full-completed"]["note"] == "The one to beat."
    assert listed["pinned"] == "full-completed"
    assert runs["waits"]["queue_position"] == 1
    assert {one["kind"] for one in reports["reports"]} == set(KINDS)


def test_curves_are_the_rows_with_the_cache_of_before(root: Path) -> None:
    place = Workspace(root)
    directory = place.run("full-completed")
    cache = place.private / "cache" / "series" / "full-completed.columns"
    head, _, columns = cache.read_bytes().partition(b"\n")
    # It knows its file by device and inode, which are others here.
    status = os.stat(directory / "metrics.jsonl")
    header = json.loads(head) | {"file": [status.st_dev, status.st_ino]}
    line = json.dumps(header, separators=(",", ":")).encode()
    cache.write_bytes(line + b" " * (-(len(line) + 1) % 64) + b"\n" + columns)
    written = read_json_lines(directory / "metrics.jsonl").records
    rows = [row for row in written if row["kind"] == "train"]
    found = SeriesLibrary(place).columns("full-completed", directory)
    assert found is not None
    assert [value for value in found.all_values("loss") if not math.isnan(value)] == [
        row["loss"] for row in rows
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SAID["commands"].keys() - set(LOOKS)))
def test_models_measure_as_they_did(name: str, say: Callable[..., str]) -> None:
    check_same(json.loads(say(*SAID["commands"][name], "--json")), SAID["answers"][name], name)


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted(SAID["resumed"]))
def test_runs_go_on_as_they_did(run: str, tmp_path: Path) -> None:
    expected = SAID["resumed"][run]
    manager = TrainingManager(Workspace(lay_out(tmp_path / "workspace")))
    manager.resume(run, None, confirmed=True)
    rows: list[dict[str, Any]] = []
    deadline = time.monotonic() + 200
    for update in manager.watch(run, expected[0]["seq"] - 1):
        assert time.monotonic() < deadline, manager.run(run).state
        rows += [row for row in update.rows if row["kind"] != "evaluation"]
        if len(rows) >= len(expected):
            break
    manager.stop(run)
    for _ in manager.watch(run, rows[-1]["seq"]):
        assert time.monotonic() < deadline, manager.run(run).state
    assert manager.run(run).state.outcome == "stopped"
    for found, former in zip(rows, expected, strict=False):
        check_same({key: found.get(key) for key in TRAINED}, {k: former.get(k) for k in TRAINED})
