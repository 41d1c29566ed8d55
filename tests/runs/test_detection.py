"""Detection with real processes."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from cptstudio.errors import UserError
from cptstudio.runs.external.detection import Detection, detect, examine
from cptstudio.runs.external.external_processes import ExternalProcesses, has_ended
from cptstudio.runs.identity import identify
from tests.runs.external import (
    TRAIN,
    found,
    make_package,
    make_start_script,
    running,
    the_found,
    tree_hash,
    wait_for,
)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return make_package(tmp_path / "packages")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work place"
    path.mkdir()
    return path


def test_a_training_process_is_found_with_what_the_system_tells(
    packages: Path, folder: Path
) -> None:
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        before = tree_hash(folder)
        one = the_found(process.pid)
        assert one.identity == identify(process.pid)
        assert one.owner == psutil.Process().username()
        assert one.arguments == tuple(TRAIN)
        assert one.folder == folder.resolve()
        assert one.adapter_folder == folder.resolve() / "out"
        assert one.command.model == "toy"
        assert one.command.trains is True
        assert one.log_file == log.resolve()
        assert abs(one.started - psutil.Process(process.pid).create_time()) < 1
        assert tree_hash(folder) == before
    assert found(process.pid) is None


def test_a_start_script_is_found(packages: Path, folder: Path) -> None:
    script = make_start_script(folder, "mlx_lm.lora")
    with running([str(script), "--train", "--iters", "30"], folder, packages) as process:
        one = the_found(process.pid)
        assert one.command.iterations == 30
        assert str(script) in one.command.evidence


def test_a_script_that_only_has_the_name_is_not_found(folder: Path) -> None:
    script = folder / "mlx_lm.lora"
    script.write_text("import sys\nprint('ready', file=sys.stderr, flush=True)\nsys.stdin.read()\n")
    with running([sys.executable, str(script), "--train"], folder) as process:
        assert found(process.pid) is None


def test_mlx_tune_is_found_by_its_script(tmp_path: Path, folder: Path) -> None:
    packages = make_package(tmp_path / "packages", "mlx_tune", "cpt_trainer")
    script = folder / "train_it.py"
    script.write_text(
        "import sys\n"
        "class Waiting:\n"
        "    def CPTTrainer(self):\n"
        "        print('ready', file=sys.stderr, flush=True)\n"
        "        sys.stdin.read()\n"
        "mlx_tune = Waiting()\n"
        "if not mlx_tune: import mlx_tune\n"
        "mlx_tune.CPTTrainer()\n"
    )
    with running([sys.executable, "train_it.py"], folder, packages) as process:
        one = the_found(process.pid)
        assert (one.command.tool, one.command.trains) == ("mlx-tune", None)


_PRETENDS = "exec -a {} sh {} mlx_lm.lora --train"


@pytest.mark.parametrize(
    ("command", "begins"),
    [
        (["tail", "-f", "mlx_lm.lora"], "tail"),
        (["grep", "mlx_lm.lora --train", "-"], "grep"),
        (["sh", "-c", "read line; true", "mlx_lm.lora", "--train"], "sh"),
        (["sh", "mlx_lm.lora", "--train"], "sh"),
        (["bash", "-c", _PRETENDS.format("mlx_lm.lora", "")], "mlx_lm.lora"),
        (["bash", "-c", _PRETENDS.format("python", "")], "python"),
        (["bash", "-c", _PRETENDS.format("python3.12", "-m")], "python3.12"),
        ([sys.executable, "-c", "input()", "mlx_lm.lora", "--train"], sys.executable),
        ([sys.executable, "-c", "input()", "-m", "mlx_lm", "lora", "--train"], sys.executable),
    ],
)
def test_what_only_looks_like_training_is_not_found(
    folder: Path, command: list[str], begins: str
) -> None:
    (folder / "mlx_lm.lora").write_text("read line\n")
    with running(command, folder, waits_for_ready=False) as process:
        seen = psutil.Process(process.pid)
        wait_for(lambda: seen.cmdline()[:1] == [begins], "it runs its program")
        result = detect()
        assert process.pid not in {one.identity.pid for one in result.processes}
        assert any(one.pid == process.pid and not one.trains for one in result.decisions)
        assert process.poll() is None


def test_output_that_goes_to_no_file_gives_a_reason(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages, subprocess.PIPE) as process:
        one = the_found(process.pid)
        assert one.log_file is None
        assert "standard output" in one.log_reason
        with pytest.raises(UserError, match="Cannot watch"):
            ExternalProcesses().ask(one, "watch")


def test_a_deleted_log_is_no_log(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        log.unlink()
        one = the_found(process.pid)
        assert one.log_file is None
        assert one.log_reason


def test_a_log_that_tee_writes_is_found(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    # Another pipeline of the same shell, whose tee writes something else.
    other = "(cat pipe | tee other.txt | cat) &"
    command = ["sh", "-c", f"{other} {shlex.join(TRAIN)} | tee -a {log.name} | cat"]
    with running(command, folder, packages) as shell, pipe.open("wb"):
        (trainer,) = (
            one.pid
            for one in psutil.Process(shell.pid).children(recursive=True)
            if "mlx_lm" in one.cmdline()
        )
        wait_for(log.exists, "tee has made its file")
        one = the_found(trainer)
        assert one.log_file == log.resolve()
        assert "tee" in one.log_reason
        assert shell.stdin is not None
        shell.stdin.close()
        shell.wait()


def test_decisions_are_logged_with_their_evidence(
    packages: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cptstudio.runs.external.detection")
    testing = [sys.executable, "-m", "mlx_lm", "lora", "--test"]
    with running(TRAIN, folder, packages) as one, running(testing, folder, packages) as other:
        detect()
    assert f"Process {one.pid} trains: Python runs the module mlx_lm with lora." in caplog.text
    assert f"Process {other.pid} is not training: " in caplog.text
    assert "without --train" in caplog.text


def test_odd_arguments_are_shown_without_what_would_act_on_a_terminal(
    packages: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cptstudio.runs.external.detection")
    odd = os.fsdecode(b"\x1b[2J\n\xff \xe2\x82\xac")
    with running([*TRAIN, "--data", odd, "--seed", "7" * 9000], folder, packages) as process:
        one = the_found(process.pid)
        assert one.command.data == odd
        assert one.as_json()["command"][-3] == odd
        assert r"\x1b[2J\n\udcff €" in one.command_line
        assert len(one.command_line) < 6000
    assert "\x1b" not in caplog.text


def test_turned_off_it_looks_at_nothing_and_says_so(
    packages: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cptstudio.runs.external.detection")
    with running(TRAIN, folder, packages):
        assert detect(enabled=False) == Detection(off=True)
    assert "Detection of other training is off" in caplog.text


def test_processes_that_vanish_meanwhile_do_no_harm(packages: Path, folder: Path) -> None:
    finish = threading.Event()

    def come_and_go() -> None:
        while not finish.is_set():
            subprocess.run(["true"], check=True)

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with running(TRAIN, folder, packages) as process:
            assert all(found(process.pid) is not None for _ in range(10))
    finally:
        finish.set()
        for thread in threads:
            thread.join()


def test_a_process_that_waits_to_be_reaped_trains_no_more(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages) as process:
        one = the_found(process.pid)
        process.kill()
        zombie = psutil.Process(process.pid)
        wait_for(lambda: zombie.status() == psutil.STATUS_ZOMBIE, "it waits to be reaped")
        assert has_ended(one.identity)
        assert examine(process.pid) is None
