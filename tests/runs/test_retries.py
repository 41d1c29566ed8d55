"""What was agreed before the start: a run whose memory ran out goes on with half the batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.remedies import remedies_of
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.session_settings import SessionSettings, told_last
from cptstudio.workspace import Workspace
from tests.deaths import MESSAGES, environment
from tests.runs.keeping import eventually
from tests.runs.toy_runs import toy_config

pytestmark = pytest.mark.slow
STEPS = 34


@pytest.fixture
def manager(workspace: Workspace) -> Any:
    made = TrainingManager(workspace, prevent_sleep=False)
    yield made
    for run in made.runs():
        if run.lock_held:
            made.kill(run.id)
            wait_for_end(made, run.id)


def wait_for_end(manager: TrainingManager, id: str) -> list[str]:
    """The states that were seen until its end."""
    seen: list[str] = []

    def ended() -> bool:
        state = manager.run(id).state
        if not seen or seen[-1] != str(state):
            seen.append(str(state))
        return not manager.run(id).lock_held

    eventually(ended, "the end", 600)
    seen.append(str(manager.run(id).state))
    return seen


def config_of(parts: dict[str, Any], name: str, agreed: bool) -> run_files.RunConfig:
    made = toy_config(
        parts,
        name,
        STEPS,
        batch={"size": 4},
        # One that is still being written when the run dies is none to go on from.
        checkpoints={"keep_every": 10, "background": False},
        compute={"retry_with_less": agreed},
    )
    return made.model_copy(update={"order_of": "rows"})


def dying(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: Any) -> None:
    for name, value in environment(folder, *arguments).items():
        monkeypatch.setenv(name, os.fspath(value))


def rows(directory: Path) -> list[tuple[int, float]]:
    from cptstudio.run_rows import current_rows

    found = current_rows(read_json_lines(directory / run_files.METRICS).records)
    return [(row["step"], row["loss"]) for row in found if row["kind"] == "train"]


def test_what_was_agreed_before_start_happens_by_itself(
    manager: TrainingManager,
    parts: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with monkeypatch.context() as patched:
        deaths: list[dict[str, Any]] = [
            # MLX of before throws in Metal's thread, later ones raise, jetsam kills.
            {"step": 14, "how": "abort", "message": MESSAGES["Insufficient Memory"][1]},
            {"step": 25, "how": "kill"},
        ]
        dying(patched, tmp_path / "dying", deaths)
        run = manager.start(config_of(parts, "agreed", agreed=True))
        seen = wait_for_end(manager, "agreed")
    # The queue may not take it for ended in between.
    assert {state for state in seen if state.startswith("ended")} == {"ended (completed)"}, seen
    events = read_json_lines(run.directory / run_files.EVENTS).records
    resumed = [event for event in events if event["event"] == "resumed"]
    assert [event["step"] for event in resumed] == [10, 20]
    assert [event["overrides"]["batch_size"] for event in resumed] == [2, 1]
    assert all("as agreed before the start" in event["message"] for event in resumed)
    assert run_files.read_config(run.directory).settings.batch.size == 4
    # The same as a run to which nothing happened, resumed from there with these batches.
    manager.start(config_of(parts, "spared", agreed=False))
    wait_for_end(manager, "spared")
    for checkpoint, given in (("step-00000010", 2), ("step-00000020", 1)):
        manager.resume(
            "spared", checkpoint, confirmed=True, given=SessionSettings(batch_size=given)
        )
        wait_for_end(manager, "spared")
    assert len(rows(run.directory)) == STEPS
    assert rows(run.directory) == rows(manager.run("spared").directory)


def test_what_was_not_agreed_waits_for_the_user(
    manager: TrainingManager,
    parts: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with monkeypatch.context() as patched:
        dying(patched, tmp_path / "dying", [{"step": 12, "how": "kill"}])
        run = manager.start(config_of(parts, "asked", agreed=False))
        wait_for_end(manager, "asked")
    state, config = manager.run("asked").state, run_files.read_config(run.directory)
    assert (state.outcome, state.cause) == ("killed", "outside")
    assert "usually because memory ran out" in state.reason
    (half, *_) = remedies_of(state, config, told_last(run.directory))
    assert half.session == {"batch_size": 2, "gradient_accumulation_steps": 2}
    # Agreed, but killed where the system counts that it killed nothing: that is no such end.
    with monkeypatch.context() as patched:
        dying(patched, tmp_path / "by-hand", [{"step": 12, "how": "kill"}], "none")
        manager.start(config_of(parts, "by-hand", agreed=True))
        wait_for_end(manager, "by-hand")
    state = manager.run("by-hand").state
    assert (state.outcome, state.cause, state.reason) == (
        "killed",
        None,
        "Ended by the system or another program.",
    )
