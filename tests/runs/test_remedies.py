"""The five things that the predecessor did wrong at start-up, each held to its remedy.

It looked for processes by name and for recent logs, made deleted folders and configurations
anew, and went on training, silently. Here: confirmation, a switch, forgetting, a line in the
log for each decision, and nothing deleted ever comes back.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.runs import launching, records
from cptstudio.runs.identity import ProcessIdentity
from cptstudio.runs.preferences import Preferences, write_preferences
from cptstudio.runs.records import ExitRecord, KeeperRecord, Spec
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import toy_config
from tests.web.server_process import running_server


def tree_hash(folder: Path) -> str:
    """Names, kinds, sizes, times and contents of everything below a folder."""
    digest = hashlib.sha256()
    for directory, names, files in sorted(os.walk(folder)):
        names.sort()
        for name in sorted([*names, *files]):
            path = Path(directory, name)
            status = path.lstat()
            digest.update(f"{path} {status.st_mode} {status.st_size} {status.st_mtime_ns}".encode())
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def remembered_run(workspace: Workspace, parts: dict[str, Any], name: str, ended: bool) -> Path:
    """A run that was trained and killed: its directory, its rows, and what is remembered."""
    directory = workspace.make(workspace.run(name))
    config = toy_config(parts, name, 50)
    run_files.write_record(directory / run_files.CONFIG, config)
    (directory / run_files.METRICS).write_text('{"seq":1,"session":0,"kind":"train","step":1}\n')
    folder = workspace.make(launching.private_folder(workspace.private, name), 0o700)
    command = launching.trainer_command(directory, launching.Beginning())
    records.write(
        folder / records.SPEC,
        Spec("a", name, str(directory), config.created, command, None, False, 1.0),
    )
    gone = ProcessIdentity(4_000_000, 1.0, "an earlier boot")
    records.write(folder / records.KEEPER, KeeperRecord("a", gone, gone, 1.0, None))
    if ended:
        killed = ExitRecord("a", None, 9, "", "kill", 1.0, 2.0, 1.0)
        records.write(folder / records.EXIT, killed)
    (folder / records.LOCK).touch()
    return directory


@pytest.fixture
def two_runs(workspace: Workspace, parts: dict[str, Any]) -> list[Path]:
    return [
        remembered_run(workspace, parts, "lost", ended=False),
        remembered_run(workspace, parts, "killed", ended=True),
    ]


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_starting_up_only_reads_and_starts_nothing(
    workspace: Workspace, two_runs: list[Path]
) -> None:
    before = tree_hash(workspace.root)
    for _ in range(3):
        manager = TrainingManager(workspace)
        assert {run.id: str(run.state) for run in manager.runs()} == {
            "lost": "lost",
            "killed": "ended (killed)",
        }
        manager.external.detect()
        manager.close()
    assert tree_hash(workspace.root) == before
    assert not children()


def test_a_server_adds_nothing_but_its_lock_and_the_format(
    workspace: Workspace, two_runs: list[Path]
) -> None:
    with TrainingManager(workspace).serve():
        pass
    (workspace.private / "server.lock").unlink()
    (workspace.private / "workspace.json").unlink()
    assert sorted(path.name for path in workspace.private.iterdir()) == ["runs"]
    assert not children()


def programs_below(master: int) -> set[str]:
    """What runs below a server; its worker and the worker's guard are forks of the server."""
    process = psutil.Process(master)
    forks = "gunicorn's worker and its guard"
    return {
        forks if child.cmdline() == process.cmdline() else " ".join(child.cmdline())
        for child in process.children(recursive=True)
    }


@pytest.mark.slow
def test_the_web_server_starts_nothing_and_touches_no_run(
    workspace: Workspace, two_runs: list[Path]
) -> None:
    """The real one, three times, with everything of it asked for; then the runs are deleted."""
    models, remembered = workspace.root / "models", workspace.private / "runs"
    before = tree_hash(models), tree_hash(remembered)
    for _ in range(3):
        with running_server(workspace.root) as server:
            cookie = server.sign_in()
            listed = server.api(cookie, "GET", "/api/runs").json["runs"]
            assert {run["id"]: run["state"]["name"] for run in listed} == {
                "lost": "lost",
                "killed": "ended",
            }
            for page in ("lost", "killed"):
                assert server.api(cookie, "GET", f"/api/runs/{page}").status == 200
            assert programs_below(server.process.pid) == {"gunicorn's worker and its guard"}
        assert (tree_hash(models), tree_hash(remembered)) == before
    shutil.rmtree(models)
    with running_server(workspace.root) as server:
        assert server.api(server.sign_in(), "GET", "/api/runs").json["runs"] == []
        assert programs_below(server.process.pid) == {"gunicorn's worker and its guard"}
    assert not models.exists() and not list(remembered.iterdir())


def test_an_empty_workspace_stays_empty(workspace: Workspace) -> None:
    assert TrainingManager(workspace).runs() == []
    assert not workspace.root.exists()


