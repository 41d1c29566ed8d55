"""Attention to long contexts on a CPU: tiles of scores that are computed again for the gradient.

As `cpu_attention`, in blocks of queries with scores as [keys, queries]; but nothing of the size of
the scores is kept (FlashAttention-2, arXiv 2307.08691): for each query the logarithm of the sum of
its exponentials is, and one tile after the other is all that exists, forwards and backwards. It
takes one more product and one more exponential for each score.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx
import numpy as np

from cptstudio.lm import attention_blocks
from cptstudio.lm.attention_blocks import Tiles
from cptstudio.lm.cpu_attention import after, by_key_head, joined, stacked, unstacked
from cptstudio.lm.cpu_fusion import held, is_described, power_of_two, untraced, with_gradient

_BLOCKED = -1e30


@dataclass(frozen=True)
class _Piece:
    """Keys that a block of queries sees.

    Attributes:
        mask: what is added to their scores [keys, groups * queries]; None where all are seen.
    """

    keys: slice
    mask: mx.array | None


def _pieces(shape: Tiles) -> Iterator[tuple[slice, list[_Piece]]]:
    """Blocks of queries, each with its keys: those that only some of it see, all, and its own."""
    for block, seen in shape.blocks():
        pieces: list[_Piece] = []
        first = seen.start
        if shape.window is not None:
            partly = min(max(first, block.stop - shape.window), block.start)
            if partly > first:
                pieces.append(_masked_piece(shape, block, slice(first, partly)))
                first = partly
        if block.start > first:
            pieces.append(_Piece(slice(first, block.start), None))
        pieces.append(_masked_piece(shape, block, block))
        yield block, pieces


def _masked_piece(shape: Tiles, block: slice, keys: slice) -> _Piece:
    before, count = block.start - keys.start, block.stop - block.start
    mask = _masked(before, count, keys.stop - keys.start, shape.groups, shape.window)
    return _Piece(keys, mask)


def long_attention(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    scale: float,
    window: int | None = None,
    sinks: mx.array | None = None,
) -> mx.array:
    """Causal softmax attention that keeps no scores, float32.

    Args:
        queries: [rows, heads, length, size].
        keys: [rows, key heads, length, size], where the key heads divide the heads.
        values: [rows, key heads, length, ...].
        window: how many tokens a query sees, itself included; None for all before it.
        sinks: a further logit [heads] for each head, whose probability goes nowhere.
    """
    shape = Tiles(
        keys.shape[0] * keys.shape[1],
        queries.shape[1] // keys.shape[1],
        queries.shape[2],
        None if window is None or window >= queries.shape[2] else window,
    )

    def attend(*arguments: mx.array) -> Any:
        return untraced(_attend, shape, scale, *arguments)

    def attend_vjp(primals: Any, cotangents: Any, outputs: Any) -> Any:
        return untraced(_attend_vjp, shape, scale, primals, cotangents[0], outputs)

    if is_described():
        attention_blocks.described.append(lambda length: replace(shape, length=length).worked_on())
    arguments = (queries, keys, values) + (() if sinks is None else (sinks,))
    return with_gradient(attend, attend_vjp, stand_in)(*arguments)


def stand_in(queries: mx.array, keys: mx.array, values: mx.array, *sinks: mx.array) -> mx.array:
    """Return a function that keeps only its arguments and output for its gradient."""
    size = queries.shape[-1]
    others = (keys * held(keys)).sum() + (values * held(values)).sum()
    ones = mx.ones((size, values.shape[-1]), queries.dtype)
    result = (queries * held(queries)) @ ones + others + sum(one.sum() for one in sinks)
    return result * held(result)


def _attend(
    shape: Tiles,
    scale: float,
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    sinks: mx.array | None = None,
) -> tuple[mx.array, ...]:
    """The output; then for each tile the binary logarithms of the sums of exponentials."""
    asked = by_key_head(queries, keys) * (scale / math.log(2))
    flat_keys, flat_values = (by_key_head(x, keys)[:, 0] for x in (keys, values))
    found: list[list[mx.array]] = []
    sums: list[mx.array] = []
    last: mx.array | None = None
    for heads in shape.head_tiles():
        found.append([])
        for block, pieces in _pieces(shape):
            tile = after(stacked(asked[heads, :, block]), last).swapaxes(-1, -2)
            scores = [_scores(flat_keys[heads, piece.keys], tile, piece) for piece in pieces]
            sink = _of_tile(sinks, keys, heads, tile, shape)
            top = _largest([score.max(axis=-2, keepdims=True) for score in scores])
            top = top if sink is None else mx.maximum(top, sink)
            exps = [power_of_two(score - top) for score in scores]
            total = _sum([exp.sum(axis=-2, keepdims=True) for exp in exps])
            if sink is not None:
                total = total + mx.power(mx.array(2.0), sink - top)
            output = _sum(
                [
                    exp.swapaxes(-1, -2) @ flat_values[heads, piece.keys]
                    for exp, piece in zip(exps, pieces, strict=True)
                ]
            )
            last = output * mx.reciprocal(total).swapaxes(-1, -2)
            found[-1].append(unstacked(last, shape.groups))
            sums.append(top + mx.log2(total))
    return (joined(found).reshape(*queries.shape[:3], values.shape[-1]), *sums)


def _attend_vjp(
    shape: Tiles, scale: float, primals: Any, cotangent: mx.array, outputs: Any
) -> tuple[mx.array, ...]:
    """Gradients for queries, keys, values and sinks."""
    (queries, keys, values, *rest), (output, *kept) = primals, outputs
    sinks = rest[0] if rest else None
    left = iter(kept)
    asked = by_key_head(queries, keys) * scale
    flat_keys, flat_values = (by_key_head(x, keys)[:, 0] for x in (keys, values))
    dots = (cotangent * output) @ mx.ones((cotangent.shape[-1], 1))
    # One more column makes the product subtract `dots`.
    above = by_key_head(mx.concatenate([cotangent, -dots], axis=-1), keys)
    ones = mx.ones((*flat_values.shape[:-1], 1), flat_values.dtype)
    flat_values = mx.concatenate([flat_values, ones], axis=-1)
    found: list[list[mx.array]] = []
    of_keys: list[tuple[mx.array, mx.array]] = []
    of_sinks: list[mx.array] = []
    last: mx.array | None = None
    for heads in shape.head_tiles():
        found.append([])
        sums = _KeySums()
        for block, pieces in _pieces(shape):
            sum_ = next(left)
            tile = after(stacked(asked[heads, :, block]), last)
            powers = (tile * (1 / math.log(2))).swapaxes(-1, -2)
            weighted = after(stacked(above[heads, :, block]), last)
            weights = mx.contiguous(weighted[..., :-1])
            query: list[mx.array] = []
            more: list[tuple[mx.array, mx.array]] = []
            for piece in pieces:
                scores = _scores(flat_keys[heads, piece.keys], powers, piece)
                part = power_of_two(scores - sum_)
                slopes = (flat_values[heads, piece.keys] @ weighted.swapaxes(-1, -2)) * part
                query.append(slopes.swapaxes(-1, -2) @ flat_keys[heads, piece.keys])
                more.append((slopes @ tile, part @ weights))
            sums.add(pieces[0].keys.start, more)
            sink = _of_tile(sinks, keys, heads, powers, shape)
            if sink is not None:
                lost = mx.power(mx.array(2.0), sink - sum_)
                lost = lost * weighted[..., -1:].swapaxes(-1, -2)
                of_sinks.append(unstacked(lost.swapaxes(-1, -2), shape.groups).sum(axis=(2, 3)))
            # One tile after the other: the memory of one serves the next.
            last = mx.depends(_sum(query) * scale, [*sums.growing, *of_sinks[-1:]])
            found[-1].append(unstacked(last, shape.groups))
        of_keys.append(sums.all())
    gradients = [joined(found), *(mx.concatenate(list(x)) for x in zip(*of_keys, strict=True))]
    if sinks is not None:
        by_tile = mx.concatenate(_by_heads(of_sinks, len(shape.head_tiles())))
        gradients.append(by_tile.reshape(keys.shape[0], -1).sum(axis=0))
    return tuple(
        gradient.reshape(primal.shape).astype(primal.dtype)
        for gradient, primal in zip(gradients, primals, strict=True)
    )


class _KeySums:
    """Gradients for keys and values of some heads, grown block by block.

    Attributes:
        growing: those of the keys that later queries may see, too, from `_first` on.
    """

    def __init__(self) -> None:
        self.growing: tuple[mx.array, mx.array] | tuple[()] = ()
        self._done: list[tuple[mx.array, mx.array]] = []
        self._first = 0

    def add(self, first: int, pieces: list[tuple[mx.array, mx.array]]) -> None:
        """Add what a block gives for the keys from `first` on; the last piece are its own keys."""
        before, own = pieces[:-1], pieces[-1]
        if not self.growing:
            self.growing = own
            return
        passed = first - self._first
        if passed:
            self._done.append(cast(Any, tuple(one[:, :passed] for one in self.growing)))
            self.growing = cast(Any, tuple(one[:, passed:] for one in self.growing))
            self._first = first
        grown = []
        for index, former in enumerate(self.growing):
            parts = [piece[index] for piece in before]
            past = parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=1)
            grown.append(mx.concatenate([former + past, own[index]], axis=1))
        self.growing = cast(Any, tuple(grown))

    def all(self) -> tuple[mx.array, mx.array]:
        """For all keys."""
        parts = [*self._done, self.growing]
        keys, values = (mx.concatenate(list(x), axis=1) for x in zip(*parts, strict=True))
        return keys, values


def _scores(keys: mx.array, tile: mx.array, piece: _Piece) -> mx.array:
    scores = keys @ tile
    return scores if piece.mask is None else scores + piece.mask


def _of_tile(
    sinks: mx.array | None, keys: mx.array, heads: slice, tile: mx.array, shape: Tiles
) -> mx.array | None:
    """The sinks of a tile's queries as exponents of two: [heads, 1, groups * queries]."""
    if sinks is None:
        return None
    by_head = mx.tile(sinks.reshape(keys.shape[1], shape.groups), (keys.shape[0], 1))
    repeated = mx.repeat(by_head[heads] * (1 / math.log(2)), tile.shape[-1] // shape.groups, 1)
    return repeated[:, None]


def _by_heads(parts: list[mx.array], tiles: int) -> list[mx.array]:
    """Sums over the blocks of each tile of heads."""
    blocks = len(parts) // tiles
    return [
        sum(parts[start + 1 : start + blocks], parts[start])
        for start in range(0, len(parts), blocks)
    ]


def _largest(values: list[mx.array]) -> mx.array:
    top = values[0]
    for value in values[1:]:
        top = mx.maximum(top, value)
    return top


def _sum(terms: list[mx.array]) -> mx.array:
    return sum(terms[1:], terms[0])


@lru_cache(maxsize=64)
def _masked(before: int, queries: int, keys: int, groups: int, window: int | None) -> mx.array:
    """What is added to scores [keys, groups * queries] of keys that begin so many tokens before."""
    key, query = np.arange(keys)[:, None], np.arange(queries)[None] + before
    hidden = key > query
    if window is not None:
        hidden |= key <= query - window
    blocked = np.where(hidden, np.float32(_BLOCKED), np.float32(0))
    return mx.array(np.tile(blocked, (1, groups)))
