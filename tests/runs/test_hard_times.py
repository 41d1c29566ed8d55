"""Clocks that are set, machines that are rebooted, disks that are full: runs and records hold."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.runs import launching, records
from cptstudio.runs.identity import identify
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.keeping import eventually
from tests.runs.test_training_manager import LONG, kept, log, wait_for_end, wait_for_step
from tests.runs.toy_runs import toy_config

pytestmark = pytest.mark.slow

# What the processes of a run are told when they ask for the time of day: the real one, and as
# many seconds more or less as a file says. The machine's own clock is not ours to set.
_MOVED_CLOCK = """
import os, time
_real = time.time
def _moved():
    try:
        with open(os.environ["MOVED_CLOCK"]) as file:
            return _real() + float(file.read() or 0)
    except OSError:
        return _real()
time.time = _moved
"""


def test_a_clock_moved_a_day_both_ways_changes_neither_order_nor_durations(
    workspace: Workspace,
    parts: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_MOVED_CLOCK)
    offset = tmp_path / "offset"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("MOVED_CLOCK", str(offset))
    manager = TrainingManager(workspace, prevent_sleep=False)
    manager.start(toy_config(parts, "clock", LONG))
    updates = manager.watch("clock")
    step = 5
    for moved in (86_400, -86_400, 0):
        run = wait_for_step(manager, "clock", step)
        offset.write_text(str(moved))
        row = run.last_row()
        assert row is not None
        step = row["step"] + 20
    wait_for_step(manager, "clock", step)
    # Identity is no matter of the clock either: the keeper's record is believed.
    assert manager.run("clock").state.name == "running"
    manager.stop("clock")
    told = [row for update in updates for row in update.rows]
    assert str(manager.run("clock").state) == "ended (stopped)"
    assert [row["seq"] for row in told] == list(range(1, len(told) + 1))
    jumps = [second["time"] - first["time"] for first, second in itertools.pairwise(told)]
    assert max(jumps) > 80_000 and min(jumps) < -80_000, "the clock was not moved"
    trained = [row for row in told if row["kind"] == "train"]
    assert all(0 < row["step_seconds"] < 3600 for row in trained)
    elapsed = [row["elapsed"] for row in trained]
    assert elapsed == sorted(elapsed) and elapsed[-1] < 3600
    ended = manager.run("clock").exit
    assert ended is not None and 0 < ended.duration < 3600


def test_after_a_reboot_a_run_is_lost_its_pid_is_another_process_and_it_can_go_on(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    manager = TrainingManager(workspace, prevent_sleep=False)
    manager.start(toy_config(parts, "rebooted", LONG))
    wait_for_step(manager, "rebooted", 12)
    who = kept(manager, "rebooted")
    for process in (who.keeper, who.trainer):
        os.kill(process.pid, signal.SIGKILL)
    wait_for_end(manager, "rebooted")
    # After a reboot the numbers start again: pid and start time may mean anybody.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        now = identify(stranger.pid)
        assert now is not None
        before = replace(now, boot="the boot before")
        folder = launching.private_folder(workspace.private, "rebooted")
        records.write(folder / records.KEEPER, replace(who, keeper=before, trainer=before))
        again = TrainingManager(workspace, prevent_sleep=False)
        run = again.run("rebooted")
        assert str(run.state) == "lost" and "restarted since" in run.state.reason
        for act in (again.stop, again.kill):
            with pytest.raises(UserError, match="nothing to"):
                act("rebooted")
        assert stranger.poll() is None
        again.resume("rebooted", confirmed=True)
        wait_for_step(again, "rebooted", 20)
        again.kill("rebooted")
        wait_for_end(again, "rebooted")
        assert stranger.poll() is None
        stranger.kill()
    rows = read_json_lines(run.directory / run_files.METRICS).records
    assert [row["session"] for row in rows if row["kind"] == "resume"] == [1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 120 MB of its own, where the system lets a test have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command).returncode:
        pytest.skip("mounting a small file system needs Linux and its administrator")
    yield folder
    eventually(lambda: subprocess.run(["umount", str(folder)]).returncode == 0, "the unmounting")


def fill(folder: Path, leave: int = 0) -> Path:
    """Take all space but some bytes, which are there at any moment."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while shutil.disk_usage(folder).free >= leave + (size if leave else 0):
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


@pytest.mark.parametrize("leave", [0, 8 << 20], ids=["in-metrics", "in-a-checkpoint"])
def test_a_full_disk_ends_a_run_clearly_and_it_can_go_on(
    small_disk: Path, parts: dict[str, Any], leave: int
) -> None:
    steps = 3000
    manager = TrainingManager(Workspace(small_disk / "workspace"), prevent_sleep=False)
    config = toy_config(parts, "full", steps, checkpoints={"every": "25 steps"})
    manager.start(config)
    eventually(manager.run("full").checkpoints, "a checkpoint", 240)
    filler = fill(small_disk, leave)
    wait_for_end(manager, "full")
    run = manager.run("full")
    assert str(run.state) == "ended (failed)", f"{run.state.reason}\n{log(run)}"
    assert run.exit is not None and run.exit.code == run_files.EXIT_CODES["failed"]
    assert run.checkpoints()
    if leave:
        assert "Not enough disk space" in run.state.reason
    filler.unlink()
    manager.resume("full", confirmed=True)
    row = wait_for_step(manager, "full", 30).last_row()
    assert row is not None
    manager.stop("full")
    wait_for_end(manager, "full")
    assert manager.run("full").state.outcome == "stopped", log(manager.run("full"))
    seqs = [row["seq"] for row in read_json_lines(run.directory / run_files.METRICS).records]
    assert seqs == sorted(set(seqs))
