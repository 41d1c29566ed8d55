"""RMS norm and rotary embeddings on a CPU, each with a gradient of its own.

mlx has fused kernels for both, on GPUs. On a CPU it puts them together from single operations and
differentiates these: two to three times the passes that are needed. What is here stands in for
`mx.fast.rms_norm` and `mx.fast.rope`, and hands on to them what it does not cover.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mlx.core as mx

from cptstudio.lm.cpu_fusion import held, is_described, with_gradient

_STOCK_RMS_NORM, _STOCK_ROPE = mx.fast.rms_norm, mx.fast.rope


def rms_norm(x: mx.array, weight: mx.array | None, eps: float, *, stream: Any = None) -> mx.array:
    """Return x / sqrt(mean(x ** 2) + eps) * weight over the last axis (arXiv 1910.07467)."""
    covered = (
        weight is not None
        and stream is None
        and x.ndim > 1
        and x.dtype == weight.dtype == mx.float32
    )
    if not covered:
        return _STOCK_RMS_NORM(x, weight, eps, stream=stream)
    return _rms_norm(eps)(x, weight)


@lru_cache(maxsize=16)
def _rms_norm(epsilon: float) -> Callable[..., mx.array]:
    def normalise(x: mx.array, weight: mx.array) -> tuple[mx.array, mx.array]:
        size = x.shape[-1]
        means = (x * x) @ mx.full((size, 1), 1 / size)
        inverse = mx.rsqrt(means + epsilon)
        return x * inverse * weight, inverse

    def normalise_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, mx.array]:
        (x, weight), above, inverse = primals, cotangents[0], outputs[1]
        size = x.shape[-1]
        products = above * x
        # Sums over rows and over columns of the same products, as products with vectors.
        dots = products @ weight.reshape(size, 1)
        columns = inverse.reshape(1, -1) @ products.reshape(-1, size)
        back = dots * (inverse * inverse * inverse * (1 / size))
        return above * inverse * weight - x * back, columns.reshape(size)

    def stand_in(x: mx.array, weight: mx.array) -> mx.array:
        return x * held(normalise(x, weight)[1]) * weight

    return with_gradient(normalise, normalise_vjp, stand_in)


def rope(
    x: mx.array,
    dims: int,
    *,
    traditional: bool,
    base: float | None,
    scale: float,
    offset: int | mx.array,
    freqs: mx.array | None = None,
    stream: Any = None,
) -> mx.array:
    """Rotary position embeddings (arXiv 2104.09864) of [..., heads, length, size]."""
    covered = (
        not traditional
        and stream is None
        and isinstance(offset, int)
        and x.ndim == 4
        and x.shape[-1] == dims
        and dims % 2 == 0
        and x.dtype == mx.float32
        and (freqs is None) != (base is None)
    )
    if not covered:
        return _STOCK_ROPE(
            x,
            dims,
            traditional=traditional,
            base=base,
            scale=scale,
            offset=offset,
            freqs=freqs,
            stream=stream,
        )
    assert isinstance(offset, int)
    cosines, sines = _tables(x.shape[2], dims, base, scale, offset, freqs)

    def rotate(x: mx.array) -> mx.array:
        return _rotated(x, cosines, sines)

    def rotate_vjp(primals: Any, cotangent: Any, output: Any) -> mx.array:
        # Back by the same angle.
        return _rotated(cotangent, cosines, sines, back=True)

    if is_described():
        return rotate(x)
    function: Any = mx.custom_function(rotate)
    function.vjp(rotate_vjp)
    result: mx.array = function(x)
    return result


def _rotated(x: mx.array, cosines: mx.array, sines: mx.array, back: bool = False) -> mx.array:
    """Rotate: x * cosines + (x with its halves exchanged) * sines; minus turns it back.

    `cosines` and `sines` are [length, 2, size / 2]. A view exchanges the halves.
    """
    halves = mx.contiguous(x).reshape(*x.shape[:-1], 2, x.shape[-1] // 2)
    straight, crossed = halves * cosines, halves[..., ::-1, :] * sines
    return (straight - crossed if back else straight + crossed).reshape(x.shape)


def _tables(
    length: int, dims: int, base: float | None, scale: float, offset: int, freqs: mx.array | None
) -> tuple[mx.array, mx.array]:
    """Cosines, and sines with the sign of their half: [length, 2, dims / 2]."""
    if base is not None:
        return _tables_of_base(length, dims, base, scale, offset)
    assert freqs is not None
    return _make_tables(mx.reciprocal(freqs), length, scale, offset)


@lru_cache(maxsize=16)
def _tables_of_base(
    length: int, dims: int, base: float, scale: float, offset: int
) -> tuple[mx.array, mx.array]:
    half = dims // 2
    frequencies = mx.exp(mx.arange(0, -half, -1, mx.float32) * (math.log(base) / half))
    tables = _make_tables(frequencies, length, scale, offset)
    mx.eval(tables)
    return tables


def _make_tables(
    frequencies: mx.array, length: int, scale: float, offset: int
) -> tuple[mx.array, mx.array]:
    positions = (mx.arange(length, dtype=mx.float32) + offset) * scale
    angles = positions[:, None] * frequencies
    cosines, sines = mx.cos(angles), mx.sin(angles)
    return mx.stack([cosines, cosines], axis=1), mx.stack([-sines, sines], axis=1)
