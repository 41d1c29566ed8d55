"""Sessions that differ from their run: smaller micro-batches and longer lengths, exactly."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from cptstudio.errors import UserError
from cptstudio.run_files import RunConfig, checkpoints_of, read_config
from cptstudio.session_settings import (
    SessionSettings,
    for_session,
    in_session,
    parse_session,
    smaller,
    told_last,
)
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare
from tests.training.test_exact_resume import assert_same_run
from tests.training.trainer_process import events, held_rows, kill_after_rows, run

LORA: dict[str, Any] = {
    "method": {"kind": "lora", "rank": 4, "dropout": 0.2},
    "optimizer": {"learning_rate": 1e-2},
}


def of_before(directory: Path) -> None:
    """Make a prepared run one of a version that put micro-batches in order."""
    path = directory / "config.json"
    tree = json.loads(path.read_text())
    assert tree.pop("order_of") == "rows"
    path.write_text(json.dumps(tree))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "packing", "order_of"),
    [
        pytest.param({"size": 5}, "concat", "rows", marks=pytest.mark.bench),
        pytest.param(
            {"size": 4, "gradient_accumulation_steps": 2},
            "decompose",
            "rows",
            marks=pytest.mark.bench,
        ),
        ({"size": 3, "gradient_accumulation_steps": 2}, "concat", "micro-batches"),
    ],
)
def test_a_halved_batch_goes_on_exactly(
    workspace: Workspace, batch: dict[str, int], packing: str, order_of: str
) -> None:
    name = f"halved-{batch['size']}-{order_of}"
    killed = prepare(
        workspace,
        name,
        length="14 steps",
        data={
            "corpora": [{"name": "domain"}, {"name": "general", "role": "replay"}],
            "replay_share": 0.25,
            "sequence_length": 32,
            "packing": packing,
        },
        batch=batch,
        evaluation={"every": "4 steps", "max_tokens": 300},
        **LORA,
    )
    if order_of != "rows":
        of_before(killed)
    assert read_config(killed).order_of == order_of
    chance = random.Random(name)
    assert kill_after_rows(killed, chance.randint(6, 8))
    # From the same checkpoint one is never interrupted, one is killed again.
    whole = killed.with_name(f"{name}-whole")
    shutil.copytree(killed, whole)
    half = (batch["size"] + 1) // 2
    status, output = run(whole, "--resume", "--batch-size", str(half))
    assert status == 0, output
    assert kill_after_rows(killed, chance.randint(3, 4), "--resume", "--batch-size", str(half))
    status, output = run(killed, "--resume")
    assert status == 0, output
    assert_same_run(whole, killed)
    # The order is the run's, and so is each update's size; what was told holds on.
    assert read_config(killed).settings.batch.size == batch["size"]
    resumed = events(killed, "resumed")
    times = batch.get("gradient_accumulation_steps", 1)
    told = {"batch_size": half, "gradient_accumulation_steps": 2 * times}
    assert [event["overrides"] for event in resumed] == [told, told]
    assert f"Batch size {half}" in resumed[0]["message"]
    # An uninterrupted run with the whole batch sees the same tokens, and all but the same losses.
    uncut = killed.with_name(f"{name}-uncut")
    uncut.mkdir()
    shutil.copy(killed / "config.json", uncut / "config.json")
    status, output = run(uncut)
    assert status == 0, output
    ours, others = held_rows(killed), held_rows(uncut)
    assert [row.get("tokens") for row in ours] == [row.get("tokens") for row in others]
    assert [row.get("tokens_seen") for row in ours] == [row.get("tokens_seen") for row in others]


@pytest.mark.slow
def test_accumulated_rows_are_those_of_one_batch(workspace: Workspace) -> None:
    runs = []
    for rows, accumulation in ((4, 1), (1, 4)):
        batch = {"size": rows, "gradient_accumulation_steps": accumulation}
        directory = prepare(workspace, f"cut-{rows}", length="6 steps", batch=batch)
        status, output = run(directory)
        assert status == 0, output
        runs.append([row["loss"] for row in held_rows(directory) if row["kind"] == "train"])
    assert runs[0] == pytest.approx(runs[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wsd", pytest.param("constant", marks=pytest.mark.bench)])
def test_a_run_made_longer_is_the_longer_run(workspace: Workspace, kind: str) -> None:
    changes: dict[str, Any] = {
        "schedule": {"kind": kind, "warmup": "2 steps", "decay_fraction": 0.25},
        **LORA,
    }
    whole = prepare(workspace, f"long-{kind}", length="18 steps", **changes)
    status, output = run(whole)
    assert status == 0, output
    longer = prepare(workspace, f"longer-{kind}", length="12 steps", **changes)
    status, output = run(longer)
    assert status == 0, output
    status, output = run(longer, "--resume", "--length", "18 steps")
    if kind == "wsd":
        # The last checkpoint lies behind the decay: only one before it can go on.
        assert status == 1
        assert "Fork the run from this checkpoint" in output
        checkpoint = checkpoints_of(longer)[-2]
        assert checkpoint.name == "step-00000009"
        # What failed has changed nothing: the run is as complete as before.
        assert json.loads((longer / "result.json").read_text())["outcome"] == "completed"
        status, output = run(longer, "--resume", checkpoint.name, "--length", "18 steps")
    assert status == 0, output
    assert_same_run(whole, longer)
    assert events(longer, "resumed")[-1]["overrides"] == {"length": "18 steps"}
    assert read_config(longer).settings.length.value == 12


@pytest.mark.slow
def test_a_whole_epoch_can_be_made_two(workspace: Workspace) -> None:
    """Its last update was a smaller one; no row is left out or seen twice."""
    changes: dict[str, Any] = {"schedule": {"kind": "constant"}, "batch": {"size": 16}, **LORA}
    changes["evaluation"] = {"every": "90 steps", "max_tokens": 300}
    changes["checkpoints"] = {"every": "90 steps"}
    directory = prepare(workspace, "epochs", length="0.02 epochs", **changes)
    status, output = run(directory)
    assert status == 0, output
    status, output = run(directory, "--resume", "--length", "0.04 epochs")
    assert status == 0, output
    whole = prepare(workspace, "epoch", length="0.04 epochs", **changes)
    status, output = run(whole)
    assert status == 0, output
    assert held_rows(directory)[-1]["tokens_seen"] == held_rows(whole)[-1]["tokens_seen"]
    # A run that follows its length refuses another one, and says what to do.
    falling = prepare(workspace, "falling", length="4 steps", **LORA)
    status, output = run(falling)
    assert status == 0, output
    status, output = run(falling, "--resume", "--length", "8 steps")
    assert status == 1
    assert "cosine schedule of 4 steps" in output


def test_an_update_keeps_its_size(workspace: Workspace) -> None:
    config = read_config(prepare(workspace, "sizes", batch={"size": 5}))

    def told(config: RunConfig, **given: Any) -> dict[str, Any]:
        return for_session(config, SessionSettings(), SessionSettings(**given)).told()

    assert told(config, batch_size=3) == {"batch_size": 3, "gradient_accumulation_steps": 2}
    assert told(config, gradient_accumulation_steps=5) == {
        "batch_size": 1,
        "gradient_accumulation_steps": 5,
    }
    assert told(config, batch_size=5) == {}
    assert told(config, gradient_checkpointing=True) == {"gradient_checkpointing": True}
    assert told(config, length="12 steps") == {}
    for given, field, said in (
        ({"batch_size": 6}, "batch_size", "Use at most 5"),
        ({"gradient_accumulation_steps": 4}, "gradient_accumulation_steps", "Use 3 with a batch"),
        (
            {"batch_size": 2, "gradient_accumulation_steps": 2},
            "gradient_accumulation_steps",
            "fork the run",
        ),
    ):
        with pytest.raises(UserError, match=said) as refused:
            told(config, **given)
        assert [finding.field for finding in refused.value.findings] == [field]
    with pytest.raises(UserError):
        parse_session({"batch_size": 2, "seed": 3})
    # Halved until there is one row left; what was told before holds.
    longer, sizes = for_session(config, SessionSettings(), parse_session({"length": "9 steps"})), []
    session: SessionSettings | None = longer
    while (session := smaller(config, session)) is not None:
        sizes.append((session.batch_size, session.gradient_accumulation_steps, str(session.length)))
        assert in_session(config, session).settings.batch.size == session.batch_size
    assert sizes == [(3, 2, "9 steps"), (2, 3, "9 steps"), (1, 5, "9 steps")]
    # Back to the run's own.
    assert (
        for_session(config, longer, parse_session({"batch_size": 5, "length": "12 steps"})).told()
        == {}
    )
    # Micro-batches of a former version can be cut, not joined.
    old = config.model_copy(update={"order_of": "micro-batches"})
    assert told(old, batch_size=2) == {"batch_size": 2, "gradient_accumulation_steps": 3}
    with pytest.raises(UserError, match="earlier version"):
        told(old, batch_size=6)


def test_what_was_told_is_found_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    def event(**values: Any) -> str:
        return json.dumps(values) + "\n"

    assert told_last(tmp_path) == SessionSettings()
    (tmp_path / "events.jsonl").write_text(
        event(event="started", session=0)
        + event(
            event="resumed",
            session=1,
            overrides={"rows": 2, "accumulation": 2},  # their former names
        )
        + event(event="checkpoint", session=1)
        + event(
            event="resumed",
            session=2,
            overrides={"batch_size": 1, "gradient_accumulation_steps": 4},
        )
        + event(event="resumed", session="x")
        + '{"event": "resumed", "session": 3, "over'
    )
    assert told_last(tmp_path).batch_size == 1
    assert told_last(tmp_path, 1).batch_size == 2
    assert told_last(tmp_path, 0) == SessionSettings()
