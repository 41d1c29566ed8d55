"""Many folders that are no runs, and many runs: looking again reads nothing. Reads are counted."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from cptstudio.workspace import Workspace
from tests.web.in_process import make_web
from tests.web.run_directories import make_run

JUNK, RUNS = 300, 30
_counted: Counter[str] | None = None


def _count(event: str, arguments: tuple[object, ...]) -> None:
    if _counted is not None and event in ("open", "os.scandir", "os.listdir"):
        _counted[event] += 1


sys.addaudithook(_count)


def test_runs_that_are_known_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    global _counted
    workspace = Workspace(tmp_path)
    for number in range(RUNS):
        make_run(workspace, f"run-{number}")
    for number in range(JUNK):
        folder = workspace.make(workspace.runs / f"junk-{number}")
        (folder / "notes.txt").touch()
    _age(workspace.root)
    web = make_web(tmp_path)
    assert len(web.get("/api/runs")["runs"]) == RUNS
    web.get("/api/status")
    _counted = Counter()
    assert len(web.get("/api/runs")["runs"]) == RUNS
    listed, _counted = _counted, Counter()
    assert web.get("/api/status")["active"] == []
    status, _counted = _counted, None
    # Of a run that is over, two locks and its checkpoints; of folders that are no runs, nothing.
    assert listed["open"] <= 4 * RUNS + 20, listed
    assert listed["os.listdir"] + listed["os.scandir"] <= RUNS + 10, listed
    assert status["open"] <= 4 * RUNS + 20 and status["os.scandir"] <= 5, status

    # What changes is noticed: a result, a damaged config, a run that comes, one that goes, one
    # of another program in a folder that was junk.
    run = workspace.run("run-0")
    (run / "config.json").write_text("{")
    make_run(workspace, "run-new")
    workspace.run("run-1").rename(workspace.root / "elsewhere")
    row = {"iteration": 1, "train_loss": 2.0}
    foreign = {"session_id": "x", "metrics": [row], "training_type": "CPT"}
    (workspace.runs / "junk-7" / "CPT_x.json").write_text(json.dumps(foreign))
    after = web.get("/api/runs")
    ids = {one["id"]: one for one in after["runs"]}
    assert len(ids) == RUNS and "run-new" in ids and "run-1" not in ids
    assert ids["run-0"]["problems"] and not ids["run-2"]["problems"]
    assert len(after["imported"]) == 1
    (run / "config.json").unlink()
    assert "run-0" not in {one["id"] for one in web.get("/api/runs")["runs"]}
    web.studio.news.close()
    web.studio.manager.close()


def _age(root: Path) -> None:
    """As if all of it lay there for a minute: what is younger than two seconds is not trusted."""
    for folder, _, names in os.walk(root, topdown=False):
        for path in (*(f"{folder}/{name}" for name in names), folder):
            status = os.stat(path)
            times = (status.st_atime_ns, status.st_mtime_ns - 60 * 10**9)
            os.utime(path, ns=times)
