"""Faster forms of the operations that dominate a training step on a CPU.

mlx's CPU kernels are scalar: its `exp` takes 11 ns an element where an addition takes 0.3. What is
here computes the same functions with fewer and cheaper passes: an exponential that a C++ compiler
can do four numbers at a time (`cpu_fusion`), and what the gradient needs kept rather than computed
again. Attention (`cpu_attention`), norms and rotary embeddings (`cpu_layers`) have modules of their
own. Gradients agree with mlx's own to 1e-6.

`fast_kernels` puts them in the place of mlx's and mlx-lm's while a graph is built, and takes them
away again.
On Metal and CUDA it does nothing: mlx's fused kernels are better there.
"""

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx

from cptstudio.lm import cpu_attention, cpu_layers
from cptstudio.lm.cpu_fusion import (
    fused,
    fused_sigmoid,
    fusing,
    held,
    only_own_functions,
    power_of_two,
    untraced,
    whole_graph,
    with_gradient,
)
from cptstudio.lm.cpu_memory import keep_freed_memory

# Bytes of freed buffers that mlx keeps on a CPU where the C library cannot be told to.
CACHE_LIMIT = 2 << 30
_STOCK_CACHE_LIMIT = 32 << 20
_as_gpu = False


def on_cpu() -> bool:
    """Return whether mlx computes on the CPU, or what is described is computed there."""
    return not _as_gpu and bool(mx.default_device() == mx.Device(mx.cpu))


@contextmanager
def described_as_gpu() -> Iterator[None]:
    """Build graphs as a GPU gets them, on any machine, to be looked at."""
    global _as_gpu
    former, _as_gpu = _as_gpu, True
    try:
        yield
    finally:
        _as_gpu = former


def exponential(x: mx.array) -> mx.array:
    """exp(x) for numbers up to 87, at least 2 ** -100 on a CPU, in a fifth of the time of mlx's.

    For functions with gradients of their own: it cannot be differentiated by itself.
    """
    if not on_cpu() or x.dtype != mx.float32:
        return mx.exp(x)
    result: mx.array = untraced(_exponential, x)
    return result


def _exponential(x: mx.array) -> mx.array:
    if not fusing():
        return mx.power(mx.array(math.e, x.dtype), x)
    return power_of_two(_exponents(x))


@fused
def _exponents(x: mx.array) -> mx.array:
    # Minus infinity has no nearest integer.
    return mx.maximum(x * (1 / math.log(2)), -1000.0)


def row_sums(x: mx.array) -> mx.array:
    """Sums over the last axis, kept: [..., 1]. On a CPU a product is faster than `sum`."""
    if on_cpu():
        return x @ mx.ones((x.shape[-1], 1), x.dtype)
    return x.sum(axis=-1, keepdims=True)


def sigmoid(x: mx.array) -> mx.array:
    """1 / (1 + exp(-x)) on a CPU, not to be differentiated by itself."""
    if x.dtype == mx.float32:
        return cast(mx.array, untraced(fused_sigmoid, x))
    return mx.reciprocal(mx.power(mx.array(1 / math.e, x.dtype), x) + 1)


def _swiglu(gate: mx.array, up: mx.array) -> tuple[mx.array, mx.array]:
    gated = sigmoid(gate)
    return untraced(_product, gate, gated, up), gated


@fused
def _product(gate: mx.array, gated: mx.array, up: mx.array) -> mx.array:
    return gate * gated * up


def _swiglu_vjp(primals: Any, cotangents: Any, outputs: Any) -> Any:
    return untraced(_swiglu_slopes, *primals, cotangents[0], outputs[1])


@fused
def _swiglu_slopes(
    gate: mx.array, up: mx.array, above: mx.array, gated: mx.array
) -> tuple[mx.array, mx.array]:
    scaled = above * gated
    slope = (gate - gate * gated) + 1
    return scaled * up * slope, scaled * gate


def _swiglu_stand_in(gate: mx.array, up: mx.array) -> mx.array:
    return gate * up * held(mx.sigmoid(gate))


swiglu = with_gradient(_swiglu, _swiglu_vjp, _swiglu_stand_in)
"""silu(gate) * x (Shazeer, arXiv 2002.05202), keeping the sigmoid for the gradient."""


def _silu(x: mx.array) -> tuple[mx.array, mx.array]:
    gated = sigmoid(x)
    return x * gated, gated


def _silu_vjp(primals: Any, cotangents: Any, outputs: Any) -> mx.array:
    result: mx.array = cotangents[0] * (outputs[1] * ((primals - outputs[0]) + 1))
    return result


