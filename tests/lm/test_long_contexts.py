"""Attention in blocks is the attention it stands for, and takes memory with the length alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models import base, llama

from cptstudio.lm import attention_blocks, long_contexts
from cptstudio.lm.attention_blocks import Tiles
from cptstudio.lm.cpu_kernels import fast_kernels, on_cpu
from cptstudio.lm.cpu_long_attention import long_attention
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.likelihood import score_tokens
from cptstudio.lm.loading import load_for_training
from cptstudio.lm.long_contexts import attention_in_blocks, in_blocks
from cptstudio.lm.step_program import step_bytes
from tests.shared_architectures import save_shared_architecture

cpu_only = pytest.mark.skipif(not on_cpu(), reason="the kernels are for CPUs")
Attention = Callable[..., mx.array]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that a short text has many of."""
    monkeypatch.setattr(attention_blocks, "TILE_BYTES", 1 << 17)
    monkeypatch.setattr(attention_blocks, "SMALLEST_BLOCK", 16)
    monkeypatch.setattr(attention_blocks, "LARGEST_BLOCK", 64)
    monkeypatch.setattr(attention_blocks, "GPU_TILE_BYTES", 1 << 17)


def normal(*shape: int, seed: int = 0) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


def by_mlx(window: int | None) -> Attention:
    def attention(q: mx.array, k: mx.array, v: mx.array, *sinks: mx.array) -> mx.array:
        mask = base.create_causal_mask(q.shape[2], window_size=window)
        return mx.fast.scaled_dot_product_attention(
            q, k, v, scale=0.25, mask=mask, sinks=sinks[0] if sinks else None
        )

    return attention


def ours(function: Any, window: int | None) -> Attention:
    def attention(q: mx.array, k: mx.array, v: mx.array, *sinks: mx.array) -> mx.array:
        result: mx.array = function(q, k, v, 0.25, window, sinks[0] if sinks else None)
        return result

    return attention


