"""A trainer that Metal, CUDA or the watchdog ends says so, and goes on with half the batch."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from cptstudio.device_failures import sign_in, sign_of, sign_of_signal
from cptstudio.run_files import checkpoints_of, read_config, read_result
from cptstudio.runs.remedies import remedies_of
from cptstudio.runs.states import RunState, derive, gather
from cptstudio.session_settings import SessionSettings, parse_session, told_last
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.loop import Ending
from cptstudio.training.stop_requests import StopRequest
from cptstudio.workspace import Workspace
from tests.deaths import MESSAGES, UNCAUGHT, die_in
from tests.training.small_workspace import prepare
from tests.training.test_exact_resume import arrays_below
from tests.training.trainer_process import held_rows

STEPS, EVERY = 12, 3


def trained(directory: Path, resume: str | None, session: SessionSettings | None = None) -> Ending:
    """Train in this process, as the program does."""
    return ContinuedPretraining(directory, StopRequest(), resume=resume, given=session).run()


@pytest.fixture(scope="module")
def uninterrupted(workspace: Workspace) -> Path:
    """A run that nothing happened to, with all its checkpoints."""
    directory = prepare(
        workspace,
        "uninterrupted",
        length=f"{STEPS} steps",
        batch={"size": 5},
        method={"kind": "lora", "rank": 4, "dropout": 0.2},
        checkpoints={"every": f"{EVERY} steps", "keep_every": EVERY},
        evaluation={"every": "6 steps", "max_tokens": 300},
    )
    shutil.copytree(directory, directory.with_name("before"))
    assert trained(directory, None).outcome == "completed"
    return directory


def state_of(directory: Path) -> RunState:
    return derive(gather(directory.parent / "nothing", directory))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MESSAGES)
def test_what_ended_it_is_said_and_half_the_batch_goes_on(uninterrupted: Path, kind: str) -> None:
    cause, message = MESSAGES[kind]
    name = kind.lower().replace(" ", "-")
    died = uninterrupted.with_name(f"died-{name}")
    shutil.copytree(uninterrupted.with_name("before"), died)
    step = random.Random(kind).randint(EVERY, STEPS - 1)
    with die_in(step, message):
        ending = trained(died, None)
    result = read_result(died)
    assert result is not None and (result.outcome, result.cause) == ("failed", cause)
    assert f"in step {step + 1}" in ending.reason and message in ending.reason
    assert "Traceback" in (died / "train.log").read_text()
    # The state, the sentence and the remedy, as page and terminal show them.
    state, config = state_of(died), read_config(died)
    assert (state.outcome, state.cause) == ("failed", cause)
    first, *others = remedies_of(state, config, told_last(died))
    assert first.title == "Resume with half the batch size" and "batch size 3" in first.text
    assert first.session == {"batch_size": 3, "gradient_accumulation_steps": 2}
    assert bool(others) == (cause == "memory")
    checkpoint = checkpoints_of(died)[-1].name
    assert trained(died, NEWEST, parse_session(first.session)).outcome == "completed"
    # As if the run that nothing happened to had gone on with that batch from that checkpoint.
    other = uninterrupted.with_name(f"half-{name}")
    shutil.copytree(uninterrupted, other)
    assert trained(other, checkpoint, parse_session(first.session)).outcome == "completed"
    losses = [(row["step"], row["loss"]) for row in held_rows(died) if row["kind"] == "train"]
    assert len(losses) == STEPS
    assert held_rows(died) == held_rows(other)
    mine, its = (arrays_below(checkpoints_of(one)[-1]) for one in (died, other))
    assert mine.keys() == its.keys()
    assert all(mine[name].tobytes() == its[name].tobytes() for name in mine)
    assert state_of(died).cause is None


@pytest.mark.slow
def test_memory_that_ran_out_while_saving_is_no_full_disk(
    uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = uninterrupted.with_name("died-saving")
    shutil.copytree(uninterrupted.with_name("before"), died)

    def dying(*arguments: object) -> None:
        raise RuntimeError(MESSAGES["Insufficient Memory"][1])

    monkeypatch.setattr("cptstudio.training.checkpoints.commit", dying)
    ending = trained(died, None)
    assert ending.cause == "memory" and "The GPU ran out of memory" in ending.reason


def test_one_row_is_not_halved(workspace: Workspace) -> None:
    config = read_config(
        prepare(workspace, "one-row", batch={"size": 1, "gradient_accumulation_steps": 3})
    )
    full = RunState("ended", "failed", "It said so.", "memory")
    titles = [remedy.title for remedy in remedies_of(full, config, SessionSettings())]
    assert titles == ["Resume with gradient checkpointing"]
    longer = config.settings.data.model_copy(update={"sequence_length": 2048})
    config = config.model_copy(
        update={"settings": config.settings.model_copy(update={"data": longer})}
    )
    checkpointing = parse_session({"gradient_checkpointing": True})
    (fork,) = remedies_of(full, config, checkpointing)
    assert fork.session is None
    assert fork.changes == {"data.sequence_length": 1024, "batch.gradient_accumulation_steps": 6}
    assert "twice the gradient accumulation" in fork.text
    assert remedies_of(RunState("ended", "failed", "A fault."), config, SessionSettings()) == []
    assert remedies_of(RunState("running"), config, SessionSettings()) == []


def test_signals_are_read_with_the_last_words_of_their_own_attempt(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    former = f"{UNCAUGHT}{MESSAGES['GPU Timeout'][1]}\n"
    log.write_text(f"{former}step 1: out of memory is a name of a corpus\n")
    start = len(former)

    def cause(number: int, kills: dict[str, int]) -> str | None:
        sign = sign_of_signal(number, kills, log, start)
        return sign.cause if sign else None

    assert cause(6, {}) is None  # SIGABRT of something else.
    with log.open("a") as file:
        file.write(f"{UNCAUGHT}{MESSAGES['Insufficient Memory'][1]}\n")
    assert cause(6, {}) == "memory"
    assert cause(9, {}) == "outside"  # As on macOS, which counts nothing.
    assert cause(9, {"machine": 0}) is None
    assert cause(9, {"machine": 0, "cgroup": 1}) == "memory"
    assert cause(11, {}) is None
    assert sign_of_signal(6, {}, tmp_path, 0) is None
    assert sign_in("The weights are not finite.") is None
    assert sign_of(ValueError("out of memory")) is None
    error = RuntimeError("Could not write the checkpoint")
    error.__cause__ = MemoryError()
    found = sign_of(error)
    assert found is not None and found.cause == "memory"