def _silu_stand_in(x: mx.array) -> mx.array:
    return x * held(mx.sigmoid(x))


silu = with_gradient(_silu, _silu_vjp, _silu_stand_in)
"""SiLU: x * sigmoid(x)."""

_GELU = 2 * math.sqrt(2 / math.pi)


def _gelu_approx(x: mx.array) -> tuple[mx.array, mx.array]:
    gated = sigmoid(x * (mx.square(x) * (0.044715 * _GELU) + _GELU))
    return x * gated, gated


def _gelu_approx_vjp(primals: Any, cotangents: Any, outputs: Any) -> mx.array:
    x, (value, gated) = primals, outputs
    inner = mx.square(x) * (3 * 0.044715 * _GELU) + _GELU
    result: mx.array = cotangents[0] * (gated + (value - value * gated) * inner)
    return result


gelu_approx = with_gradient(_gelu_approx, _gelu_approx_vjp, _silu_stand_in)
"""The tanh form of GELU (arXiv 1606.08415), as x times a sigmoid: the same function."""


def _attention(stock: Callable[..., mx.array]) -> Callable[..., mx.array]:
    """mlx-lm's attention function, with `causal_attention` for what that covers."""

    def scaled_dot_product_attention(
        queries: mx.array,
        keys: mx.array,
        values: mx.array,
        cache: Any,
        scale: float,
        mask: Any,
        sinks: mx.array | None = None,
    ) -> mx.array:
        covered = (
            cache is None
            and sinks is None
            and isinstance(mask, str)
            and mask == "causal"
            and queries.dtype == mx.float32
            and queries.shape[2] == keys.shape[2]
        )
        if covered:
            return cpu_attention.causal_attention(queries, keys, values, scale)
        return stock(queries, keys, values, cache=cache, scale=scale, mask=mask, sinks=sinks)

    return scaled_dot_product_attention


def prepare_cpu() -> None:
    """Let mlx run CPU streams side by side and keep its buffers; without effect on a GPU.

    Call it before the first evaluation in the process: mlx reads the first of the two settings only
    then.
    """
    if not on_cpu():
        return
    # mlx hands operations out in the order of a breadth-first search that turns into a depth-first
    # one beyond this width (20 if not set). Then the streams' work comes one after the other, not
    # side by side.
    os.environ.setdefault("MLX_BFS_MAX_WIDTH", "1000")
    # By default mlx gives back to the system what exceeds 32 MB, and a step pays 8 % and more for
    # fresh pages.
    former = mx.set_cache_limit(0 if keep_freed_memory() else CACHE_LIMIT)
    if former != _STOCK_CACHE_LIMIT:
        mx.set_cache_limit(former)


@contextmanager
def fast_kernels(enabled: bool = True, compiling: bool = False) -> Iterator[None]:
    """Build graphs with the functions above in the place of mlx-lm's own; CPU only.

    Evaluation may come later. Unless the graph itself is being compiled, also turns `mx.compile`
    off for the time: on a CPU it would call a C++ compiler for each activation function, and a
    compiled function keeps the stream it was first used on.
    """
    if not enabled or not on_cpu():
        yield
        return
    places = _places(len(sys.modules))
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, replacement in places:
        setattr(module, name, replacement)
    try:
        with whole_graph() if compiling else only_own_functions():
            yield
    finally:
        for module, name, function in former:
            setattr(module, name, function)


@lru_cache(maxsize=1)
def _places(modules: int) -> list[tuple[Any, str, Any]]:
    """Where mlx-lm refers to what is replaced: module, name, the function to put there.

    Looked for again only when the number of loaded modules has changed: it takes a millisecond.
    """
    from mlx_lm.models import activations, base

    nn: Any = importlib.import_module("mlx.nn")
    stock_attention = base.scaled_dot_product_attention
    replacements = {
        "scaled_dot_product_attention": (stock_attention, _attention(stock_attention)),
        "swiglu": (activations.swiglu, swiglu),
    }
    places: list[tuple[Any, str, Any]] = [
        (nn, "silu", silu),
        (nn, "gelu_approx", gelu_approx),
        (mx.fast, "rms_norm", cpu_layers.rms_norm),
        (mx.fast, "rope", cpu_layers.rope),
    ]
    for module_name, module in list(sys.modules.items()):
        if module is not None and module_name.startswith("mlx_lm.models."):
            for name, (stock, ours) in replacements.items():
                if getattr(module, name, None) is stock:
                    places.append((module, name, ours))
    return places
