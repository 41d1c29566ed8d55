"""The run directory is deleted while something writes into it."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from typing import Any

from benchmarks.faults.findings import Findings
from benchmarks.faults.server import Server, ServerHandle, processes_of
from cptstudio import run_files
from cptstudio.runs import launching
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import toy_config

_NAME = "run"
_PATIENCE_SECONDS = 120.0


def delete_at_a_random_moment(
    workspace: Workspace,
    parts: dict[str, Any],
    chance: random.Random,
    findings: Findings,
    start_server: Callable[[Workspace], ServerHandle] = Server,
) -> None:
    """Start a run, delete its directory, restart the server three times, and look."""
    manager = TrainingManager(workspace, prevent_sleep=False)
    directory = workspace.run(_NAME)
    run = manager.start(toy_config(parts, _NAME, 100_000))
    if chance.random() < 0.6:
        step = chance.randrange(1, 60)
        while (row := manager.run(_NAME).last_row()) is None or row["step"] < step:
            time.sleep(0.002)
    else:
        time.sleep(chance.random() * 3)
    log = _wait_for_log(run.directory)
    if chance.random() < 0.5:
        # As a file manager does it: into the bin first.
        trash = workspace.root / "trash"
        os.rename(directory, trash)
        shutil.rmtree(trash, ignore_errors=True)
    else:
        while directory.exists():
            shutil.rmtree(directory, ignore_errors=True)
    findings.did("run directories deleted while training")
    for _ in range(3):
        server = start_server(workspace)
        server.ready.wait()
        findings.check("a deleted run stays deleted", not directory.exists(), "it came back")
        time.sleep(chance.random() * 0.5)
        server.kill()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(processes_of(workspace)) and time.monotonic() < deadline:
        time.sleep(0.05)
    findings.check("its trainer ends", not any(processes_of(workspace)), "it trains on")
    text = os.pread(log, 1 << 20, 0).decode("utf-8", "replace")
    os.close(log)
    findings.check("with that reason", "was deleted" in text or "no run" in text, text[-300:])
    findings.check("nothing is shown of it", manager.runs() == [], str(manager.runs()))
    folder = launching.private_folder(workspace.private, _NAME)
    findings.check("nothing is remembered of it", not folder.exists(), f"{folder} is there")
    findings.check("a deleted run stays deleted", not directory.exists(), "it came back")


def _wait_for_log(directory: os.PathLike[str]) -> int:
    path = os.path.join(directory, run_files.LOG)
    while not os.path.exists(path):
        time.sleep(0.002)
    return os.open(path, os.O_RDONLY)
