"""However a trainer is stopped, it leaves a checkpoint, an exit status and a result that say so."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from cptstudio.run_files import (
    EXIT_CODES,
    LOCK,
    RunResult,
    checkpoints_of,
    read_result,
    verify_checkpoint,
)
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare
from tests.training.trainer_process import (
    PATIENCE,
    finish,
    held_rows,
    rows_written,
    run,
    start,
    wait_until,
)

pytestmark = pytest.mark.slow
ENDLESS = {
    "length": "100000 steps",
    "evaluation": {"every": "50000 steps", "max_tokens": 300},
    "checkpoints": {"every": "50000 steps"},
}


def result_of(run_directory: Path) -> RunResult:
    result = read_result(run_directory)
    assert result is not None
    return result


def stop_while_frozen(process: subprocess.Popen[str], run_directory: Path, number: int) -> int:
    """Send a stop signal to the frozen process; returns the rows it had written by then."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    rows = rows_written(run_directory)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    return rows


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGTERM, "Stopped on request"), (signal.SIGINT, "Stopped by you")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_stop_signal_at_a_random_step_saves_within_one_step(
    workspace: Workspace, number: signal.Signals, said: str
) -> None:
    directory = prepare(workspace, f"stop-{number.name}", **ENDLESS)
    process = start(directory)
    wanted = random.randint(2, 60)
    assert wait_until(lambda: rows_written(directory) >= wanted, process)
    rows = stop_while_frozen(process, directory, number)
    # A second signal while it saves must change nothing.
    process.send_signal(number)
    status, output = finish(process)
    assert status == EXIT_CODES["stopped"], output
    result = result_of(directory)
    assert result.outcome == "stopped"
    assert result.reason == f"{said} at step {result.step}; checkpoint saved."
    assert rows_written(directory) <= rows + 1
    last = checkpoints_of(directory)[-1]
    assert last.name == result.checkpoint
    assert verify_checkpoint(last).step == result.step == held_rows(directory)[-1]["step"]


def test_a_stop_signal_before_the_first_step_ends_as_stopped(workspace: Workspace) -> None:
    directory = prepare(workspace, "stop-at-once", **ENDLESS)
    process = start(directory)
    process.send_signal(signal.SIGTERM)
    status, output = finish(process)
    assert status == EXIT_CODES["stopped"], output
    result = result_of(directory)
    assert (result.outcome, result.step, result.checkpoint) == ("stopped", 0, None)
    resumed = start(directory, "--resume")
    assert wait_until(lambda: rows_written(directory) >= 5, resumed)
    resumed.send_signal(signal.SIGTERM)
    assert finish(resumed)[0] == EXIT_CODES["stopped"]
    assert [row["step"] for row in held_rows(directory)][:3] == [0, 1, 2]


def test_a_second_trainer_of_a_running_run_is_refused(workspace: Workspace) -> None:
    directory = prepare(workspace, "only-one", **ENDLESS)
    process = start(directory)
    try:
        assert wait_until(lambda: rows_written(directory) >= 1, process)
        status, output = run(directory, "--resume")
        assert status == EXIT_CODES["failed"]
        assert "already running" in output and str(process.pid) in output
    finally:
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == EXIT_CODES["stopped"]


def test_a_deleted_run_ends_and_is_not_made_again(workspace: Workspace) -> None:
    directory = prepare(workspace, "deleted", **ENDLESS)
    process = start(directory)
    assert wait_until(lambda: rows_written(directory) >= 3, process)
    shutil.rmtree(directory)
    status, output = finish(process)
    assert status == EXIT_CODES["failed"]
    assert "was deleted" in output and "Traceback" not in output
    assert not directory.exists()


def test_a_started_run_is_not_started_again(workspace: Workspace) -> None:
    directory = prepare(workspace, "started", length="4 steps")
    assert run(directory)[0] == EXIT_CODES["completed"]
    status, output = run(directory)
    assert status == EXIT_CODES["failed"] and "--resume" in output
    status, output = run(directory, "--resume")
    assert status == EXIT_CODES["failed"] and "nothing to resume" in output
    assert not (directory / LOCK).read_text().startswith("0")


def test_a_trainer_whose_output_nobody_reads_any_more_trains_on(workspace: Workspace) -> None:
    directory = prepare(workspace, "unread", length="12 steps")
    process = start(directory)
    assert process.stdout is not None
    assert process.stdout.readline()
    # As `| head -1` does, and a window that is closed.
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) == EXIT_CODES["completed"]
    assert result_of(directory).outcome == "completed"
    assert "12/12" in (directory / "train.log").read_text()
