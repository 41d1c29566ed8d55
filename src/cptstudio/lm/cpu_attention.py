"""Causal attention on a CPU: in blocks of queries that touch only the keys before them.

Scores are held as [keys, queries]: mlx finds the largest along the first of two axes four times as
fast as along the last. The exponentials are kept for the gradient: half of what plain
differentiation keeps.
"""

import math
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx
import numpy as np

BLOCK = 128
"""Queries in one block, at least."""

MOST_BLOCKS = 8
"""More blocks than this cost more in calls than they save in products."""

_BLOCKED = -1e30


def causal_attention(queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
    """Causal softmax attention.

    `queries` are [rows, heads, length, size], `keys` and `values` [rows, key heads, length, ...]
    where the key heads divide the heads (grouped-query attention).
    """
    length = queries.shape[2]
    block = max(BLOCK, -(-length // MOST_BLOCKS))
    edges = [(start, min(start + block, length)) for start in range(0, length, block)]

    def attend(queries: mx.array, keys: mx.array, values: mx.array) -> tuple[mx.array, ...]:
        return _attend(queries, keys, values, scale, edges)

    def attend_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        return _attend_vjp(primals, cotangents[0], outputs, scale, edges)

    function: Any = mx.custom_function(attend)
    function.vjp(attend_vjp)
    result: mx.array = function(queries, keys, values)[0]
    return result


def _attend(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    scale: float,
    edges: list[tuple[int, int]],
) -> tuple[mx.array, ...]:
    """The output; then for each block 1 / sums of exponentials, and the exponentials by piece."""
    rows, heads, _, _ = queries.shape
    groups = heads // keys.shape[1]
    queries, keys, values = (
        mx.contiguous(queries) * scale,
        mx.contiguous(keys),
        mx.contiguous(values),
    )
    base = mx.array(math.e, queries.dtype)
    found: list[mx.array] = []
    kept: list[mx.array] = []
    for start, end in edges:
        # One block's scores after the other: what has just been written is still in the cache.
        asked = _after(_grouped(queries[:, :, start:end], groups), found).swapaxes(-1, -2)
        pieces = _pieces(start, end)
        scores = [keys[:, :, piece] @ asked for piece in pieces]
        scores[-1] = scores[-1] + _future(end - start, groups)
        tops = [score.max(axis=-2, keepdims=True) for score in scores]
        top = tops[0] if len(tops) == 1 else mx.maximum(*tops)
        exps = [mx.power(base, score - top) for score in scores]
        inverse = mx.reciprocal(_sum([exp.sum(axis=-2, keepdims=True) for exp in exps]))
        output = _sum(
            [
                exp.swapaxes(-1, -2) @ values[:, :, piece]
                for exp, piece in zip(exps, pieces, strict=True)
            ]
        )
        output = output * inverse.swapaxes(-1, -2)
        found.append(output.reshape(rows, heads, end - start, -1))
        kept += [inverse, *exps]
    return (_concatenated(found), *kept)


def _attend_vjp(
    primals: Any,
    cotangent: mx.array,
    outputs: Any,
    scale: float,
    edges: list[tuple[int, int]],
) -> tuple[mx.array, ...]:
    """Gradients for queries, keys and values (the equations of arXiv 2205.14135, appendix B)."""
    queries, keys, values = primals
    rows, heads, _, size = queries.shape
    groups = heads // keys.shape[1]
    queries, keys = mx.contiguous(queries) * scale, mx.contiguous(keys)
    output, *rest = outputs
    kept = iter(rest)
    cotangent = mx.contiguous(cotangent)
    dots = (cotangent * output) @ mx.ones((cotangent.shape[-1], 1))
    # One more column makes the product subtract `dots`.
    cotangents = mx.concatenate([cotangent, -dots], axis=-1)
    values = mx.concatenate([values, mx.ones((*values.shape[:-1], 1), values.dtype)], axis=-1)
    found: list[mx.array] = []
    sums: tuple[mx.array, mx.array] | None = None
    for start, end in edges:
        inverse = next(kept).swapaxes(-1, -2)
        above = _after(_grouped(cotangents[:, :, start:end], groups), found)
        asked = _grouped(queries[:, :, start:end], groups) * inverse
        weighted = above[..., :-1] * inverse
        query: list[mx.array] = []
        more: list[tuple[mx.array, mx.array]] = []
        for piece in _pieces(start, end):
            exps = next(kept)
            slopes = (values[:, :, piece] @ above.swapaxes(-1, -2)) * exps
            query.append(slopes.swapaxes(-1, -2) @ keys[:, :, piece])
            more.append((slopes @ asked, exps @ weighted))
        sums = _grown(sums, more)
        gradient = mx.depends(_sum(query) * (inverse * scale), list(sums))
        found.append(gradient.reshape(rows, heads, end - start, size))
    assert sums is not None
    return _concatenated(found), *sums


def _pieces(start: int, end: int) -> list[slice]:
    """The keys of a block's queries: those before it, which need no mask, and its own."""
    return [slice(0, start), slice(start, end)] if start else [slice(start, end)]


def _sum(terms: list[mx.array]) -> mx.array:
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _concatenated(pieces: list[mx.array]) -> mx.array:
    return pieces[0] if len(pieces) == 1 else mx.concatenate(pieces, axis=2)


def _after(x: mx.array, former: list[mx.array]) -> mx.array:
    """`x`, not to be computed on before the last of `former`."""
    return cast(mx.array, mx.depends(x, former[-1])) if former else x


def _grouped(x: mx.array, groups: int) -> mx.array:
    """[rows, heads, block, size] as [rows, key heads, groups * block, size]."""
    rows, heads, block, size = x.shape
    return x if groups == 1 else x.reshape(rows, heads // groups, groups * block, size)


@lru_cache(maxsize=64)
def _future(block: int, groups: int) -> mx.array:
    """What is added to scores [block, groups * block] so that no query sees a later position."""
    position = np.arange(block)
    blocked = np.where(position[:, None] > position[None], np.float32(_BLOCKED), np.float32(0))
    return mx.array(np.tile(blocked, (1, groups)))


def _grown(
    sums: tuple[mx.array, mx.array] | None, more: list[tuple[mx.array, mx.array]]
) -> tuple[mx.array, mx.array]:
    """Gradients for keys and values: `sums`, plus a block's for the same and for its own keys."""
    if sums is None:
        return more[0]
    keys, values = (
        mx.concatenate([former + past, own], axis=2)
        for former, past, own in zip(sums, *more, strict=True)
    )
    return keys, values
