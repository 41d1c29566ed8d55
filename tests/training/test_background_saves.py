"""Checkpoints that are written while training goes on: what was saved, and nothing else."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.durable import is_staging_name, staging_pid
from cptstudio.lm import saving
from cptstudio.lm.tensor_writing import Copies, host_numbers
from cptstudio.run_files import CHECKPOINTS, checkpoints_of, read_config, verify_checkpoint
from cptstudio.run_rows import last_row
from cptstudio.settings import CheckpointSettings
from cptstudio.training import memory
from cptstudio.training.checkpoints import CheckpointFailedError, CheckpointStore, TrainerState
from cptstudio.training.guards import Limits
from cptstudio.training.machine import METAL_RESERVE
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock
from cptstudio.training.setup import Setup, set_up
from cptstudio.training.step import TrainingStep
from cptstudio.workspace import Workspace
from tests.toy_models import make_toy_model
from tests.training.small_workspace import prepare
from tests.training.test_exact_resume import arrays_below, assert_same_run
from tests.training.trainer_process import events, finish, run, start, wait_until

pytestmark = pytest.mark.slow


class Training:
    """A run in this process, whose saves wait before they write anything."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.setup: Setup = set_up(read_config(directory))
        self.store = CheckpointStore(RunLock(directory), CheckpointSettings(**settings))
        self.store.prepare()
        self.go_on = threading.Event()
        self._step = TrainingStep(self.setup)
        self.steps = 0

    def train(self) -> None:
        done = self._step.submit(self.steps, self.steps, Limits())
        done.read()
        self.steps += 1

    def save(self, room: int = 10**9) -> bool:
        optimizer_state = self.setup.optimizer.state()
        state = TrainerState(
            step=self.steps, next_batch=self.steps, tokens_seen=0, elapsed=0.0,
            evaluated_step=None, guard={}, early_stopping={},
        )  # fmt: skip
        return self.store.begin(
            state, self.setup.loaded, self.setup.method, optimizer_state,
            session=0, metrics_seq=0, domain_bits_per_byte=None,
            flush=lambda: self.go_on.wait(60) and None, room=room,
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of the parameters and of the optimizer's state."""
        values = {**dict(self.setup.parameters), **self.setup.optimizer.state()}
        return {name: host_numbers(value).copy() for name, value in values.items()}


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_what_is_saved_is_the_step_that_it_was_asked_at(workspace: Workspace, kind: str) -> None:
    method = {"kind": kind, "rank": 4}
    training = Training(prepare(workspace, f"snapshot-{kind}", method=method), keep_last=2)
    saved = []
    for _ in range(3):
        training.train()
        training.go_on.clear()
        former = {path.name for path in checkpoints_of(training.directory)}
        assert training.save()
        saved.append(training.arrays())
        training.train()
        assert training.store.finished(wait=False) is None
        assert {path.name for path in checkpoints_of(training.directory)} == former
        training.go_on.set()
        told = training.store.finished(wait=True)
        assert told is not None and training.store.finished(wait=True) is None
        verify_checkpoint(told.path)
        found = arrays_below(told.path)
        for name, value in saved[-1].items():
            held = [one for place, one in found.items() if place.endswith(f":{name}")]
            assert any(np.array_equal(one.reshape(value.shape), value) for one in held), name
        assert any(not np.array_equal(value, saved[-1][name])
                   for name, value in training.arrays().items())  # fmt: skip
    assert [path.name for path in checkpoints_of(training.directory)] == [
        "step-00000003", "step-00000005",
    ]  # fmt: skip


@pytest.mark.parametrize("room", [10**9, 0])
def test_where_the_device_has_its_own_memory_copies_are_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    training = Training(prepare(workspace, f"card-{room}", method={"kind": "full"}), keep_last=2)
    training.go_on.set()
    training.train()
    plain = {}
    for apart in (False, True):
        monkeypatch.setattr(saving, "memory_is_apart", lambda apart=apart: apart)
        training.steps += 1
        assert training.save(room) == bool(room)
        told = training.store.finished(wait=True)
        assert told is not None
        verify_checkpoint(told.path)
        plain[apart] = arrays_below(told.path)
    assert plain[True].keys() == plain[False].keys()
    for name, value in plain[False].items():
        assert np.array_equal(value, plain[True][name]), name


def test_copies_have_the_same_bits_and_are_made_once() -> None:
    odd = mx.array([[-0.0, float("inf")], [1e-40, 3.0]])
    values = {
        "float32": odd, "bfloat16": odd.astype(mx.bfloat16), "float16": odd.astype(mx.float16),
        "turned": odd.T, "scalar": mx.array(7), "flags": mx.array([True, False]),
        "large": mx.array([2**40], mx.int64),
    }  # fmt: skip
    copies = Copies()
    made = copies.of(values)
    for name, value in values.items():
        found, wanted = host_numbers(made[name]), host_numbers(value)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        assert found.tobytes() == wanted.tobytes()
        assert not np.shares_memory(found, wanted)
    assert copies.of({"again": odd})["again"] is made["float32"]


def test_a_run_that_is_deleted_meanwhile_is_not_made_again(workspace: Workspace) -> None:
    training = Training(prepare(workspace, "deleted-meanwhile"))
    training.train()
    assert training.save()
    shutil.rmtree(training.directory)
    training.go_on.set()
    with pytest.raises(RunDirectoryGoneError):
        training.store.finished(wait=True)
    assert not training.directory.exists()


def test_what_cannot_be_written_meanwhile_is_told_and_nothing_stays(workspace: Workspace) -> None:
    training = Training(prepare(workspace, "refused-meanwhile"))
    training.train()
    assert training.save()
    folder = training.directory / CHECKPOINTS
    folder.rmdir()
    folder.write_bytes(b"")
    training.go_on.set()
    with pytest.raises(CheckpointFailedError, match="Could not write"):
        training.store.finished(wait=True)
    assert folder.read_bytes() == b""


def test_without_room_and_where_it_is_not_wanted_it_is_written_at_once(
    workspace: Workspace,
) -> None:
    training = Training(prepare(workspace, "at-once"), background=False)
    training.go_on.set()
    training.train()
    assert not training.save()
    assert training.store.finished(wait=False) is not None
    training = Training(prepare(workspace, "no-room"))
    training.go_on.set()
    training.train()
    held = sum(value.nbytes for value in training.arrays().values())
    assert not training.save(room=held - 1)
    assert training.store.finished(wait=False) is not None
    training.train()
    assert training.save(room=held)
    assert training.store.finished(wait=True) is not None


def test_the_room_is_what_a_step_leaves_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = memory.MemoryMeter()
    meter.begin()
    array = mx.zeros(5_000_000)
    mx.eval(array)
    del array
    most = meter.read()["memory_peak"]
    assert most >= 20_000_000
    assert 0 < meter.room() < memory.psutil.virtual_memory().available
    gpu = mx.Device(mx.DeviceType.gpu)
    monkeypatch.setattr(memory.mx, "default_device", lambda: gpu)
    monkeypatch.setattr(memory.mx.metal, "is_available", lambda: True)
    told = {"max_recommended_working_set_size": METAL_RESERVE + most + 1000}
    monkeypatch.setattr(memory, "device_memory", lambda: told)
    assert meter.room() == 1000
    monkeypatch.setattr(memory.mx.metal, "is_available", lambda: False)
    told = {"free_memory": 7_000_000_000, "total_memory": 20_000_000_000}
    held = mx.get_active_memory() + mx.get_cache_memory()
    assert meter.room() == 6_000_000_000 + held - most


def staged(directory: Path) -> list[Path]:
    """What is being written, or was when a trainer was killed."""
    folder = directory / CHECKPOINTS
    there = folder.iterdir() if folder.is_dir() else ()
    return [path for path in there if is_staging_name(path.name)]


def being_written(directory: Path, pid: int) -> bool:
    """Whether a process writes a checkpoint and has done a later step already."""
    row = last_row(directory, "train")
    mine = [path.name for path in staged(directory) if staging_pid(path.name) == pid]
    steps = [int(name.split(".")[1].removeprefix("step-")) for name in mine]
    return row is not None and any(row["step"] > step for step in steps)


def test_killed_and_stopped_while_a_checkpoint_is_written_it_is_the_uninterrupted_run(
    workspace: Workspace,
) -> None:
    wide = workspace.base_model("wide")
    if not wide.exists():
        make_toy_model("llama-tied", wide, hidden_size=384, intermediate_size=1024)
    changes: dict[str, Any] = {
        "model": {"path": "wide"},
        "length": "14 steps",
        "checkpoints": {"every": "2 steps"},
        "evaluation": {"every": "7 steps", "max_tokens": 200},
    }
    whole = prepare(workspace, "whole-wide", **changes)
    status, output = run(whole)
    assert status == 0, output
    directory = prepare(workspace, "killed-wide", **changes)

    def interrupted(when: Callable[[Path, int], bool], by: int, *arguments: str) -> int:
        process = start(directory, *arguments)
        assert wait_until(lambda: when(directory, process.pid), process)
        process.send_signal(by)
        return finish(process)[0]

    assert interrupted(being_written, signal.SIGKILL) == -signal.SIGKILL
    # What was under way is swept away, and what was whole stays whole.
    assert interrupted(being_written, signal.SIGTERM, "--resume") == 3
    stopped = checkpoints_of(directory)[-1]
    assert stopped.name == events(directory, "checkpoint")[-1]["checkpoint"]
    verify_checkpoint(stopped)
    assert staged(directory) == []
    known = {path.name for path in checkpoints_of(directory)}
    committed = interrupted(
        lambda where, _: bool({path.name for path in checkpoints_of(where)} - known),
        signal.SIGKILL,
        "--resume",
    )
    assert committed == -signal.SIGKILL
    status, output = run(directory, "--resume")
    assert status == 0, output
    assert_same_run(whole, directory)
    told = events(directory, "checkpoint")
    assert all(event["pause"] < event["seconds"] for event in told if "memory_peak" not in event)
    assert any("memory_peak" not in event for event in told)
