"""The manager over real trainings: start, find again, stop, resume, fork, queue, delete."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio import run_files, run_rows
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import RunConfig
from cptstudio.run_phases import BEFORE_TRAINING
from cptstudio.runs import launching, locks, on_run_end, preferences, records
from cptstudio.runs.preferences import Preferences, write_preferences
from cptstudio.runs.records import KeeperRecord
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.keeping import eventually
from tests.runs.toy_runs import toy_config

LONG = 100_000
pytestmark = pytest.mark.slow


@pytest.fixture
def manager(workspace: Workspace) -> Any:
    made = TrainingManager(workspace, prevent_sleep=False)
    yield made
    made.close()
    for run in made.runs():
        if run.lock_held:
            made.kill(run.id)
            wait_for_end(made, run.id)


def wait_for_end(manager: TrainingManager, id: str) -> None:
    eventually(lambda: not manager.run(id).lock_held, "the end", 240)


def wait_for_step(manager: TrainingManager, id: str, step: int) -> Run:
    """Wait until the run has trained so far."""

    def look() -> Run | None:
        run = manager.run(id)
        assert run.state.alive, f"{run.state}: {run.state.reason}\n{log(run)}"
        row = run.last_row()
        return run if row is not None and row["step"] >= step else None

    return eventually(look, f"step {step} of {id}", 240)


def log(run: Run) -> str:
    try:
        return (run.directory / run_files.LOG).read_text()
    except FileNotFoundError:
        return ""


def kept(manager: TrainingManager, id: str) -> KeeperRecord:
    folder = launching.private_folder(manager.workspace.private, id)
    found = records.read(folder / records.KEEPER, KeeperRecord)
    assert found is not None
    return found


def comparable(directory: Path) -> list[dict[str, Any]]:
    """The rows that hold, without time, speed, memory and place in the file."""
    measured = ("seconds", "time", "elapsed", "memory", "per_second", "seq", "session")
    rows = run_rows.current_rows(read_json_lines(directory / run_files.METRICS).records)
    return [
        {key: value for key, value in row.items() if not any(part in key for part in measured)}
        for row in rows
    ]


_opened: list[str] | None = None


def _note_reads(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and not arguments[2] & os.O_ACCMODE:
        _opened.append(str(arguments[0]))


sys.addaudithook(_note_reads)


def test_a_run_trains_to_its_end_and_is_watched(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    prepared: list[str] = []
    manager.call_before_launch(lambda config: prepared.append(config.name))
    config = toy_config(parts, "first", 30)
    global _opened
    _opened = []
    manager.start(config)
    opened, _opened = _opened, None
    read = [path for path in opened if path.startswith(str(manager.workspace.run("first")))]
    assert read and not [path for path in read if path.endswith("config.json")], "not read back"
    assert prepared == ["first"]
    rows, events, seen, phases = [], [], [], []
    for update in manager.watch("first"):
        phases += [update.phase.name] if update.phase else []
        rows += [row["seq"] for row in update.rows]
        events += [event["event"] for event in update.events]
        seen += [str(update.state)] if update.state else []
    assert seen[-1] == "ended (completed)" and "running" in seen
    assert phases[0] in BEFORE_TRAINING
    assert rows == list(range(1, len(rows) + 1)) and len(rows) >= 30
    assert events[0] == "started" and events[-1] == "ended"
    assert [row["seq"] for u in manager.watch("first", rows[-3]) for row in u.rows] == rows[-2:]
    run = manager.run("first")
    assert run.exit is not None and run.exit.code == 0 and run.exit.duration > 0
    with pytest.raises(UserError, match="nothing to stop"):
        manager.stop("first")
    with pytest.raises(UserError, match="Only a run that has not started"):
        manager.start_prepared("first")


def start_in_another_process(workspace: Workspace, config: RunConfig) -> subprocess.Popen[bytes]:
    """A server that starts a run and then only lives on."""
    code = (
        "import sys, time\n"
        "from cptstudio.run_files import RunConfig\n"
        "from cptstudio.runs.training_manager import TrainingManager\n"
        "from cptstudio.workspace import Workspace\n"
        "manager = TrainingManager(Workspace(sys.argv[1]), prevent_sleep=False)\n"
        "with manager.serve():\n"
        "    manager.start(RunConfig.model_validate_json(sys.argv[2]))\n"
        "    print('started', flush=True)\n"
        "    time.sleep(3600)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root), config.model_dump_json()],
        stdout=subprocess.PIPE,
    )


def test_a_run_outlives_its_server_and_stops_within_a_step(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    server = start_in_another_process(manager.workspace, toy_config(parts, "long", LONG))
    assert server.stdout is not None
    assert server.stdout.readline() == b"started\n"
    with pytest.raises(UserError, match=f"process {server.pid}"), manager.serve():
        pass
    server.kill()
    server.communicate()
    wait_for_step(manager, "long", 5)
    assert [run.id for run in manager.alive()] == ["long"]
    with pytest.raises(UserError, match="Only a run that has ended"):
        manager.resume("long", confirmed=True)
    with pytest.raises(UserError, match="device is in use by long"):
        manager.start(toy_config(parts, "another", 5))
    manager.stop("long")
    wait_for_end(manager, "long")
    run = manager.run("long")
    assert str(run.state) == "ended (stopped)", log(run)
    assert run.exit is not None and run.exit.requested == "stop"
    last = run.last_row()
    assert last is not None
    assert run.checkpoints()[-1] == run_files.checkpoint_name(last["step"])

    # Whoever is killed with the whole group of processes leaves an end that nobody knows.
    manager.resume("long", confirmed=True)
    wait_for_step(manager, "long", last["step"] + 5)
    who = kept(manager, "long")
    os.kill(who.keeper.pid, signal.SIGKILL)
    eventually(lambda: manager.run("long").state.name == "orphaned", "the orphan")
    assert [run.state.name for run in manager.alive()] == ["orphaned"]
    os.killpg(who.trainer.pid, signal.SIGKILL)
    wait_for_end(manager, "long")
    assert str(manager.run("long").state) == "lost" and manager.alive() == []
    with pytest.raises(UserError, match="Confirm that"):
        manager.delete("long", confirmed=False)
    manager.delete("long", confirmed=True)
    assert manager.runs() == []
    assert not list(manager.workspace.runs.iterdir())


def test_an_orphan_is_stopped_after_its_identity_is_checked(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    manager.start(toy_config(parts, "orphan", LONG))
    wait_for_step(manager, "orphan", 3)
    who = kept(manager, "orphan")
    os.kill(who.keeper.pid, signal.SIGKILL)
    eventually(lambda: manager.run("orphan").state.name == "orphaned", "the orphan")
    path = launching.private_folder(manager.workspace.private, "orphan") / records.KEEPER
    for change in ({"start": 1.5}, {"boot": "another"}, {"pid": os.getpid()}, {"pid": 1}):
        records.write(path, replace(who, trainer=replace(who.trainer, **change)))
        for act in (manager.stop, manager.kill):
            with pytest.raises(UserError, match="Could not identify the trainer"):
                act("orphan")
        assert psutil.pid_exists(who.trainer.pid)
    records.write(path, who)
    manager.stop("orphan")
    wait_for_end(manager, "orphan")
    assert str(manager.run("orphan").state) == "lost (reported by the trainer: stopped)"


def test_a_killed_run_resumed_equals_the_uninterrupted_one(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    steps = 200
    manager.start(toy_config(parts, "whole", steps))
    wait_for_end(manager, "whole")
    manager.start(toy_config(parts, "killed", steps))
    wait_for_step(manager, "killed", 15)
    manager.kill("killed")
    wait_for_end(manager, "killed")
    run = manager.run("killed")
    if run.state.outcome != "completed":
        assert str(run.state) == "ended (killed)"
        assert run.exit is not None and run.exit.requested == "kill"
        manager.resume("killed", confirmed=True)
        wait_for_end(manager, "killed")
    assert str(manager.run("killed").state) == "ended (completed)"
    assert comparable(manager.workspace.run("killed")) == comparable(manager.workspace.run("whole"))


def test_a_hanging_trainer_is_shown_as_stalled_and_can_be_killed(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    manager = TrainingManager(workspace, prevent_sleep=False, stalled_after=1.0)
    manager.start(toy_config(parts, "hangs", LONG))
    wait_for_step(manager, "hangs", 2)
    assert not manager.run("hangs").stalled
    os.kill(kept(manager, "hangs").trainer.pid, signal.SIGSTOP)
    eventually(lambda: manager.run("hangs").stalled, "the stall")
    assert manager.run("hangs").state.name == "running"
    manager.stop("hangs")
    assert manager.run("hangs").state.name == "stopping"
    manager.kill("hangs")
    wait_for_end(manager, "hangs")
    assert str(manager.run("hangs").state) == "ended (killed)"


def test_a_deleted_run_ends_with_that_reason_and_never_comes_back(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    manager.start(toy_config(parts, "deleted", LONG))
    run = wait_for_step(manager, "deleted", 12)
    with (run.directory / run_files.LOG).open() as output:
        shutil.rmtree(run.directory, ignore_errors=True)
        shutil.rmtree(run.directory, ignore_errors=True)
        for _ in range(3):
            assert all(
                found.state.name == "missing" for found in TrainingManager(manager.workspace).runs()
            )
        folder = launching.private_folder(manager.workspace.private, "deleted")
        eventually(lambda: not locks.is_held(folder / records.LOCK), "the end", 240)
        assert "was deleted" in output.read()
    assert manager.runs() == []
    assert not folder.exists() and not run.directory.exists()


def add_something_at_a_runs_end(folder: Path, patch: pytest.MonkeyPatch) -> Preferences:
    """Do what CONTRIBUTING.md says; returns the preferences with the new one turned on."""
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.partition("### Something at a run's end")[2].partition("\n### ")[0]
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", section, re.DOTALL | re.MULTILINE)
    module, setting = (textwrap.dedent(block) for block in blocks)
    (folder / "list_of_ends.py").write_text(module)
    patch.setattr(on_run_end, "__path__", [*on_run_end.__path__, str(folder)])
    names = dict(vars(preferences))
    exec(f"class Extended(Preferences):\n{textwrap.indent(setting, '    ')}", names)
    patch.setattr(preferences, "Preferences", names["Extended"])
    extended: Preferences = names["Extended"](list_ends=True)
    return extended


def test_the_queue_waits_for_the_one_before_and_after_a_restart_for_the_user(
    manager: TrainingManager,
    parts: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed = add_something_at_a_runs_end(tmp_path, monkeypatch)
    write_preferences(manager.workspace.private, changed)
    with manager.serve() as queue:
        assert not queue.paused
        manager.start(toy_config(parts, "one", LONG))
        assert manager.start(toy_config(parts, "two", 12), queue=True).queue_position == 1
        assert manager.start(toy_config(parts, "three", 12), queue=True).queue_position == 2
        with pytest.raises(UserError, match="already in the queue"):
            manager.start_prepared("two", queue=True)
        wait_for_step(manager, "one", 1)
        assert str(manager.run("two").state) == "prepared"
    with manager.serve() as queue:
        assert queue.paused
        manager.kill("one")
        wait_for_end(manager, "one")
        queue.tick()
        assert str(manager.run("two").state) == "prepared"
        # Deleted while it waited: it leaves the queue and starts nothing.
        shutil.rmtree(manager.workspace.run("three"))
        queue.go_on()
        eventually(lambda: str(manager.run("two").state) == "ended (completed)", "two", 240)
        assert manager.run("two").queue_position is None
        eventually(lambda: not manager.queue.waiting(), "the empty queue")
        told = manager.workspace.private / "ended.txt"
        eventually(
            lambda: told.exists() and "two ended (completed)" in told.read_text(), "its line"
        )
        assert not manager.workspace.run("three").exists()


def test_a_fork_starts_from_its_parents_weights(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    manager.start(toy_config(parts, "parent", 12))
    wait_for_end(manager, "parent")
    changes = {"optimizer.learning_rate": 2e-4, "length": "5 steps"}
    with pytest.raises(UserError, match="Corpora: A fork cannot change this"):
        manager.fork_config("parent", None, "child", {"data.corpora": []})
    with pytest.raises(UserError, match="Unknown field"):
        manager.fork_config("parent", None, "child", {"optimizer.speed": 1})
    manager.start(manager.fork_config("parent", None, "child", changes))
    wait_for_end(manager, "child")
    child = manager.run("child")
    assert str(child.state) == "ended (completed)", log(child)
    assert child.config is not None and child.config.parent is not None
    assert child.config.parent.run == "parent"
    evaluations = [r for r in comparable(child.directory) if r["kind"] == "evaluation"]
    parents = [r for r in comparable(manager.workspace.run("parent")) if r["kind"] == "evaluation"]
    assert evaluations[0]["domain_bits_per_byte"] == parents[-1]["domain_bits_per_byte"]


def test_a_run_of_a_terminal_is_found_and_stopped(
    manager: TrainingManager, parts: dict[str, Any]
) -> None:
    directory = manager.workspace.make(manager.workspace.run("terminal"))
    run_files.write_record(directory / run_files.CONFIG, toy_config(parts, "terminal", LONG))
    command = launching.trainer_command(directory, launching.Beginning())
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as trainer:
        run = wait_for_step_alone(manager, trainer)
        assert run.state.alone and [one.id for one in manager.alive()] == ["terminal"]
        assert not (manager.workspace.private / "runs").exists()
        manager.stop("terminal")
        assert trainer.wait(240) == run_files.EXIT_CODES["stopped"]
    assert str(manager.run("terminal").state) == "ended (stopped)"


def wait_for_step_alone(manager: TrainingManager, trainer: subprocess.Popen[bytes]) -> Run:
    def look() -> Run | None:
        assert trainer.poll() is None
        run = manager.run("terminal")
        return run if run.last_row() else None

    return eventually(look, "the first step", 240)


def test_all_problems_are_told_at_once_before_anything_is_created(
    manager: TrainingManager, parts: dict[str, Any], tmp_path: Path
) -> None:
    broken = dict(parts, model_path=str(tmp_path / "nothing"))
    broken["corpus"] = dict(parts["corpus"], path=str(tmp_path / "nowhere"))
    manager.workspace.make(manager.workspace.run("taken"))
    with pytest.raises(UserError) as caught:
        manager.start(toy_config(broken, "taken", 5))
    text = str(caught.value)
    for part in ("already", "base model folder", "corpus toy is gone"):
        assert part in text
    assert len(caught.value.problems) == 3
    assert not (manager.workspace.private / "runs").exists()
    assert not list(manager.workspace.run("taken").iterdir())


def test_a_trainer_that_fails_says_why(manager: TrainingManager, parts: dict[str, Any]) -> None:
    wrong = dict(parts, model_hash="0" * 64)
    manager.start(toy_config(wrong, "fails", 5))
    wait_for_end(manager, "fails")
    run = manager.run("fails")
    assert str(run.state) == "ended (failed)"
    assert "model" in run.state.reason