@pytest.mark.parametrize("function", [pytest.param(long_attention, marks=cpu_only), in_blocks])
@pytest.mark.parametrize(
    ("length", "window", "key_heads", "sinks"),
    [
        (2, None, 4, False),
        (129, None, 2, True),
        (300, 7, 1, False),
        (300, 16, 2, True),
        (257, 130, 4, False),
        (200, 900, 2, False),
    ],
)
def test_it_is_mlxs_attention_and_gradient(
    small_blocks: None, function: Any, length: int, window: int | None, key_heads: int, sinks: bool
) -> None:
    inputs = [normal(2, 4, length, 16), normal(2, key_heads, length, 16, seed=1)]
    inputs += [normal(2, key_heads, length, 8, seed=2)] + [normal(4, seed=3)] * sinks
    cotangent = normal(2, 4, length, 8, seed=9)
    found, gradients = mx.vjp(ours(function, window), inputs, [cotangent])
    expected, wanted = mx.vjp(by_mlx(window), inputs, [cotangent])
    for one, other in zip([*found, *gradients], [*expected, *wanted], strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (mx.linalg.norm(one - other) / mx.linalg.norm(other)).item() < 5e-6


def test_other_types_are_computed_in_them(small_blocks: None) -> None:
    inputs = [normal(1, 4, 150, 16, seed=seed).astype(mx.bfloat16) for seed in range(3)]
    cotangent = normal(1, 4, 150, 16, seed=9).astype(mx.bfloat16)
    found, gradients = mx.vjp(ours(in_blocks, 40), inputs, [cotangent])
    expected, wanted = mx.vjp(by_mlx(40), inputs, [cotangent])
    for one, other in zip([*found, *gradients], [*expected, *wanted], strict=True):
        assert one.dtype == mx.bfloat16
        error = mx.linalg.norm((one - other).astype(mx.float32))
        assert (error / mx.linalg.norm(other.astype(mx.float32))).item() < 2e-2


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt_oss", "minicpm3"])
def test_networks_learn_the_same_to_the_last_bits_and_repeat_exactly(
    small_blocks: None, name: str, tmp_path: Path
) -> None:
    """Grouped queries; sliding windows; sinks and windows; compressed keys and values."""
    save_shared_architecture(name, tmp_path)
    model = load_for_training(tmp_path, method="full", compute_dtype=mx.float32).model
    tokens = np.random.default_rng(0).integers(0, 500, (2, 150)).astype(np.int32)
    results = []
    for settings in ({}, {"long_attention": True}, {"long_attention": True}):
        step = GradientStep(model, grad_checkpoint=bool(results), streams=1, **settings)
        nats, _, gradients = step(tokens, tokens, seed=1)
        mx.eval(nats, gradients)
        results.append((nats, dict(tree_flatten(gradients))))
    (nats, whole), (in_parts, found), (again, repeated) = results
    assert in_parts.item() == pytest.approx(nats.item(), rel=1e-6)
    assert again.item() == in_parts.item()
    for key, wanted in whole.items():
        scale = mx.linalg.norm(wanted).item() + 1e-3
        assert mx.linalg.norm(found[key] - wanted).item() < 1e-5 * scale, key
        assert mx.array_equal(found[key], repeated[key]).item(), key


def test_the_models_functions_are_replaced_only_meanwhile() -> None:
    before = base.scaled_dot_product_attention, llama.create_attention_mask
    with pytest.raises(ZeroDivisionError), fast_kernels(), attention_in_blocks():
        assert llama.scaled_dot_product_attention is not before[0]
        mask = llama.create_attention_mask(mx.zeros((1, 40, 8)), None, window_size=10)
        assert isinstance(mask, long_contexts.Window)
        # A model that looks into its mask finds what mlx-lm puts there.
        assert mx.array_equal(mask[:], base.create_causal_mask(40, window_size=10)).item()
        assert mask.dtype == mx.bool_
        assert llama.create_attention_mask(mx.zeros((1, 9, 8)), None, window_size=10) == "causal"
        raise ZeroDivisionError
    assert (base.scaled_dot_product_attention, llama.create_attention_mask) == before


def test_documents_are_measured_in_blocks_from_a_long_context_on(
    small_blocks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_shared_architecture("gemma3", tmp_path)
    model = load_for_training(tmp_path, method="full", compute_dtype=mx.float32).model
    document = np.random.default_rng(0).integers(0, 500, 200)
    [whole] = score_tokens(model, [document], start_token=1, context_length=200)
    calls = []

    def noted(*arguments: Any, own: Any = long_contexts._causal) -> mx.array:
        calls.append(arguments[4])
        result: mx.array = own(*arguments)
        return result

    monkeypatch.setattr(long_contexts, "_causal", noted)
    monkeypatch.setattr("cptstudio.lm.likelihood.LONG_CONTEXT", 128)
    [found] = score_tokens(model, [document], start_token=1, context_length=200)
    assert {40, None} <= set(calls)
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-4)


@cpu_only
@pytest.mark.parametrize("function", [long_attention, in_blocks])
def test_memory_grows_with_the_length_not_with_its_square(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TILE_BYTES", "GPU_TILE_BYTES"):
        monkeypatch.setattr(attention_blocks, name, 1 << 18)
    monkeypatch.setattr(attention_blocks, "SMALLEST_BLOCK", 32)

    def peak(length: int) -> int:
        inputs = [normal(1, 2, length, 16, seed=seed) for seed in range(3)]
        mx.eval(inputs)
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        mx.eval(mx.vjp(ours(function, None), inputs, [normal(1, 2, length, 16)]))
        return mx.get_peak_memory() - before

    # All scores would be 4 and 67 MB.
    assert peak(2048) < 3 * peak(512) + 4_000_000


def test_tiles_cover_every_score_once() -> None:
    for shape in (Tiles(6, 3, 5000), Tiles(2, 1, 5000, 700), Tiles(4, 8, 100_000, 100)):
        assert shape.tile_bytes() <= 8 * attention_blocks.TILE_BYTES
        assert [*range(shape.heads)] == [
            head for tile in shape.head_tiles() for head in range(tile.start, tile.stop)
        ]
        place = 0
        for block, seen in shape.blocks():
            assert block.start == place and seen.stop == block.stop
            assert seen.start % shape.block == 0
            window = shape.window or shape.length
            assert seen.start <= max(0, block.start - window + 1) < seen.start + shape.block
            place = block.stop
        assert place == shape.length


def test_a_network_that_is_planned_by_its_graph_is_planned_with_what_blocks_work_on(
    tmp_path: Path,
) -> None:
    save_shared_architecture("gpt_oss", tmp_path)
    request = {"model": str(tmp_path), "trust_remote_code": False, "method": {"kind": "full"}}
    request |= {"rows": 1, "streams": 1, "dtype": "float32", "checkpointing": True}

    def passing(length: int, gpu: bool, long: bool) -> int:
        more = {"length": length, "gpu": gpu, "long_attention": long}
        return step_bytes(request | more)["passing"]

    for gpu in (False, True):
        found = [passing(length, gpu, True) for length in (32_768, 65_536)]
        assert found[1] < 2.2 * found[0]
    assert found[0] < 0.5 * passing(32_768, True, False)
