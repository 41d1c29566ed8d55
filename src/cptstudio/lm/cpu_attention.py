"""Causal attention on a CPU: in blocks of queries that touch only the keys before them.

Scores are held as [keys, queries]: mlx finds the largest along the first of two axes four times as
fast as along the last. Few heads are computed at once where the context is long, since
each score takes 20 bytes for as long as it is worked on. The exponentials are kept for the
gradient: half of what plain differentiation keeps.
"""

import math
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx
import numpy as np

from cptstudio.lm.cpu_fusion import held, power_of_two, untraced, with_gradient
from cptstudio.lm.streams import equal_parts

BLOCK = 128
"""Queries in one block, at least."""

MOST_BLOCKS = 8
"""More blocks than this cost more in calls than they save in products."""

TILE_BYTES = 2 << 20
"""Scores of a block of queries, about, that are computed at once; more are as fast."""

_BLOCKED = -1e30


def causal_attention(queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
    """Causal softmax attention.

    `queries` are [rows, heads, length, size], `keys` and `values` [rows, key heads, length, ...]
    where the key heads divide the heads (grouped-query attention).
    """

    def attend(queries: mx.array, keys: mx.array, values: mx.array) -> Any:
        return untraced(_attend, queries, keys, values, scale)

    def attend_vjp(primals: Any, cotangents: Any, outputs: Any) -> Any:
        return untraced(_attend_vjp, primals, cotangents[0], outputs, scale)

    def stand_in(queries: mx.array, keys: mx.array, values: mx.array) -> mx.array:
        return _attend_stand_in(queries, keys, values, scale)

    return with_gradient(attend, attend_vjp, stand_in)(queries, keys, values)


def _attend(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float
) -> tuple[mx.array, ...]:
    """The output; then for each tile 1 / sums of exponentials, and the exponentials by piece."""
    # Scores in powers of two.
    asked = by_key_head(queries, keys) * (scale / math.log(2))
    keys, values = by_key_head(keys, keys)[:, 0], by_key_head(values, keys)[:, 0]
    groups, length = asked.shape[1:3]
    found: list[list[mx.array]] = []
    kept: list[mx.array] = []
    last: mx.array | None = None
    for heads in _head_tiles(*asked.shape[:3]):
        found.append([])
        for block, pieces in _blocks(length):
            tile = after(stacked(asked[heads, :, block]), last).swapaxes(-1, -2)
            scores = [keys[heads, piece] @ tile for piece in pieces]
            scores[-1] = scores[-1] + _future(block.stop - block.start, groups)
            tops = [score.max(axis=-2, keepdims=True) for score in scores]
            top = tops[0] if len(tops) == 1 else mx.maximum(*tops)
            exps = [power_of_two(score - top) for score in scores]
            inverse = mx.reciprocal(_sum([exp.sum(axis=-2, keepdims=True) for exp in exps]))
            output = _sum(
                [
                    exp.swapaxes(-1, -2) @ values[heads, piece]
                    for exp, piece in zip(exps, pieces, strict=True)
                ]
            )
            # One tile after the other: the memory of one serves the next.
            last = output * inverse.swapaxes(-1, -2)
            found[-1].append(unstacked(last, groups))
            kept += [inverse, *exps]
    shape = (*queries.shape[:3], values.shape[-1])
    return (joined(found).reshape(shape), *kept)


def _attend_vjp(
    primals: Any, cotangent: mx.array, outputs: Any, scale: float
) -> tuple[mx.array, ...]:
    """Gradients for queries, keys and values (the equations of arXiv 2205.14135, appendix B)."""
    output, *rest = outputs
    kept = iter(rest)
    asked = by_key_head(primals[0], primals[1]) * scale
    keys, values = (by_key_head(primal, primals[1])[:, 0] for primal in primals[1:])
    groups, length = asked.shape[1:3]
    dots = (cotangent * output) @ mx.ones((cotangent.shape[-1], 1))
    # One more column makes the product subtract `dots`.
    above = by_key_head(mx.concatenate([cotangent, -dots], axis=-1), primals[1])
    values = mx.concatenate([values, mx.ones((*values.shape[:-1], 1), values.dtype)], axis=-1)
    found: list[list[mx.array]] = []
    sums: list[tuple[mx.array, mx.array]] = []
    last: mx.array | None = None
    for heads in _head_tiles(*asked.shape[:3]):
        found.append([])
        sum_: tuple[mx.array, mx.array] | None = None
        for block, pieces in _blocks(length):
            inverse = next(kept).swapaxes(-1, -2)
            weighted = after(stacked(above[heads, :, block]), last) * inverse
            weights, tile = mx.contiguous(weighted[..., :-1]), stacked(asked[heads, :, block])
            query: list[mx.array] = []
            more: list[tuple[mx.array, mx.array]] = []
            for piece in pieces:
                exps = next(kept)
                slopes = (values[heads, piece] @ weighted.swapaxes(-1, -2)) * exps
                query.append(slopes.swapaxes(-1, -2) @ keys[heads, piece])
                more.append((slopes @ tile, exps @ weights))
            sum_ = _grown(sum_, more)
            last = mx.depends(_sum(query) * scale, list(sum_))
            found[-1].append(unstacked(last, groups))
        assert sum_ is not None
        sums.append(sum_)
    gradients = [
        joined(found),
        *(mx.concatenate(list(parts)) for parts in zip(*sums, strict=True)),
    ]
    return tuple(
        gradient.reshape(primal.shape) for gradient, primal in zip(gradients, primals, strict=True)
    )


def _attend_stand_in(queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
    """What keeps the exponentials for its gradient, tile by tile, as `_attend` does."""
    asked = by_key_head(queries, keys) * scale
    shape = (*queries.shape[:3], values.shape[-1])
    keys, values = by_key_head(keys, keys)[:, 0], by_key_head(values, keys)[:, 0]
    groups, length = asked.shape[1:3]
    found: list[list[mx.array]] = []
    last: mx.array | None = None
    for heads in _head_tiles(*asked.shape[:3]):
        found.append([])
        for block, pieces in _blocks(length):
            tile = after(stacked(asked[heads, :, block]), last).swapaxes(-1, -2)
            outputs = []
            for piece in pieces:
                scores = keys[heads, piece] @ tile
                # The scores themselves are not kept: they are multiplied by a number only.
                exps = held(mx.sigmoid(scores)) + scores * 0.5
                outputs.append(exps.swapaxes(-1, -2) @ values[heads, piece])
            last = _sum(outputs)
            found[-1].append(unstacked(last, groups))
    return joined(found).reshape(shape)


def by_key_head(x: mx.array, keys: mx.array) -> mx.array:
    """[rows, heads, length, size] as [rows * key heads, groups, length, size]."""
    return mx.contiguous(x).reshape(keys.shape[0] * keys.shape[1], -1, *x.shape[2:])


def _head_tiles(heads: int, groups: int, length: int) -> list[slice]:
    """Which key heads are computed at once."""
    block = min(_block_size(length), length)
    most = max(1, TILE_BYTES // (4 * groups * block * length // 2))
    return equal_parts(heads, math.ceil(heads / most))


def _block_size(length: int) -> int:
    return max(BLOCK, -(-length // MOST_BLOCKS))


def _blocks(length: int) -> list[tuple[slice, list[slice]]]:
    """Blocks of queries, each with its keys: those before it, which need no mask, and its own."""
    size = _block_size(length)
    blocks = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    return [(block, [slice(0, block.start), block] if block.start else [block]) for block in blocks]


def stacked(x: mx.array) -> mx.array:
    """[heads, groups, block, size] as [heads, groups * block, size]."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def unstacked(x: mx.array, groups: int) -> mx.array:
    return x.reshape(x.shape[0], groups, -1, x.shape[-1])


def joined(tiles: list[list[mx.array]]) -> mx.array:
    """Tiles [heads, groups, block, size], by heads and then blocks, as one array."""
    rows = [row[0] if len(row) == 1 else mx.concatenate(row, axis=2) for row in tiles]
    return rows[0] if len(rows) == 1 else mx.concatenate(rows)


def _sum(terms: list[mx.array]) -> mx.array:
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def after(x: mx.array, former: mx.array | None) -> mx.array:
    """`x`, not to be computed on before `former`."""
    return x if former is None else cast(mx.array, mx.depends(x, former))


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
        mx.concatenate([former + past, own], axis=1)
        for former, past, own in zip(sums, *more, strict=True)
    )
    return keys, values
