"""A disk that fills up leaves the former checkpoint whole and an end that says why."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cptstudio.run_files import (
    CHECKPOINTS,
    EXIT_CODES,
    checkpoints_of,
    read_result,
    verify_checkpoint,
)
from cptstudio.runs.launching import TRAINER_MODULE
from cptstudio.training.checkpoints import SPACE_MARGIN
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare
from tests.training.trainer_process import finish, rows_written, run, start, wait_until

pytestmark = pytest.mark.slow
CAN_MOUNT = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


def test_a_write_that_the_system_refuses_leaves_the_former_checkpoint(
    workspace: Workspace,
) -> None:
    directory = prepare(workspace, "refused", length="9 steps")
    process = start(directory)
    wait_until(lambda: bool(checkpoints_of(directory)), process)
    process.kill()
    finish(process)
    former = [path.name for path in checkpoints_of(directory)]
    # Larger than the model's weights, smaller than the optimizer's state.
    weights = (checkpoints_of(directory)[-1] / "model.safetensors").stat().st_size
    limit = 3 * weights // 2

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", TRAINER_MODULE, str(directory)]
    ended = subprocess.run(
        [*command, "--resume"], capture_output=True, text=True, preexec_fn=no_large_files
    )
    assert ended.returncode == EXIT_CODES["failed"], ended.stdout
    assert "Could not write" in ended.stderr and "Traceback" not in ended.stderr
    result = read_result(directory)
    assert result is not None and result.outcome == "failed" and result.checkpoint == former[-1]
    assert [path.name for path in checkpoints_of(directory)] == former
    verify_checkpoint(checkpoints_of(directory)[-1])
    assert [entry.name for entry in (directory / CHECKPOINTS).iterdir()] == former
    status, output = run(directory, "--resume")
    assert status == EXIT_CODES["completed"], output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = (SPACE_MARGIN >> 20) + 16
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, leave: int) -> None:
    with (disk / "filler").open("wb") as file:
        chunk = b"\1" * 65536
        try:
            while shutil.disk_usage(disk).free > leave:
                file.write(chunk)
                file.flush()
        except OSError:
            pass


@pytest.mark.skipif(not CAN_MOUNT, reason="mounting a small disk needs root on Linux")
@pytest.mark.parametrize("leave", [2_000_000, 0], ids=["no room to save", "no room at all"])
def test_a_disk_that_fills_up_while_training_leaves_the_former_checkpoint(
    workspace: Workspace, small_disk: Path, leave: int
) -> None:
    directory = small_disk / "run"
    endless = {"length": "100000 steps", "checkpoints": {"every": "20 steps"}}
    shutil.copytree(prepare(workspace, f"disk-{leave}", **endless), directory)
    process = start(directory)
    assert wait_until(lambda: bool(checkpoints_of(directory)), process)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    rows = rows_written(directory)
    fill(small_disk, leave)
    process.send_signal(signal.SIGCONT)
    status, output = finish(process)
    assert status == EXIT_CODES["failed"], output
    assert "Traceback" not in output
    assert "space" in output
    for checkpoint in checkpoints_of(directory):
        verify_checkpoint(checkpoint)
    assert checkpoints_of(directory)
    if leave:
        assert rows_written(directory) > rows
        result = read_result(directory)
        assert result is not None and result.outcome == "failed" and "space" in result.reason
    (small_disk / "filler").unlink()
    resumed = start(directory, "--resume")
    wait_until(lambda: rows_written(directory) > rows + 30, resumed)
    resumed.send_signal(signal.SIGTERM)
    assert finish(resumed)[0] == EXIT_CODES["stopped"]
