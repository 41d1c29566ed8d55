"""`cpt-studio runs ...` as it is typed, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio.runs import terminal
from cptstudio.runs.launching import TRAINER_MODULE
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.keeping import eventually
from tests.runs.test_remedies import remembered_run, tree_hash
from tests.runs.test_training_manager import LONG, wait_for_end, wait_for_step
from tests.runs.toy_runs import make_toy_parts, toy_config

pytestmark = pytest.mark.slow

_COMMAND = (sys.executable, "-m", "cptstudio.cli", "runs")


def runs(
    workspace: Workspace, *arguments: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *arguments, "--workspace", str(workspace.root)],
        input=typed,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )


def test_looking_shows_states_and_writes_nothing(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    workspace.root.mkdir()
    assert "No runs" in runs(workspace, "list").stdout
    remembered_run(workspace, parts, "lost", ended=False)
    remembered_run(workspace, parts, "killed", ended=True)
    before = tree_hash(workspace.root)
    listed = runs(workspace, "list").stdout
    assert "ended (killed)" in listed and "lost" in listed
    facts = {fact["id"]: fact for fact in json.loads(runs(workspace, "list", "--json").stdout)}
    assert facts["killed"]["outcome"] == "killed" and facts["lost"]["state"] == "lost"
    shown = runs(workspace, "show", "lost").stdout
    assert "nobody recorded how it ended" in shown and "toy (domain)" in shown
    watched = runs(workspace, "watch", "lost", "--json").stdout.splitlines()
    assert [list(json.loads(line)) for line in watched] == [["row"], ["state"]]
    assert tree_hash(workspace.root) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nothing"], "There is no run 'nothing'"),
        (["show", "../etc"], "is not a valid run name"),
        (["stop", "lost"], "nothing to stop"),
        (["force-stop", "lost"], "not an interactive terminal"),
        (["resume", "lost"], "not an interactive terminal"),
        (["resume", "lost", "--yes", "--checkpoint", "step-00000009"], "no complete checkpoint"),
        (["delete", "lost"], "not an interactive terminal"),
        (["fork", "lost", "new"], "no complete checkpoint"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    workspace: Workspace, parts: dict[str, Any], arguments: list[str], message: str
) -> None:
    remembered_run(workspace, parts, "lost", ended=False)
    before = tree_hash(workspace.root)
    done = runs(workspace, *arguments)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert tree_hash(workspace.root) == before


def test_delete_removes_the_run_and_its_memory(workspace: Workspace, parts: dict[str, Any]) -> None:
    remembered_run(workspace, parts, "lost", ended=False)
    assert runs(workspace, "delete", "lost", "--yes").returncode == 0
    assert not workspace.run("lost").exists()
    assert not list((workspace.private / "runs").iterdir())


@pytest.mark.slow
def test_a_run_is_resumed_watched_stopped_and_forked_from_the_terminal(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    manager = TrainingManager(workspace)
    manager.start(toy_config(parts, "first", LONG))
    wait_for_step(manager, "first", 12)
    stopped = runs(workspace, "stop", "first", "--wait")
    assert "ended (stopped)" in stopped.stdout, stopped.stderr
    resumed = runs(workspace, "resume", "first", "--yes")
    assert "is training in the background" in resumed.stdout, resumed.stderr
    with subprocess.Popen(
        [*_COMMAND, "watch", "first", "--json", "--workspace", str(workspace.root)],
        stdout=subprocess.PIPE,
    ) as watching:
        assert watching.stdout is not None
        sessions = (json.loads(line).get("row", {}).get("session") for line in watching.stdout)
        assert any(session == 1 for session in sessions)
        killed = runs(workspace, "kill", "first", "--yes")
        assert "Force-stopped by you." in killed.stdout, killed.stderr
        rest = watching.stdout.read().splitlines()
        assert json.loads(rest[-1])["state"]["outcome"] == "killed"
    forked = runs(workspace, "fork", "first", "second", "--set", "length=3 steps")
    assert forked.returncode == 0, forked.stderr
    wait_for_end(manager, "second")
    assert "second" in runs(workspace, "list").stdout
    assert str(manager.run("second").state) == "ended (completed)"


@pytest.mark.slow
def test_the_queue_starts_its_runs_when_it_is_told_to(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    workspace.root.mkdir()
    assert "The queue is empty" in runs(workspace, "queue").stdout
    manager = TrainingManager(workspace)
    for name in ("one", "two"):
        manager.start(toy_config(parts, name, 3), queue=True)
    assert "1. one\n2. two\n" in runs(workspace, "queue").stdout
    assert "two is now number 1" in runs(workspace, "queue", "move", "two", "1").stdout
    assert "1. two\n2. one\n" in runs(workspace, "queue").stdout
    assert "Use 1 to 2" in runs(workspace, "queue", "move", "two", "3").stderr
    runs(workspace, "queue", "move", "one", "1")
    assert str(manager.run("one").state) == "prepared"
    done = runs(workspace, "queue", "--start")
    assert "The queue is empty" in done.stdout, done.stderr
    wait_for_end(manager, "two")
    assert {str(run.state) for run in manager.runs()} == {"ended (completed)"}


def test_a_process_that_only_looks_like_a_trainer_is_never_signalled(
    workspace: Workspace, parts: dict[str, Any]
) -> None:
    directory = remembered_run(workspace, parts, "lost", ended=False)
    code = "import time; time.sleep(3600)"
    words = ["-m", TRAINER_MODULE, str(directory)]
    with subprocess.Popen([sys.executable, "-c", code, *words]) as lookalike:
        (directory / "trainer.lock").write_text(f"{lookalike.pid}\n")
        eventually(lambda: words[-1] in psutil.Process(lookalike.pid).cmdline(), "its start")
        assert terminal.trainer_of(directory) is None
        for request in ("stop", "kill"):
            assert runs(workspace, request, "lost", *(["--yes"][: request == "kill"])).returncode
        assert lookalike.poll() is None
        lookalike.kill()


def test_imported_runs_are_listed_shown_and_forgotten(workspace: Workspace) -> None:
    fixtures = Path(__file__).parent / "fixtures"
    before = tree_hash(fixtures)
    files = [str(fixtures / name) for name in ("CPT_ended.json", "mlx-lm-lora-file.log")]
    imported = json.loads(runs(workspace, "import", *files, "--json").stdout)
    assert [entry["source"] for entry in imported] == ["forgellm", "log"]
    listed = runs(workspace, "list").stdout
    for entry in imported:
        assert entry["id"] in listed
    first, second = (entry["id"] for entry in imported)
    facts = {fact["id"]: fact for fact in json.loads(runs(workspace, "list", "--json").stdout)}
    assert facts[first]["state"] == "imported" and facts[first]["last_row"]["step"] == 12
    shown = runs(workspace, "show", first).stdout
    assert "toy-cpt" in shown and "read-only" in shown
    watched = runs(workspace, "watch", first, "--json").stdout.splitlines()
    rows = [json.loads(line)["row"] for line in watched]
    assert rows[-1]["corpora"]["validation"]["loss"] and rows[-2]["loss"]
    assert "validation loss" in runs(workspace, "watch", first, "--after", "3").stdout
    refused = runs(workspace, "delete", first, "--yes")
    assert refused.returncode == 1 and "read-only" in refused.stderr
    assert runs(workspace, "forget", first).returncode == 0
    assert first not in runs(workspace, "list").stdout
    assert second in runs(workspace, "list").stdout
    assert "does not exist" in runs(workspace, "import", str(fixtures / "nothing")).stderr
    assert tree_hash(fixtures) == before


@pytest.mark.slow
def test_train_in_the_background_is_kept_and_in_the_queue_waits(tmp_path: Path) -> None:
    parts = make_toy_parts(tmp_path / "workspace")
    workspace = Workspace(tmp_path / "workspace")

    def train(name: str, *more: str) -> subprocess.CompletedProcess[str]:
        settings = ["--model", parts["model_path"], "--corpus", "toy", "--sequence-length", "32"]
        command = [*_COMMAND[:-1], "train", "--name", name, *settings, "--length", "100000 steps"]
        return subprocess.run(
            [*command, *more, "--workspace", str(workspace.root)], capture_output=True, text=True
        )

    started = train("first", "--background")
    assert started.returncode == 0, started.stderr
    assert "runs watch first" in started.stdout
    manager = TrainingManager(workspace)
    run = wait_for_step(manager, "first", 1)
    assert run.keeper_pid is not None and not run.state.alone
    refused = train("second", "--background")
    assert refused.returncode == 1 and "in use by first" in refused.stderr
    assert not workspace.run("second").exists()
    waiting = train("second", "--queue")
    assert waiting.returncode == 0 and "queue --start" in waiting.stdout, waiting.stderr
    assert str(manager.run("second").state) == "prepared"
    taken = train("first", "--background", "--queue")
    assert taken.returncode == 1 and "Choose another name" in taken.stderr
    manager.kill("first")
    wait_for_end(manager, "first")
    assert str(manager.run("second").state) == "prepared"
