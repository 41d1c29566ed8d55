"""Updates against independent implementations: PyTorch's, and formulas in float64."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
import torch

from cptstudio import optimizer_records
from cptstudio.lm.parameter_kinds import Treatment
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.settings import OptimizerSettings
from cptstudio.training import optimizers, update_rules
from cptstudio.training.optimizers import Optimizer, TrainedParameters, clip_factor

SHAPES = {"table": (30, 8), "up": (24, 8), "down": (8, 24), "norm": (8,), "experts": (3, 6, 8)}
NAMES = list(OPTIMIZERS)
STEPS = 5
TREATMENTS = {
    "table": Treatment(decayed=False, muon=False),
    "norm": Treatment(decayed=False, muon=False),
    **dict.fromkeys(("up", "down", "experts"), Treatment(decayed=True, muon=True)),
}


def start_values() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    return {name: chance.normal(size=s).astype(np.float32) for name, s in SHAPES.items()}


def gradients_of(step: int) -> dict[str, np.ndarray]:
    chance = np.random.default_rng(step + 1)
    return {name: chance.normal(size=s).astype(np.float32) for name, s in SHAPES.items()}


def optimise(
    steps: int = STEPS, compile: bool = True, state: dict[str, mx.array] | None = None, **settings
) -> tuple[dict[str, np.ndarray], Optimizer]:
    chosen = OptimizerSettings(**{"learning_rate": 0.01, **settings})
    parameters = {name: mx.array(value) for name, value in start_values().items()}
    optimizer = Optimizer(
        parameters,
        chosen,
        treatments=TREATMENTS,
        embeddings={"table"},
        embedding_rate_factor=0.5,
        compile=compile,
    )
    for step in range(steps):
        gradients = {name: mx.array(value) for name, value in gradients_of(step).items()}
        optimizer.update(
            parameters, gradients, rate=1.0 - step / 10, scale=mx.array(0.5, mx.float32)
        )
    mx.eval(parameters, optimizer.state())
    return {name: np.array(value) for name, value in parameters.items()}, optimizer


def torch_result(make) -> dict[str, np.ndarray]:
    """The same with a PyTorch optimizer on the same groups of parameters."""
    tensors = {n: torch.nn.Parameter(torch.tensor(v)) for n, v in start_values().items()}
    groups = [
        {"params": [tensors["table"]], "weight_decay": 0.0, "factor": 0.5},
        {"params": [tensors["norm"]], "weight_decay": 0.0, "factor": 1.0},
        {"params": [tensors[n] for n in ("up", "down", "experts")], "factor": 1.0},
    ]
    optimizer = make(groups)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * group["factor"] * (1.0 - step / 10)
        for name, gradient in gradients_of(step).items():
            tensors[name].grad = torch.tensor(gradient) * 0.5
        optimizer.step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def assert_close(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    for name in SHAPES:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("compile", [True, False])
def test_adamw_is_pytorchs_with_weight_decay_on_matrices_only(compile: bool) -> None:
    ours, _ = optimise(name="adamw", compile=compile)
    theirs = torch_result(
        lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    )
    assert_close(ours, theirs)


def test_sgd_is_pytorchs() -> None:
    ours, _ = optimise(name="sgd", momentum=0.8)
    theirs = torch_result(lambda groups: torch.optim.SGD(groups, momentum=0.8, weight_decay=0.1))
    assert_close(ours, theirs)


def test_lion_follows_its_formula() -> None:
    ours, _ = optimise(name="lion", beta1=0.9, beta2=0.99)
    for name, value in start_values().items():
        factor, decay = (0.5, 0.0) if name == "table" else (1.0, 0.0 if name == "norm" else 0.1)
        weight, moment = value.astype(np.float64), 0.0
        for step in range(STEPS):
            rate, gradient = 0.01 * factor * (1 - step / 10), 0.5 * gradients_of(step)[name]
            direction = np.sign(0.9 * moment + 0.1 * gradient)
            weight = weight * (1 - rate * decay) - rate * direction
            moment = 0.99 * moment + 0.01 * gradient
        np.testing.assert_allclose(ours[name], weight, rtol=1e-4, atol=1e-5)


def test_muon_moves_matrices_by_orthogonal_steps_as_large_as_adamws() -> None:
    ours, _ = optimise(steps=1, name="muon", weight_decay=0.0)
    adamw, _ = optimise(steps=1, name="adamw", weight_decay=0.0)
    start = start_values()
    for name in ("table", "norm"):
        np.testing.assert_array_equal(ours[name], adamw[name])
    for name in ("up", "down", "experts"):
        step = (ours[name] - start[name]) / 0.01
        # Of experts each matrix on its own.
        singular = np.linalg.svd(step, compute_uv=False)
        # Newton-Schulz in five iterations brings singular values near one, not onto it.
        expected = 0.2 * np.sqrt(max(step.shape[-2:]))
        assert np.all((singular > 0.5 * expected) & (singular < 1.3 * expected))


@pytest.mark.parametrize("compile", [True, False])
def test_muon_moves_each_expert_as_if_it_were_alone(compile: bool) -> None:
    stack = mx.random.normal((2, 3, 16, 8), key=mx.random.key(0))
    push = mx.random.normal(stack.shape, key=mx.random.key(1))
    settings = OptimizerSettings(name="muon", learning_rate=0.01, weight_decay=0.3)
    both = Treatment(decayed=True, muon=True)

    def stepped(values: dict[str, mx.array], gradients: dict[str, mx.array]):
        optimizer = Optimizer(
            values, settings, treatments=dict.fromkeys(values, both), compile=compile
        )
        for _ in range(3):
            optimizer.update(values, dict(gradients), rate=1.0, scale=mx.array(1.0))
        return values, optimizer.state()

    together, state = stepped({"w": stack}, {"w": push})
    names = {f"{i}{j}": (i, j) for i in range(2) for j in range(3)}
    alone, _ = stepped(
        {name: stack[place] for name, place in names.items()},
        {name: push[place] for name, place in names.items()},
    )
    assert state["w/v"].shape == stack.shape and state.keys() == {"updates", "w/v"}
    for name, place in names.items():
        np.testing.assert_allclose(together["w"][place], alone[name], atol=1e-6)


def test_muons_weight_decay_is_decoupled() -> None:
    plain, _ = optimise(steps=1, name="muon", weight_decay=0.0)
    decayed, _ = optimise(steps=1, name="muon", weight_decay=0.5)
    start = start_values()
    for name, shrink in {"up": 0.01 * 0.5, "norm": 0.0, "table": 0.0}.items():
        np.testing.assert_allclose(plain[name] - decayed[name], shrink * start[name], atol=1e-6)


def test_adafactor_uses_the_given_rate_and_stores_rows_and_columns() -> None:
    ours, optimizer = optimise(steps=1, name="adafactor", weight_decay=0.0)
    step = np.abs(ours["up"] - start_values()["up"])
    # The update's root mean square is clipped at 1 before the rate.
    assert 0.5 * 0.01 < float(np.sqrt(np.mean(step**2))) <= 0.01 * 1.001
    assert optimizer.state()["up/exp_avg_sq_row"].shape == (24,)
    assert optimizer.state()["up/exp_avg_sq_col"].shape == (8,)


@pytest.mark.parametrize("name", NAMES)
def test_state_that_was_saved_and_loaded_continues_bit_for_bit(name: str, tmp_path) -> None:
    whole, _ = optimise(steps=4, name=name)
    half, first = optimise(steps=2, name=name)
    mx.save_safetensors(str(tmp_path / "state.safetensors"), first.state())
    parameters = {key: mx.array(value) for key, value in half.items()}
    second = Optimizer(
        parameters,
        OptimizerSettings(name=name, learning_rate=0.01),
        treatments=TREATMENTS,
        embeddings={"table"},
        embedding_rate_factor=0.5,
    )
    second.load_state(mx.load(str(tmp_path / "state.safetensors")))
    for step in (2, 3):
        gradients = {key: mx.array(value) for key, value in gradients_of(step).items()}
        second.update(parameters, gradients, rate=1.0 - step / 10, scale=mx.array(0.5))
    for key in SHAPES:
        assert np.array(parameters[key]).tobytes() == whole[key].tobytes(), key


@pytest.mark.parametrize("name", NAMES)
def test_where_the_device_says_no_nothing_changes(name: str) -> None:
    settings = OptimizerSettings(name=name, learning_rate=0.01)
    parameters = {key: mx.array(value) for key, value in start_values().items()}
    optimizer = Optimizer(parameters, settings, treatments=TREATMENTS)
    before = {key: np.array(value) for key, value in {**parameters, **optimizer.state()}.items()}
    broken = {key: mx.full(value.shape, mx.nan) for key, value in parameters.items()}
    optimizer.update(parameters, broken, rate=1.0, scale=mx.array(1.0), keep=mx.array(False))
    after = {key: np.array(value) for key, value in {**parameters, **optimizer.state()}.items()}
    assert all(before[key].tobytes() == after[key].tobytes() for key in before)
    good = {key: mx.array(value) for key, value in gradients_of(0).items()}
    optimizer.update(parameters, good, rate=1.0, scale=mx.array(1.0), keep=mx.array(True))
    assert not np.array_equal(np.array(parameters["up"]), before["up"])
    assert optimizer.state()[optimizers.UPDATES].item() == 1


@pytest.mark.parametrize("name", NAMES)
def test_state_is_as_large_as_its_record_says(name: str) -> None:
    _, optimizer = optimise(steps=0, name=name)
    state = optimizer.state()
    for parameter, shape in SHAPES.items():
        arrays = sum(
            value.shape == shape
            for leaf, value in state.items()
            if leaf.startswith(parameter + "/")
        )
        muon = TREATMENTS[parameter].muon
        expected = OPTIMIZERS[name].state_bytes(int(muon), int(not muon)) // 4
        # Adafactor keeps a vector whole, which is little.
        assert arrays == expected or (name == "adafactor" and parameter == "norm"), parameter


def test_state_of_another_optimizer_is_refused() -> None:
    _, adamw = optimise(name="adamw")
    _, lion = optimise(name="lion")
    with pytest.raises(ValueError, match="has no"):
        lion.load_state(adamw.state())


def test_many_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = optimise(name="adamw")
    monkeypatch.setattr(optimizers, "CHUNK_ELEMENTS", 1)
    pieces, _ = optimise(name="adamw")
    for name in SHAPES:
        assert whole[name].tobytes() == pieces[name].tobytes()
    monkeypatch.undo()
    assert optimizers.chunk_elements(1_200_000_000, cpu=True) == optimizers.CHUNK_ELEMENTS
    assert optimizers.chunk_elements(10_000_000, cpu=False) == optimizers.CHUNK_ELEMENTS
    assert optimizers.chunk_elements(1_200_000_000, cpu=False) == 37_500_000


def test_gradients_are_clipped_as_pytorch_does() -> None:
    values = gradients_of(0)
    _, optimizer = optimise(steps=0)
    norm = optimizer.gradient_norm({name: mx.array(value) for name, value in values.items()})
    tensors = [torch.nn.Parameter(torch.zeros(value.shape)) for value in values.values()]
    for tensor, value in zip(tensors, values.values(), strict=True):
        tensor.grad = torch.tensor(value)
    expected = torch.nn.utils.clip_grad_norm_(tensors, 1.0)
    assert norm.item() == pytest.approx(float(expected), rel=1e-5)
    scaled = values["up"] * clip_factor(norm, 1.0).item()
    assert tensors[1].grad is not None
    np.testing.assert_allclose(scaled, tensors[1].grad.numpy(), rtol=1e-5)
    assert clip_factor(norm, 0.0).item() == 1.0
    assert clip_factor(mx.array(0.3), 1.0).item() == 1.0


def test_trained_parameters_are_read_and_replaced_in_the_network() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 3), nn.Linear(3, 2)]
            self.frozen = nn.Linear(2, 2)
            self.frozen.freeze()

    model = Block()
    parameters = TrainedParameters(model)
    assert sorted(parameters) == [
        f"layers.{i}.{leaf}" for i in (0, 1) for leaf in ("bias", "weight")
    ]
    parameters["layers.1.bias"] = mx.array([5.0, 6.0])
    assert model.layers[1].bias.tolist() == [5.0, 6.0]


class AnyOptimizer(OptimizerSettings):
    """Settings that may name an optimizer which was added after they were made."""

    name: str = ""


def test_the_example_of_contributing_is_an_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    example = text.partition("# in OPTIMIZERS\n")[2].partition("```")[0]
    record, _, rule = example.partition("# in RULES\n")
    known = {**vars(optimizer_records), **vars(update_rules)}
    for table, entry in ((OPTIMIZERS, record), (update_rules.RULES, rule)):
        ((name, made),) = eval(f"{{{entry}}}", known).items()
        monkeypatch.setitem(table, name, made)
    monkeypatch.setitem(globals(), "OptimizerSettings", AnyOptimizer)
    test_state_is_as_large_as_its_record_says(name)
    ours, _ = optimise(name=name, momentum=0.8)
    theirs = torch_result(
        lambda groups: torch.optim.SGD(groups, momentum=0.8, weight_decay=0.1, nesterov=True)
    )
    assert_close(ours, theirs)
    assert update_rules.RULES.keys() == OPTIMIZERS.keys()
