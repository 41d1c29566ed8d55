"""`cpt-studio runs detect` with real processes."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psutil
import pytest
import typer
from typer.testing import CliRunner

from cptstudio.cli.detect import detect
from cptstudio.errors import UserError
from tests.runs.external import TRAIN, make_package, running, wait_for

application = typer.Typer()
application.command("detect")(detect)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    return make_package(tmp_path / "packages")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    return path


def run(*arguments: str, folder: Path, answers: str = "") -> str:
    command = ["--workspace", str(folder), *arguments]
    result = CliRunner().invoke(application, command, input=answers)
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_it_lists_what_trains_as_text_and_as_json(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        text = run(folder=folder)
        assert str(process.pid) in text
        assert str(folder.resolve() / "out") in text
        listed = json.loads(run("--json", folder=folder))
    (one,) = [one for one in listed["processes"] if one["pid"] == process.pid]
    assert one["command"] == TRAIN
    assert one["adapter_folder"] == str(folder.resolve() / "out")
    assert one["log_file"] == str(log.resolve())
    assert one["trains"] is True
    assert one["iterations"] is None
    assert [path.name for path in folder.iterdir()] == ["train.log"]


def test_it_can_be_turned_off_by_flag_and_by_setting(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages) as process:
        off = json.loads(run("--no-detect", "--json", folder=folder))
        assert off == {"off": True, "looked_at": 0, "processes": []}
        private = folder / ".cpt-studio"
        private.mkdir()
        (private / "settings.json").write_text('{"detect": false}')
        assert "Detection is off" in run(folder=folder)
        with pytest.raises(UserError, match="is off"):
            run("--stop", str(process.pid), folder=folder)


def test_stopping_asks_twice(packages: Path, folder: Path) -> None:
    with running(TRAIN, folder, packages) as process:
        pid = str(process.pid)
        for answers in ("n\n", "y\n1\n"):
            with pytest.raises(UserError, match="Canceled"):
                run("--stop", pid, folder=folder, answers=answers)
        assert process.poll() is None
        assert "Sent SIGTERM" in run("--stop", pid, folder=folder, answers=f"y\n{pid}\n")
        assert process.wait() < 0
        with pytest.raises(UserError, match="is not a known training process"):
            run("--stop", pid, folder=folder, answers=f"y\n{pid}\n")


def test_watching_asks_and_prints_what_the_log_tells(packages: Path, folder: Path) -> None:
    log = folder / "train.log"
    with log.open("wb") as output, running(TRAIN, folder, packages, output) as process:
        pid = str(process.pid)
        with pytest.raises(UserError, match="Canceled"):
            run("--watch", pid, folder=folder, answers="n\n")

        def end_it_once_it_is_watched() -> None:
            own = psutil.Process()
            wait_for(
                lambda: sum(file.path == str(log.resolve()) for file in own.open_files()) > 1,
                "the log is open for writing and for reading",
            )
            assert process.stdin is not None
            process.stdin.close()

        thread = threading.Thread(target=end_it_once_it_is_watched)
        thread.start()
        text = run("--watch", pid, folder=folder, answers="y\n")
        thread.join()
    assert "iteration 1: validation loss 3.250" in text
    assert "iteration 10: training loss 2.500" in text
