"""Watching and stopping training that was started elsewhere, with real processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from cptstudio.errors import UserError
from cptstudio.runs.external import external_processes
from cptstudio.runs.external.external_processes import ExternalProcesses, has_ended
from cptstudio.runs.external.log_parser import LogRecord
from cptstudio.runs.identity import identify
from tests.runs.external import TRAIN, make_package, running, the_found, tree_hash, wait_for
from tests.runs.make_fixtures import arguments_of, make_data
from tests.toy_models import make_toy_model, text_sample


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return make_package(tmp_path / "packages")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work place"
    path.mkdir()
    return path


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
        with pytest.raises(UserError, match="Try again"):
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
            with pytest.raises(UserError, match="confirmation is not valid"):
                external.stop(token)
        assert process.poll() is None
        confirmation = external.ask(one, "stop")
        assert "SIGTERM" in confirmation.sentence
        assert str(process.pid) in confirmation.sentence
        external.stop(confirmation.token)
        assert process.wait() == -signal.SIGTERM
        with pytest.raises(UserError, match="confirmation is not valid"):
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


def test_the_same_training_under_a_reused_pid_gets_no_signal(packages: Path, folder: Path) -> None:
    external = ExternalProcesses()
    with running(TRAIN, folder, packages) as process:
        first = the_found(process.pid)
        token = external.ask(first, "stop").token
    for _ in range(20):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.identity.pid - 1))
        except OSError:
            pytest.skip("this system does not let a test choose a pid")
        with running(TRAIN, folder, packages) as successor:
            if successor.pid != first.identity.pid:
                continue
            second = the_found(successor.pid)
            assert second.arguments == first.arguments
            assert second.identity != first.identity
            with pytest.raises(UserError, match="another process may have"):
                external.stop(token)
            assert successor.poll() is None
            return
    pytest.skip("another process took the pid each time")


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
        with pytest.raises(UserError, match="no longer training"):
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
        with pytest.raises(UserError, match="confirmation is not valid"):
            external.stop(token)
        assert process.poll() is None


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
