"""Runs of other programs in the history, and their processes through the manager's door."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.run_rows import current_rows
from cptstudio.runs.external.external_training import ExternalTraining
from cptstudio.runs.external.foreign_rows import ForeignRows
from cptstudio.runs.external.log_parser import LogRecord
from cptstudio.runs.preferences import Preferences, write_preferences
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.external import TRAIN, make_package, running, tree_hash
from tests.runs.test_states import HOSTILE

FIXTURES = Path(__file__).parent / "fixtures"
LOG = "mlx-lm-table-file.log"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of another program: two runs of ForgeLLM, a log and plain metrics."""
    folder = tmp_path / "elsewhere"
    (folder / "first").mkdir(parents=True)
    shutil.copy(FIXTURES / "CPT_ended.json", folder / "first")
    shutil.copy(FIXTURES / "CPT_interrupted.json", folder)
    shutil.copy(FIXTURES / LOG, folder)
    (folder / "plain.jsonl").write_text('{"step": 3, "loss": 2.5, "lr": 0.1}\n{"step": 4}\n')
    return folder


def test_imported_runs_are_listed_with_rows_and_nothing_is_written_there(
    workspace: Workspace, foreign: Path
) -> None:
    before = tree_hash(foreign)
    manager = TrainingManager(workspace)
    assert manager.external.imported() == []
    assert not workspace.root.exists()
    both = manager.external.import_runs(foreign)
    assert {entry.path.name for entry in both} == {"CPT_ended.json", "CPT_interrupted.json"}
    (log,) = manager.external.import_runs(foreign / LOG)
    (plain,) = manager.external.import_runs(foreign / "plain.jsonl")
    manager.external.import_runs(foreign)  # Once more changes nothing.

    again = TrainingManager(workspace).external
    assert {entry.id for entry in again.imported()} == {e.id for e in [*both, log, plain]}
    assert all(entry.run is not None and not entry.in_workspace for entry in again.imported())
    assert again.imported_run(plain.id).history().rows == (
        {"seq": 1, "session": 0, "kind": "train", "step": 3, "loss": 2.5, "learning_rate": 0.1},
    )
    assert plain.problems() == ["1 rows without iteration and loss were skipped."]
    for entry in again.imported():
        rows = list(entry.history().rows)
        assert current_rows(rows) == rows
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        assert entry.as_json()["last_row"] == entry.last_row()
    assert manager.runs() == []
    assert not (workspace.root / "models").exists()
    assert tree_hash(foreign) == before


def test_rows_have_our_names_and_units_and_nothing_that_was_not_reported() -> None:
    records = [
        LogRecord("planned", planned_iterations=20),
        LogRecord("validation", 1, validation_loss=3.25, validation_seconds=0.5),
        LogRecord("train", 10, train_loss=float("nan"), peak_memory_gigabytes=1.5),
        LogRecord("saved", 10, saved_paths=("a.safetensors", "b.safetensors")),
        LogRecord("test", test_loss=2.0),
        LogRecord("traceback", traceback="ValueError: x"),
    ]
    history = ForeignRows().add(records)
    assert history.rows == (
        {"seq": 1, "session": 0, "kind": "evaluation", "step": 1,
         "corpora": {"validation": {"role": "evaluation", "loss": 3.25}},
         "evaluation_seconds": 0.5},
        {"seq": 2, "session": 0, "kind": "train", "step": 10, "loss": "NaN",
         "memory_peak": 1_500_000_000},
        {"seq": 3, "session": 0, "kind": "evaluation",
         "corpora": {"test": {"role": "evaluation", "loss": 2.0}}},
    )  # fmt: skip
    assert history.events == (
        {"event": "started", "message": "20 iterations are planned.", "planned_steps": 20},
        {"event": "checkpoint", "message": "Saved a.safetensors and b.safetensors.", "step": 10},
        {"event": "traceback", "message": "ValueError: x"},
    )


def test_an_imported_run_cannot_be_stopped_resumed_or_deleted(
    workspace: Workspace, foreign: Path
) -> None:
    manager = TrainingManager(workspace)
    (entry,) = manager.external.import_runs(foreign / LOG)
    before = tree_hash(foreign)
    acts: list[Callable[[], object]] = [
        lambda: manager.stop(entry.id),
        lambda: manager.kill(entry.id),
        lambda: manager.resume(entry.id, confirmed=True),
        lambda: manager.fork_config(entry.id, None, "new"),
        lambda: manager.delete(entry.id, confirmed=True),
    ]
    for act in acts:
        with pytest.raises(UserError, match="read-only"):
            act()
    manager.external.forget_imported(entry.id)
    assert manager.external.imported() == []
    with pytest.raises(UserError, match="no imported run"):
        manager.external.forget_imported(entry.id)
    assert tree_hash(foreign) == before


