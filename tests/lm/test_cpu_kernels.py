"""The CPU kernels compute what mlx's own functions compute, and so do their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx_lm.models import activations, base, llama, qwen3

from cptstudio.lm import cpu_kernels, cpu_layers
from cptstudio.lm.cpu_attention import causal_attention

cpu_only = pytest.mark.skipif(not cpu_kernels.on_cpu(), reason="the kernels are for CPUs")


def normal(*shape: int, seed: int = 0) -> mx.array:
    return mx.random.normal(shape, key=mx.random.key(seed))


def assert_same_function(
    ours: Callable[..., Any], stock: Callable[..., Any], inputs: list[mx.array]
) -> None:
    """Values and gradients agree within 1e-6 of the largest."""
    cotangent = normal(*stock(*inputs).shape, seed=99)
    value, gradients = mx.vjp(ours, inputs, [cotangent])
    expected, expected_gradients = mx.vjp(stock, inputs, [cotangent])
    for got, want in zip([*value, *gradients], [*expected, *expected_gradients], strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        error = mx.linalg.norm(got - want) / mx.linalg.norm(want)
        assert error.item() < 1e-6


def test_activations_agree_with_mlx() -> None:
    gate, up = normal(7, 33) * 3, normal(7, 33, seed=1)
    assert_same_function(cpu_kernels.swiglu, activations.swiglu, [gate, up])
    assert_same_function(cpu_kernels.silu, nn.silu, [gate])
    assert_same_function(cpu_kernels.gelu_approx, nn.gelu_approx, [gate])


def test_activations_hold_at_extreme_values() -> None:
    x = mx.array([-1e30, -200.0, -50.0, 0.0, 50.0, 200.0])
    one = mx.ones_like(x)
    for ours in (cpu_kernels.silu, lambda x: cpu_kernels.swiglu(x, one)):
        value, gradient = mx.vjp(ours, [x], [one])
        assert mx.allclose(value[0], mx.maximum(x, 0)).item()
        assert mx.allclose(gradient[0], mx.array([0, 0, 0, 0.5, 1, 1.0])).item()


@pytest.mark.parametrize("length", [2, 127, 128, 129, 300, 1100])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_attention_agrees_with_mlx(length: int, key_heads: int) -> None:
    queries = normal(2, 4, length, 16)
    keys, values = normal(2, key_heads, length, 16, seed=1), normal(2, key_heads, length, 8, seed=2)

    def stock(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.25, mask="causal")

    def ours(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return causal_attention(q, k, v, 0.25)

    assert_same_function(ours, stock, [queries, keys, values])


def test_attention_takes_transposed_inputs_and_large_scores() -> None:
    queries, keys, values = (normal(1, 140, 3, 8, seed=seed) * 30 for seed in range(3))

    def stock(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask="causal")

    def ours(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        q, k, v = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
        return causal_attention(q, k, v, 0.3)

    cotangent = normal(1, 3, 140, 8, seed=9)
    value, gradients = mx.vjp(ours, [queries, keys, values], [cotangent])
    expected, expected_gradients = mx.vjp(stock, [queries, keys, values], [cotangent])
    for got, want in zip([*value, *gradients], [*expected, *expected_gradients], strict=True):
        assert bool(mx.isfinite(got).all())
        assert (mx.linalg.norm(got - want) / mx.linalg.norm(want)).item() < 3e-4


@pytest.mark.parametrize("shape", [(3, 40), (2, 9, 4, 16), (2, 300, 8)])
def test_rms_norm_agrees_with_mlx(shape: tuple[int, ...]) -> None:
    x, weight = normal(*shape) * 3, normal(shape[-1], seed=1) + 1

    def stock(x: mx.array, weight: mx.array) -> mx.array:
        return mx.fast.rms_norm(x, weight, 1e-5)

    def ours(x: mx.array, weight: mx.array) -> mx.array:
        return cpu_layers.rms_norm(x, weight, 1e-5)

    assert_same_function(ours, stock, [x, weight])


@pytest.mark.parametrize("offset", [0, 7])
@pytest.mark.parametrize("own_frequencies", [False, True])
def test_rotary_embeddings_agree_with_mlx(offset: int, own_frequencies: bool) -> None:
    frequencies = mx.arange(1.0, 9.0) ** 3 if own_frequencies else None
    settings: dict[str, Any] = {
        "traditional": False,
        "base": None if own_frequencies else 1e4,
        "scale": 0.5,
        "offset": offset,
        "freqs": frequencies,
    }
    assert_same_function(
        lambda x: cpu_layers.rope(x.transpose(0, 2, 1, 3), 16, **settings),
        lambda x: mx.fast.rope(x.transpose(0, 2, 1, 3), 16, **settings),
        [normal(2, 33, 3, 16)],
    )


@pytest.mark.parametrize(
    ("dims", "changes"),
    [(8, {}), (16, {"traditional": True}), (16, {"offset": mx.array([1, 2])})],
)
def test_rotary_embeddings_of_other_kinds_stay_mlxs(dims: int, changes: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"traditional": False, "base": 1e4, "scale": 1.0, "offset": 0}
    settings |= changes
    x = normal(2, 3, 20, 16)
    ours, stock = cpu_layers.rope(x, dims, **settings), mx.fast.rope(x, dims, **settings)
    assert mx.array_equal(ours, stock).item()


def test_norms_of_other_types_stay_mlxs() -> None:
    x, weight = normal(4, 16).astype(mx.bfloat16), normal(16).astype(mx.bfloat16)
    for given in (weight, None):
        ours, stock = cpu_layers.rms_norm(x, given, 1e-5), mx.fast.rms_norm(x, given, 1e-5)
        assert ours.dtype == mx.bfloat16 and mx.array_equal(ours, stock).item()


@cpu_only
def test_they_stand_in_for_mlx_lms_only_while_a_graph_is_built() -> None:
    before = (base.scaled_dot_product_attention, llama.swiglu, qwen3.swiglu, nn.silu)
    fast = (mx.fast.rms_norm, mx.fast.rope)
    with pytest.raises(ZeroDivisionError), cpu_kernels.fast_kernels():
        assert llama.swiglu is cpu_kernels.swiglu and qwen3.swiglu is cpu_kernels.swiglu
        assert nn.silu is cpu_kernels.silu
        assert llama.scaled_dot_product_attention is not before[0]
        assert mx.fast.rms_norm is cpu_layers.rms_norm and mx.fast.rope is cpu_layers.rope
        with cpu_kernels.fast_kernels():
            pass
        assert nn.silu is cpu_kernels.silu and mx.fast.rope is cpu_layers.rope
        raise ZeroDivisionError
    assert before == (base.scaled_dot_product_attention, llama.swiglu, qwen3.swiglu, nn.silu)
    assert fast == (mx.fast.rms_norm, mx.fast.rope)


@cpu_only
@pytest.mark.parametrize("mask", [None, "window"])
def test_attention_that_is_not_plainly_causal_stays_mlx_lms(mask: str | None) -> None:
    x = normal(1, 2, 20, 8)
    wanted = base.create_causal_mask(20, window_size=4) if mask else None
    expected = base.scaled_dot_product_attention(x, x, x, cache=None, scale=1.0, mask=wanted)
    with cpu_kernels.fast_kernels():
        got = base.scaled_dot_product_attention(x, x, x, cache=None, scale=1.0, mask=wanted)
    assert mx.array_equal(got, expected).item()


def test_the_exponential_is_as_exact_as_mlxs() -> None:
    import numpy as np

    x = np.linspace(-69, 80, 4001, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    ours = np.abs(np.array(cpu_kernels.exponential(mx.array(x))) / exact - 1).max()
    assert ours < 5e-6
    rows = mx.array(x).reshape(1, -1) * mx.ones((3, 1))
    total = cpu_kernels.row_sums(mx.abs(rows))
    np.testing.assert_allclose(np.array(total)[:, 0], np.abs(x).sum(), rtol=1e-5)