def test_confirmation_nothing_is_resumed_without_it(
    workspace: Workspace, two_runs: list[Path]
) -> None:
    before = tree_hash(workspace.root)
    manager = TrainingManager(workspace)
    for directory in two_runs:
        with pytest.raises(UserError, match=r"resume \S+ from the beginning"):
            manager.resume(directory.name, confirmed=False)
        with pytest.raises(UserError, match="Confirm that you want"):
            manager.delete(directory.name, confirmed=False)
    assert tree_hash(workspace.root) == before
    assert not children()


def test_a_flag_and_a_setting_turn_detection_off(workspace: Workspace) -> None:
    assert TrainingManager(workspace, detect=False).external.detect().off
    write_preferences(workspace.private, Preferences(detect=False))
    assert TrainingManager(workspace).external.detect().off
    assert not TrainingManager(workspace, detect=True).external.detect().off


def test_what_is_remembered_goes_with_the_directory(
    workspace: Workspace, two_runs: list[Path]
) -> None:
    manager = TrainingManager(workspace)
    assert len(manager.runs()) == 2
    shutil.rmtree(workspace.run("lost"))
    assert [run.id for run in manager.runs()] == ["killed"]
    assert not launching.private_folder(workspace.private, "lost").exists()
    shutil.rmtree(workspace.root / "models")
    assert TrainingManager(workspace).runs() == []
    assert list((workspace.private / "runs").iterdir()) == []


def test_a_new_run_of_a_deleted_ones_name_inherits_nothing(
    workspace: Workspace, parts: dict[str, Any], two_runs: list[Path]
) -> None:
    shutil.rmtree(workspace.run("killed"))
    directory = workspace.make(workspace.run("killed"))
    run_files.write_record(directory / run_files.CONFIG, toy_config(parts, "killed", 9))
    assert str(TrainingManager(workspace).run("killed").state) == "prepared"


def test_each_decision_is_logged_with_its_evidence(
    workspace: Workspace, two_runs: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="cptstudio.runs"):
        manager = TrainingManager(workspace)
        manager.runs()
        manager.runs()
        shutil.rmtree(workspace.run("killed"))
        manager.runs()
        TrainingManager(workspace, detect=False).external.detect()
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if line.startswith("run lost:")] == [
        "run lost: lost, because it is not running, and nobody recorded how it ended "
        "(the machine was restarted since)"
    ]
    assert [line for line in lines if line.startswith("run killed:")] == [
        "run killed: ended (killed), because Force-stopped by you.",
        f"run killed: forgotten because {workspace.run('killed')} is gone",
    ]
    assert any("is off" in line for line in lines)


@pytest.mark.slow
def test_deleted_directories_never_come_back(workspace: Workspace, two_runs: list[Path]) -> None:
    shutil.rmtree(workspace.root / "models")
    code = (
        "import sys\n"
        "from cptstudio.runs.training_manager import TrainingManager\n"
        "from cptstudio.workspace import Workspace\n"
        "with TrainingManager(Workspace(sys.argv[1])).serve() as queue:\n"
        "    queue.go_on(); queue.tick()\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code, str(workspace.root)], check=True)
        assert not (workspace.root / "models").exists()
    manager = TrainingManager(workspace)
    for name in ("lost", "killed"):
        for act in (manager.run, manager.stop, manager.kill, manager.start_prepared):
            with pytest.raises(UserError, match="There is no run"):
                act(name)
        with pytest.raises(UserError, match="There is no run"):
            manager.resume(name, confirmed=True)
    assert not (workspace.root / "models").exists()


def test_forgetting_and_starting_a_run_of_the_same_name_do_not_disturb_each_other(
    workspace: Workspace,
) -> None:
    """One process forgets what has no directory, another one takes its lock, over and over."""
    code = (
        "import sys, time\n"
        "from cptstudio.runs import forgetting\n"
        "from cptstudio.workspace import Workspace\n"
        "workspace = Workspace(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        # One that computes all the time is interrupted by the system while it holds the lock.
        "while True: time.sleep(0.0005) or forgetting.forget(workspace, 'run')\n"
    )
    workspace.make(workspace.private)
    folder = launching.private_folder(workspace.private, "run")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE
    ) as forgetful:
        try:
            assert forgetful.stdout is not None
            assert forgetful.stdout.readline() == b"ready\n"
            for _ in range(300):
                with launching.take_run(folder, "run") as lock:
                    assert os.path.samestat(os.fstat(lock.descriptor), (folder / "lock").stat())
            assert forgetful.poll() is None
        finally:
            forgetful.kill()


def test_a_file_where_a_runs_private_folder_belongs_is_named(workspace: Workspace) -> None:
    folder = launching.private_folder(workspace.private, "run")
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="runs/run is not a folder"):
        launching.take_run(folder, "run")
    assert folder.read_text(encoding="utf-8") == "in the way"
