"""Detection, watching and stopping, with real processes."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from cptstudio.errors import UserError
from cptstudio.runs import external_processes
from cptstudio.runs.detection import Detection, ExternalProcess, detect, examine
from cptstudio.runs.external_processes import ExternalProcesses, has_ended
from cptstudio.runs.identity import identify
from cptstudio.runs.log_parser import LogRecord
from tests.runs.external import make_package, make_start_script, running, wait_for
from tests.runs.make_fixtures import arguments_of, make_data
from tests.toy_models import make_toy_model, text_sample

TRAIN = [
    sys.executable,
    "-m",
    "mlx_lm",
    "lora",
    "--train",
    "--model",
    "toy",
    "--adapter-path",
    "out",
]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return make_package(tmp_path / "packages")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work place"
    path.mkdir()
    return path


def found(pid: int) -> ExternalProcess | None:
    return next((one for one in detect().processes if one.identity.pid == pid), None)


def the_found(pid: int) -> ExternalProcess:
    process = found(pid)
    assert process is not None
    return process


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        information = path.lstat()
        digest.update(f"{path} {information.st_mode} {information.st_mtime_ns}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


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
        wait_for(lambda: seen.cmdline()[0] == begins, "it runs its program")
        result = detect()
        assert process.pid not in {one.identity.pid for one in result.processes}
        assert any(one.pid == process.pid and not one.trains for one in result.decisions)
        assert process.poll() is None


def test_output_that_goes_to_no_file_gives_a_reason(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages, subprocess.PIPE) as process:
        one = the_found(process.pid)
        assert one.log_file is None
        assert "standard output" in one.log_reason
        with pytest.raises(UserError, match="cannot be watched"):
            ExternalProcesses().ask(one, "watch")


def test_a_deleted_log_is_no_log(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        log.unlink()
        one = the_found(process.pid)
        assert one.log_file is None
        assert one.log_reason


def test_decisions_are_logged_with_their_evidence(
    packages: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cptstudio.runs.detection")
    testing = [sys.executable, "-m", "mlx_lm", "lora", "--test"]
    with running(TRAIN, folder, packages) as one, running(testing, folder, packages) as other:
        detect()
    assert f"Process {one.pid} trains: Python runs the module mlx_lm with lora." in caplog.text
    assert f"Process {other.pid} is not training: " in caplog.text
    assert "without --train" in caplog.text


def test_turned_off_it_looks_at_nothing_and_says_so(
    packages: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cptstudio.runs.detection")
    with running(TRAIN, folder, packages):
        assert detect(enabled=False) == Detection(off=True)
    assert "no process was looked at" in caplog.text


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


@pytest.mark.slow
def test_the_real_mlx_lm_is_found_and_watched_to_its_end(folder: Path) -> None:
    make_toy_model("llama-tied", folder / "model")
    make_data(folder / "data", text_sample())
    log = folder / "train.log"
    command = [sys.executable, "-m", "mlx_lm", "lora", *arguments_of("adapters")]
    external = ExternalProcesses()
    with (
        log.open("wb") as output,
        running(command, folder, None, output, waits_for_ready=False) as process,
    ):
        one = the_found(process.pid)
        assert (one.command.model, one.command.data, one.command.iterations) == (
            "model",
            "data",
            12,
        )
        confirmation = external.ask(one, "watch")
        # The process is our child, so it waits to be reaped when it has ended.
        records = list(external.watch(confirmation.token))
        assert process.wait() == 0, log.read_text()
    train = [record.iteration for record in records if record.kind == "train"]
    assert train == [2, 4, 6, 8, 10, 12]
    saved = [record.iteration for record in records if record.kind == "saved"]
    assert saved[:2] == [5, 10]


# --- watching --------------------------------------------------------------------------------


def test_watching_needs_a_confirmation_and_tells_all_that_is_printed(
    packages: Path, folder: Path
) -> None:
    log = folder / "train.log"
    external = ExternalProcesses()
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        before = tree_hash(folder)
        confirmation = external.ask(the_found(process.pid), "watch")
        assert tree_hash(folder) == before
        assert str(log.resolve()) in confirmation.sentence
        records: list[LogRecord] = []
        for record in external.watch(confirmation.token):
            records.append(record)
            if record.kind == "validation":
                assert process.stdin is not None
                process.stdin.close()  # It prints its last line and ends.
                process.wait()
        with pytest.raises(UserError, match="Ask again"):
            external.watch(confirmation.token)
    assert list(folder.iterdir()) == [log]
    assert [record.kind for record in records] == ["planned", "validation", "train"]
    assert records[-1].train_loss == 2.5
    assert records[-1].learning_rate is None


def test_a_log_that_is_cut_off_or_moved_is_followed(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    log.write_bytes(b"Loading datasets\n" * 9 + b"Iter 1: Val loss 3.000, Val took 1.000s\n")
    with running(TRAIN, folder, packages) as process:
        identity = identify(process.pid)
        assert identity is not None
        finish = threading.Event()
        records = external_processes.follow_external(identity, log, finish, interval=0.001)
        assert next(records).validation_loss == 3.0
        log.write_bytes(b"Iter 2: Val loss 2.000, V")
        moved = log.rename(folder / "moved.log")
        with moved.open("ab") as file:
            file.write(b"al took 1.000s\n")
        assert next(records).validation_loss == 2.0
        finish.set()
        assert next(records, None) is None


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "missing"])
def test_what_is_no_regular_file_is_not_watched(folder: Path, kind: str) -> None:
    log = folder / "log"
    if kind == "fifo":
        os.mkfifo(log)
    elif kind == "link":
        log.symlink_to(folder / "elsewhere")
    elif kind == "folder":
        log.mkdir()
    own = identify(os.getpid())
    assert own is not None
    with pytest.raises(UserError, match="log"):
        external_processes.follow_external(own, log)


# --- stopping --------------------------------------------------------------------------------


def test_stopping_needs_a_confirmation_of_its_own(packages: Path, folder: Path) -> None:
    external = ExternalProcesses()
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        one = the_found(process.pid)
        to_watch = external.ask(one, "watch")
        for token in ("", "guessed", to_watch.token):
            with pytest.raises(UserError, match="does not confirm"):
                external.stop(token)
        assert process.poll() is None
        confirmation = external.ask(one, "stop")
        assert "SIGTERM" in confirmation.sentence
        assert str(process.pid) in confirmation.sentence
        external.stop(confirmation.token)
        assert process.wait() == -signal.SIGTERM
        with pytest.raises(UserError, match="does not confirm"):
            external.stop(confirmation.token)


def test_a_process_that_ended_meanwhile_gets_no_signal(packages: Path, folder: Path) -> None:
    external = ExternalProcesses()
    with running(TRAIN, folder, packages) as process:
        token = external.ask(the_found(process.pid), "stop").token
        process.kill()
        process.wait()
        with pytest.raises(UserError, match="has ended"):
            external.stop(token)


def test_another_process_with_the_same_number_gets_no_signal(packages: Path, folder: Path) -> None:
    external = ExternalProcesses()
    with running(TRAIN, folder, packages) as process:
        one = the_found(process.pid)
        for changed in (
            dataclasses.replace(one.identity, start=one.identity.start - 60),
            dataclasses.replace(one.identity, boot="the one before"),
        ):
            former = dataclasses.replace(one, identity=changed)
            token = external.ask(former, "stop").token
            with pytest.raises(UserError, match="No signal was sent"):
                external.stop(token)
        assert process.poll() is None
        assert not has_ended(one.identity)


def test_a_process_that_became_another_program_gets_no_signal(folder: Path, tmp_path: Path) -> None:
    packages = make_package(tmp_path / "packages")
    module = packages / "mlx_lm" / "lora.py"
    module.write_text(module.read_text() + "import os\nos.execvp('sleep', ['sleep', '600'])\n")
    external = ExternalProcesses()
    with running(TRAIN, folder, packages) as process:
        token = external.ask(the_found(process.pid), "stop").token
        assert process.stdin is not None
        process.stdin.close()
        other = psutil.Process(process.pid)
        wait_for(lambda: other.cmdline()[:1] == ["sleep"], "the process runs sleep")
        with pytest.raises(UserError, match="no longer trains"):
            external.stop(token)
        assert process.poll() is None


def test_a_process_of_another_user_is_refused(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages) as process:
        one = the_found(process.pid)
        for owner in ("somebody else", None):
            with pytest.raises(UserError, match="belongs to another user"):
                ExternalProcesses().ask(dataclasses.replace(one, owner=owner), "stop")


def test_a_confirmation_does_not_last(
    packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    external = ExternalProcesses()
    with running(TRAIN, folder, packages) as process:
        monkeypatch.setattr(external_processes, "CONFIRMATION_SECONDS", -1.0)
        token = external.ask(the_found(process.pid), "stop").token
        with pytest.raises(UserError, match="does not confirm"):
            external.stop(token)
        assert process.poll() is None