def test_a_file_that_grows_is_read_anew_and_one_that_is_gone_is_named(
    workspace: Workspace, foreign: Path
) -> None:
    external = TrainingManager(workspace).external
    log = foreign / "plain.jsonl"
    (entry,) = external.import_runs(log)
    assert external.imported_run(entry.id).run is external.imported_run(entry.id).run
    with log.open("a") as file:
        file.write('{"step": 5, "loss": 2.25}\n')
    assert [row["step"] for row in external.imported_run(entry.id).history().rows] == [3, 5]
    log.unlink()
    gone = external.imported_run(entry.id)
    assert gone.run is None and gone.problem is not None and "no longer exists" in gone.problem
    assert gone.history().rows == ()
    external.forget_imported(entry.id)
    assert external.imported() == []


def test_runs_of_forgellm_in_the_workspace_are_shown_while_they_are_there(
    workspace: Workspace, foreign: Path
) -> None:
    workspace.make(workspace.runs)
    shutil.copytree(foreign / "first", workspace.run("first"))
    before = tree_hash(workspace.root)
    manager = TrainingManager(workspace)
    (entry,) = manager.external.imported()
    assert entry.in_workspace and entry.run is not None and entry.run.source == "forgellm"
    assert manager.runs() == []
    assert tree_hash(workspace.root) == before
    with pytest.raises(UserError, match="as long as it exists"):
        manager.external.forget_imported(entry.id)
    shutil.rmtree(workspace.run("first"))
    assert manager.external.imported() == []


@pytest.mark.slow
@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_a_hostile_file_hides_no_other_run_and_is_not_imported(
    workspace: Workspace, foreign: Path, make: Callable[[Path], None]
) -> None:
    external = TrainingManager(workspace).external
    for name in (LOG, "plain.jsonl", "CPT_interrupted.json"):
        external.import_runs(foreign / name)
        (foreign / name).unlink()
        make(foreign / name)
    external.import_runs(foreign / "first")
    found = {entry.path.name: entry for entry in external.imported()}
    assert found.pop("CPT_ended.json").problem is None
    assert len(found) == 3
    for entry in found.values():
        assert entry.run is None and entry.problem is not None
        assert str(entry.path) in entry.problem
    make(foreign / "new.json")
    with pytest.raises(UserError):
        external.import_runs(foreign / "new.json")


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_a_damaged_list_is_named(workspace: Workspace, make: Callable[[Path], None]) -> None:
    workspace.make(workspace.private)
    make(workspace.private / "imported.json")
    manager = TrainingManager(workspace)
    assert manager.runs() == []
    with pytest.raises(UserError, match=r"imported\.json"):
        manager.external.imported()


# --- processes -------------------------------------------------------------------------------


def test_a_process_is_watched_and_stopped_through_the_manager(
    workspace: Workspace, tmp_path: Path
) -> None:
    packages, folder = make_package(tmp_path / "packages"), tmp_path / "work"
    folder.mkdir()
    external = ExternalTraining(workspace)
    with (
        (folder / "log").open("wb") as output,
        running(TRAIN, folder, packages, output) as process,
    ):
        before = tree_hash(folder)
        token = external.ask(process.pid, "watch").token
        with pytest.raises(UserError, match="confirmation is not valid"):
            external.stop(token)
        token = external.ask(process.pid, "watch").token
        news = external.watch(token)
        assert next(news).events[0]["planned_steps"] == 20
        (row,) = next(news).rows
        assert (row["seq"], row["corpora"]["validation"]["loss"]) == (1, 3.25)
        assert process.poll() is None
        assert tree_hash(folder) == before
        external.stop(external.ask(process.pid, "stop").token)
        assert process.wait() == -signal.SIGTERM
        assert list(news) == []
    with pytest.raises(UserError, match="no process"):
        external.ask(process.pid, "watch")
    assert not workspace.root.exists()


def test_what_does_not_train_is_not_asked_for_and_a_setting_turns_it_off(
    workspace: Workspace, tmp_path: Path
) -> None:
    external = ExternalTraining(workspace)
    with pytest.raises(UserError, match="is not training"):
        external.ask(os.getpid(), "stop")
    write_preferences(workspace.private, Preferences(detect=False))
    packages = make_package(tmp_path / "packages")
    with running(TRAIN, tmp_path, packages, subprocess.DEVNULL) as process:
        with pytest.raises(UserError, match="Detection is off"):
            external.ask(process.pid, "stop")
        assert external.detect().off
        assert process.poll() is None
