"""Cross-entropy on a CPU: the output head in tiles of words that stay in the processor's cache.

A chunk of tokens meets the vocabulary tile by tile. Each tile's exponentials are taken above its
own largest logit of a token, so that all passes over a tile follow its product while it is in the
cache; one factor for each token and tile puts that right in the end. Logits are held as
[words, tokens], since mlx finds the largest along the first of two axes faster than along the last.

Where the head's matrix is trained, a chunk's exponentials are kept for its gradient; where it is
not, a few tiles are all that ever exists.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from cptstudio.lm.cpu_fusion import power_of_two
from cptstudio.lm.output_head import OutputHead

TILE_BYTES = 8 << 20
"""Logits of a tile, about: with fewer, adding up what the tiles give costs as much as is saved."""

_LN2 = math.log(2)

MOST_TOKENS = 1024
"""Tokens in a chunk at most: with more, a tile would have too few words for fast products."""


@dataclass
class Linear:
    """A head's matrix [words, size] and perhaps its bias [words]; `trained` of "weight", "bias"."""

    weight: mx.array
    bias: mx.array | None
    trained: tuple[str, ...]


@dataclass
class _Tile:
    """Some words of a chunk: exponentials [words, n] above `peak` [1, n], whose sums are [1, n].

    `peak` is an exponent of two. `gradient` [n, size] is what the words contribute to the gradient
    of the hidden states, but for a factor.
    """

    exps: mx.array | None
    peak: mx.array
    sums: mx.array
    gradient: mx.array


def in_tiles(
    head: OutputHead,
    linear: Linear,
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    chunks: Sequence[slice],
) -> tuple[mx.array, ...]:
    """Sum of nats, then its gradients for `hidden` and for what is trained of `linear`.

    `hidden` is float32 [tokens, size], `targets` [tokens], `weights` None or [tokens]; `chunks` are
    the tokens to take at once. To be called by `untraced`.
    """
    nats = mx.array(0.0)
    found: list[mx.array] = []
    at_targets: list[mx.array] = []
    sums: dict[str, list[mx.array]] = {name: [] for name in linear.trained}
    for part in chunks:
        before = [*found[-1:], *(words for parts in sums.values() for words in parts)]
        # One chunk after the other: the memory of one serves the next.
        piece = cast(mx.array, mx.depends(hidden[part], before)) if before else hidden[part]
        tiles = _tiles(head, linear, piece)
        top = tiles[0].peak
        for tile in tiles[1:]:
            top = mx.maximum(top, tile.peak)
        factors = [mx.exp((tile.peak - top) * _LN2) for tile in tiles]
        total = _sum([tile.sums * factor for tile, factor in zip(tiles, factors, strict=True)])
        target = _target_logits(head, linear, piece, targets[part])
        losses = (top * _LN2 + mx.log(total)).T - target
        counted = mx.ones(target.shape) if weights is None else weights[part][:, None]
        nats = nats + (losses * counted).sum()
        row = counted * head.scale
        at_targets.append(row * head.slope(target))
        scaled = [(factor * row.T / total).T for factor in factors]
        gradient = _sum([tile.gradient * by for tile, by in zip(tiles, scaled, strict=True)])
        found.append(gradient - linear.weight[targets[part]] * at_targets[-1])
        kept = [tile.exps for tile in tiles if tile.exps is not None]
        for name, parts in sums.items():
            right = [piece * by if name == "weight" else by for by in scaled]
            own = [exps @ by for exps, by in zip(kept, right, strict=True)]
            sums[name] = [a + b for a, b in zip(parts, own, strict=True)] if parts else own
    at_target = mx.concatenate(at_targets)
    gradients = {name: mx.concatenate(parts) for name, parts in sums.items()}
    if "weight" in gradients:
        gradients["weight"] = gradients["weight"].at[targets].subtract(hidden * at_target)
    if "bias" in gradients:
        gradients["bias"] = gradients["bias"].at[targets].subtract(at_target).squeeze(-1)
    return nats, mx.concatenate(found), *(gradients[name] for name in linear.trained)


def _tiles(head: OutputHead, linear: Linear, piece: mx.array) -> list[_Tile]:
    """All words for the tokens of a chunk [n, size], tile by tile."""
    words = linear.weight.shape[0]
    size = max(1, TILE_BYTES // (4 * piece.shape[0]))
    count = math.ceil(words / size)
    edges = [words * index // count for index in range(count + 1)]
    # Without a soft cap logits come in powers of two, at no cost.
    plain = head.softcap is None
    across = (piece * (head.scale / _LN2)).T if plain else piece.T
    tiles: list[_Tile] = []
    for start, end in itertools.pairwise(edges):
        weight = linear.weight[start:end]
        if tiles:
            across = cast(mx.array, mx.depends(across, tiles[-1].gradient))
        logits = weight @ across
        if linear.bias is not None:
            bias = linear.bias[start:end, None]
            logits = logits + (bias * (head.scale / _LN2) if plain else bias)
        if not plain:
            capped = head.finish(logits)
            logits = capped * (1 / _LN2)
        peak = logits.max(axis=0, keepdims=True)
        exps = power_of_two(logits - peak)
        sums = exps.sum(axis=0, keepdims=True)
        if not plain:
            exps = exps * head.slope(capped)
        tiles.append(_Tile(exps if linear.trained else None, peak, sums, exps.T @ weight))
    return tiles


def _target_logits(
    head: OutputHead, linear: Linear, piece: mx.array, targets: mx.array
) -> mx.array:
    """Of each token's target: [n, 1]."""
    raw = (piece * linear.weight[targets]).sum(axis=-1, keepdims=True)
    return head.finish(raw if linear.bias is None else raw + linear.bias[targets][:, None])


def _sum(terms: list[mx.array]) -> mx.array:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
