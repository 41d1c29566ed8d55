"""A step that is one compiled function does what a step in parts does; tried here on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.run_files import read_config
from cptstudio.training import whole_step
from cptstudio.training.guards import Limits
from cptstudio.training.setup import Setup, set_up
from cptstudio.training.step import TrainingStep
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace, prepare

pytestmark = pytest.mark.slow

LORA = {"kind": "lora", "rank": 4, "dropout": 0.2, "train_embeddings": True}
CASES: dict[str, dict[str, Any]] = {
    "full": {"method": {"kind": "full"}},
    "accumulated": {
        "method": LORA,
        "batch": {"size": 1, "gradient_accumulation_steps": 3},
        "compute": {"threads": 1, "gradient_checkpointing": True, "long_attention": True},
    },
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("whole"))


class Run:
    """Steps of a run, with what they leave."""

    def __init__(self, directory: Path, whole: bool) -> None:
        self.setup: Setup = set_up(read_config(directory))
        self._step = TrainingStep(self.setup, whole)
        self.numbers: list[tuple[float, float]] = []
        self._batch = 0

    def train(self, limits: Limits | None = None) -> None:
        done = self._step.submit(len(self.numbers), self._batch, limits or Limits())
        self._batch = done.next_batch
        self.numbers.append(done.read())

    def arrays(self) -> dict[str, np.ndarray]:
        values = {**dict(self.setup.parameters), **self.setup.optimizer.state()}
        return {name: np.array(value) for name, value in values.items()}


def assert_alike(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        error = np.linalg.norm(found[name].astype(float) - value.astype(float))
        assert error <= 2e-3 * np.linalg.norm(value.astype(float)) + 1e-6, name


@pytest.mark.parametrize("case", CASES)
def test_it_does_what_a_step_in_parts_does(workspace: Workspace, case: str) -> None:
    directory = prepare(workspace, case, **CASES[case])
    parts, whole, again = Run(directory, False), Run(directory, True), Run(directory, True)
    start = parts.arrays()
    for _ in range(3):
        for one in (parts, whole, again):
            one.train()
    np.testing.assert_allclose(whole.numbers, parts.numbers, rtol=1e-4)
    found = whole.arrays()
    assert_alike(found, parts.arrays())
    assert found["updates"] == 3
    assert any(not np.array_equal(found[name], start[name]) for name in whole.setup.parameters)
    # The same step computes the same bits.
    assert whole.numbers == again.numbers
    repeated = again.arrays()
    assert all(found[name].tobytes() == repeated[name].tobytes() for name in found)


def test_the_device_forbids_what_the_guards_forbid(workspace: Workspace) -> None:
    run = Run(prepare(workspace, "guarded"), True)
    run.train()
    before = run.arrays()
    run.train(Limits(loss=0.1))
    run.train(Limits(gradient_norm=1e-6))
    after = run.arrays()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    run.train()
    assert run.arrays()["updates"] == 2


def test_compiled_it_computes_the_same(workspace: Workspace) -> None:
    compute = {"threads": 1, "compile": True}
    directory = prepare(workspace, "compiled", compute=compute)
    parts, whole, again = Run(directory, False), Run(directory, True), Run(directory, True)
    for _ in range(3):
        for one in (parts, whole, again):
            one.train()
    np.testing.assert_allclose(whole.numbers, parts.numbers, rtol=1e-4)
    assert_alike(whole.arrays(), parts.arrays())
    found, repeated = whole.arrays(), again.arrays()
    assert all(found[name].tobytes() == repeated[name].tobytes() for name in found)


def test_it_is_for_devices_that_wait_to_be_handed_work(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = set_up(read_config(prepare(workspace, "chosen", compute={"compile": True})))
    optimizer = {"name": "adafactor", "learning_rate": 1e-3}
    run = prepare(workspace, "not-chosen", optimizer=optimizer, compute={"compile": True})
    other = set_up(read_config(run))
    plain = set_up(read_config(prepare(workspace, "not-compiled")))
    if mx.default_device().type == mx.DeviceType.cpu:
        assert not whole_step.is_whole(setup)

    class Device:
        type = mx.DeviceType.gpu

    monkeypatch.setattr(whole_step.mx, "default_device", Device)
    assert whole_step.is_whole(setup)
    assert not whole_step.is_whole(other)
    assert not whole_step.is_whole(plain)
