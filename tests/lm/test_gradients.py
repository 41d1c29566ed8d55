"""The gradient step equals plain differentiation in every configuration, and repeats exactly."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map
from mlx_lm.tuner.lora import LoRALinear

from cptstudio.errors import UserError
from cptstudio.lm import blas, embedding_gradient, loss
from cptstudio.lm.embedding_gradient import sorted_sums
from cptstudio.lm.gradients import GradientStep
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import prepare
from tests.lm.test_loss import VOCABULARY, small_gemma2, small_qwen3
from tests.toy_models import ARCHITECTURES

Flat = dict[str, mx.array]
STOCK_LOOKUP = nn.Embedding.__call__


def batch(
    rows: int = 3, length: int = 20, words: int = VOCABULARY
) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.random.default_rng(7).integers(0, words, (rows, length + 1), dtype=np.int32)
    return tokens[:, :-1], tokens[:, 1:]


def with_adapters(dropout: float = 0.0) -> Any:
    model = small_qwen3(tied=False)
    model.freeze()
    for layer in model.layers:
        layer.self_attn.q_proj = LoRALinear.from_base(layer.self_attn.q_proj, 4, dropout=dropout)
        layer.mlp.up_proj = LoRALinear.from_base(layer.mlp.up_proj, 4, dropout=dropout)
        layer.mlp.up_proj.lora_b = mx.random.normal(layer.mlp.up_proj.lora_b.shape) * 0.1
    return model


def plain(model: Any, inputs: Any, targets: Any, mask: Any = None) -> tuple[float, Flat]:
    def function(model: Any) -> mx.array:
        losses = nn.losses.cross_entropy(model(mx.array(inputs)), mx.array(targets))
        return (losses if mask is None else losses * mx.array(mask)).sum()

    value, gradients = nn.value_and_grad(model, function)(model)
    return value.item(), dict(tree_flatten(gradients))


def assert_close(found: Any, expected: Flat, tolerance: float = 1e-5) -> None:
    flat = dict(tree_flatten(found))
    assert flat.keys() == expected.keys() and flat
    scale = max(mx.linalg.norm(value).item() for value in expected.values())
    for name, wanted in expected.items():
        error = mx.linalg.norm(flat[name].astype(mx.float32) - wanted).item()
        assert error < tolerance * (mx.linalg.norm(wanted).item() + 1e-3 * scale), name


def bits(result: tuple[mx.array, int, Any]) -> list[bytes]:
    nats, _, gradients = result
    return [np.array(nats).tobytes()] + [np.array(g).tobytes() for _, g in tree_flatten(gradients)]


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("grad_checkpoint", [False, True])
@pytest.mark.parametrize("make", [small_qwen3, small_gemma2, with_adapters])
def test_it_equals_plain_differentiation(make: Any, streams: int, grad_checkpoint: bool) -> None:
    model = make()
    inputs, targets = batch()
    value, gradients = plain(model, inputs, targets)
    step = GradientStep(model, streams=streams, grad_checkpoint=grad_checkpoint)
    nats, count, found = step(inputs, targets)
    assert count == 60
    assert nats.item() == pytest.approx(value, rel=1e-5)
    assert_close(found, gradients)


def test_masked_targets_do_not_count() -> None:
    model = small_qwen3()
    inputs, targets = batch()
    mask = np.random.default_rng(1).random(inputs.shape) < 0.5
    value, gradients = plain(model, inputs, targets, mask)
    nats, count, found = GradientStep(model, streams=2)(inputs, targets, mask)
    assert count == int(mask.sum())
    assert nats.item() == pytest.approx(value, rel=1e-5)
    assert_close(found, gradients)


def test_micro_batches_add_up_to_the_large_one() -> None:
    model = small_qwen3()
    inputs, targets = batch(rows=4)
    step = GradientStep(model)
    whole = step(inputs, targets)
    parts = [step(inputs[:1], targets[:1]), step(inputs[1:], targets[1:])]
    assert whole[1] == sum(part[1] for part in parts)
    assert whole[0].item() == pytest.approx(sum(part[0].item() for part in parts), rel=1e-6)
    first, second = (dict(tree_flatten(part[2])) for part in parts)
    assert_close(whole[2], {name: first[name] + second[name] for name in first})


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("grad_checkpoint", [False, True])
def test_dropout_is_a_function_of_the_seed_alone(streams: int, grad_checkpoint: bool) -> None:
    inputs, targets = batch()
    results = []
    for disturbance, seed in ((1, 5), (2, 5), (3, 6)):
        model = with_adapters(dropout=0.3)
        step = GradientStep(model, streams=streams, grad_checkpoint=grad_checkpoint)
        mx.random.seed(disturbance)
        results.append(bits(step(inputs, targets, seed=seed)))
    assert results[0] == results[1]
    assert results[0] != results[2]


@pytest.mark.parametrize("streams", [1, 2])
def test_a_rows_dropout_depends_on_no_other_row(streams: int) -> None:
    inputs, targets = batch(rows=4)
    seeds = [5, 6, 7, 8]
    step = GradientStep(with_adapters(dropout=0.3), streams=streams)
    whole_nats, _, whole = step(inputs, targets, seed=seeds)
    halves = [step(inputs[i::2], targets[i::2], seed=seeds[i::2]) for i in (0, 1)]
    assert sum(half[0].item() for half in halves) == pytest.approx(whole_nats.item(), rel=1e-6)
    assert_close(tree_map(mx.add, halves[0][2], halves[1][2]), dict(tree_flatten(whole)))
    assert step(inputs, targets, seed=seeds[::-1])[0].item() != whole_nats.item()


def test_dropouts_gradient_belongs_to_its_value_with_and_without_checkpointing() -> None:
    inputs, targets = batch()
    kept = GradientStep(with_adapters(dropout=0.3), streams=1)(inputs, targets, seed=5)
    again = GradientStep(with_adapters(dropout=0.3), streams=1, grad_checkpoint=True)
    nats, _, found = again(inputs, targets, seed=5)
    # Checkpointed layers have keys of their own, so the masks differ from the other run's; the
    # derivative along the gradient must be its squared norm, measured with the same masks.
    model = again.model
    flat = dict(tree_flatten(found))
    norm = sum((g * g).sum().item() for g in flat.values())
    rate = 1e-2 / norm**0.5
    values = []
    for sign in (1, -1):
        moved = {n: p + sign * rate * flat[n] / norm**0.5 for n, p in parameters(model).items()}
        other = with_adapters(dropout=0.3)
        other.load_weights(list(moved.items()), strict=False)
        values.append(GradientStep(other, streams=1, grad_checkpoint=True)(inputs, targets, seed=5))
    slope = (values[0][0].item() - values[1][0].item()) / (2 * rate)
    assert slope == pytest.approx(norm**0.5, rel=0.05)
    assert nats.item() != kept[0].item()


def parameters(model: Any) -> Flat:
    return dict(tree_flatten(model.trainable_parameters()))


@pytest.mark.parametrize("streams", [1, 2])
def test_it_repeats_bit_for_bit(streams: int) -> None:
    inputs, targets = batch(rows=4)
    results = [bits(GradientStep(small_qwen3(), streams=streams)(inputs, targets)) for _ in "ab"]
    assert results[0] == results[1]


def test_the_model_is_as_before_afterwards() -> None:
    model = small_qwen3()
    before = dict(tree_flatten(model.parameters()))
    classes = [type(layer) for layer in model.layers]
    dropout = nn.Dropout.__call__
    step = GradientStep(model, grad_checkpoint=True, compute_dtype=mx.bfloat16)
    mx.eval(step(*batch()))
    after = dict(tree_flatten(model.parameters()))
    assert list(after) == list(before)
    assert all(
        after[name] is before[name] or mx.array_equal(after[name], before[name]).item()
        for name in before
    )
    assert [type(layer) for layer in model.layers] == classes
    assert nn.Dropout.__call__ is dropout


@pytest.mark.parametrize(("rows", "expected"), [(1, 2), (2, 1), (3, 1)])
def test_streams_and_blas_threads_share_the_cores(rows: int, expected: int) -> None:
    step = GradientStep(small_qwen3(), streams=2)
    if not blas.use_fast_blas().replaced:
        pytest.skip("no fast BLAS here")
    mx.eval(step(*batch(rows=rows)))
    assert blas.blas_threads() == expected
    blas.use_fast_blas(enabled=False)


def test_new_parameters_are_seen_at_the_next_call() -> None:
    model = small_qwen3()
    step = GradientStep(model)
    inputs, targets = batch()
    first = step(inputs, targets)[0].item()
    model.update({"model": {"norm": {"weight": model.model.norm.weight * 2}}})
    second = step(inputs, targets)[0].item()
    assert first != second
    assert second == pytest.approx(plain(model, inputs, targets)[0], rel=1e-5)


def test_low_precision_computation_leaves_master_weights_and_gradients_in_float32() -> None:
    model = small_qwen3()
    inputs, targets = batch()
    value, gradients = plain(model, inputs, targets)
    nats, _, found = GradientStep(model, streams=1, compute_dtype=mx.bfloat16)(inputs, targets)
    assert nats.dtype == mx.float32 and nats.item() == pytest.approx(value, rel=0.02)
    assert all(g.dtype == mx.float32 for _, g in tree_flatten(found))
    assert all(p.dtype == mx.float32 for p in parameters(model).values())
    assert_close(found, gradients, tolerance=0.2)


def test_a_model_without_layers_cannot_be_checkpointed() -> None:
    with pytest.raises(UserError, match="list of layers"):
        GradientStep(nn.Linear(4, 4), grad_checkpoint=True)


@pytest.mark.slow
def test_the_compiled_step_equals_the_plain_one() -> None:
    model = with_adapters(dropout=0.3)
    inputs, targets = batch(rows=2)
    expected = GradientStep(model, streams=2)(inputs, targets, seed=3)
    step = GradientStep(model, streams=2, compile=True)
    for _ in range(2):
        nats, _, found = step(inputs, targets, seed=3)
        assert nats.item() == pytest.approx(expected[0].item(), rel=1e-5)
        assert_close(found, dict(tree_flatten(expected[2])))
    other = step(inputs, targets, seed=4)
    assert other[0].item() != nats.item()


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_agrees_with_plain_differentiation(
    toy_folder: ToyFolder, name: str
) -> None:
    model = prepare(toy_folder(name), kind="full")[0].model
    inputs, targets = batch(rows=2, length=24, words=500)
    value, gradients = plain(model, inputs, targets)
    nats, _, found = GradientStep(model, streams=2)(inputs, targets)
    assert nats.item() == pytest.approx(value, rel=1e-5)
    assert_close(found, gradients, tolerance=2e-5)


@pytest.mark.parametrize(("tokens", "words"), [(1, 5), (37, 3), (600, 10)])
def test_sums_over_sorted_ids_are_those_of_every_order(tokens: int, words: int) -> None:
    """What a GPU, whose scatter-add has no fixed order, computes in its place."""
    random = np.random.default_rng(1)
    ids, rows = random.integers(0, words, tokens), random.normal(size=(tokens, 4))
    exact = np.zeros((words, 4))
    np.add.at(exact, ids, rows.astype(np.float32).astype(np.float64))
    places, sums = sorted_sums(mx.array(ids), mx.array(rows, mx.float32))
    found = np.zeros((words, 4))
    assert (np.diff(np.array(places)) >= 0).all()
    # At most one row of each id is not zero: so adding them gives the same in every order.
    assert ((np.abs(np.array(sums)).sum(axis=1) > 0).sum()) == len(set(ids.tolist()))
    np.add.at(found, np.array(places), np.array(sums, dtype=np.float64))
    np.testing.assert_allclose(found, exact, atol=1e-5)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_a_gpu_gets_the_same_gradients_by_sorted_sums(
    tied: bool, compile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU computes them: no kernels for the CPU, no tiles, embeddings by `lookup`."""
    model = small_qwen3(tied=tied)
    inputs, targets = batch()
    value, gradients = plain(model, inputs, targets)
    for module in (embedding_gradient, loss):
        monkeypatch.setattr(module, "on_cpu", lambda: False)
    looked_up: list[int] = []
    stock = embedding_gradient.lookup
    monkeypatch.setattr(
        embedding_gradient, "lookup", lambda *both: (looked_up.append(1), stock(*both))[1]
    )
    nats, _, found = GradientStep(model, streams=1, compile=compile)(inputs, targets)
    assert looked_up and nats.item() == pytest.approx(value, rel=1e-5)
    assert_close(found, gradients)
    assert nn.Embedding.__call__ is STOCK_LOOKUP
