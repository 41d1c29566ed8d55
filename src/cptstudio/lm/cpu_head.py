"""Cross-entropy on a CPU: the output head in tiles of words that stay in the processor's cache.

A chunk of tokens meets the vocabulary tile by tile. Each tile's exponentials are taken above the
largest logit of a token so far, so that all passes over a tile follow its product while it is in
the cache; what was added up before is made as much smaller as that logit has grown. Logits are held
as [words, tokens], since mlx finds the largest along the first of two axes faster than along the
last.

Where the head's matrix is trained, a chunk's exponentials are kept for its gradient; where it is
not, a few tiles are all that ever exists.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from cptstudio.lm.cpu_fusion import power_of_two
from cptstudio.lm.output_head import OutputHead
from cptstudio.lm.streams import equal_parts

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
class _Softmax:
    """A chunk's words so far.

    Attributes:
        top: exponent of two [1, n] that all exponentials are above: about the largest logit.
        total: sum of the exponentials [1, n].
        gradient: what the words contribute to the gradient of the hidden states [n, size], but for
            a factor.
        kept: where the head is trained, each tile's exponentials [words, n], above the `top` that
            was beside them.
    """

    top: mx.array
    total: mx.array
    gradient: mx.array
    kept: list[tuple[mx.array, mx.array]]


def in_tiles(
    head: OutputHead,
    linear: Linear,
    hidden: mx.array,
    targets: mx.array,
    weights: mx.array | None,
    chunks: Sequence[slice],
) -> tuple[mx.array, ...]:
    """Return the sum of nats, then its gradients for `hidden` and for what is trained of `linear`.

    `hidden` is float32 [tokens, size], `targets` [tokens], `weights` None or [tokens]; `chunks` are
    the tokens to take at once. To be called by `untraced`.
    """
    nats = mx.array(0.0)
    found: list[mx.array] = []
    at_targets: list[mx.array] = []
    sums: dict[str, list[mx.array]] = {name: [] for name in linear.trained}
    for part in chunks:
        before = [*found[-1:], *(tile for parts in sums.values() for tile in parts)]
        # One chunk after the other: the memory of one serves the next.
        piece = cast(mx.array, mx.depends(hidden[part], before)) if before else hidden[part]
        words = _softmax(head, linear, piece)
        target = _target_logits(head, linear, piece, targets[part])
        losses = (words.top * _LN2 + mx.log(words.total)).T - target
        counted = mx.ones(target.shape) if weights is None else weights[part][:, None]
        nats = nats + (losses * counted).sum()
        row = counted * head.scale
        at_targets.append(row * head.slope(target))
        factor = row / words.total.T
        of_targets = linear.weight[targets[part]] * at_targets[-1]
        found.append(words.gradient * factor - of_targets)
        for name, parts in sums.items():
            own = []
            for exps, top in words.kept:
                by = factor * _power(top - words.top).T
                own.append(exps @ (piece * by if name == "weight" else by))
            sums[name] = [a + b for a, b in zip(parts, own, strict=True)] if parts else own
    at_target = mx.concatenate(at_targets)
    gradients = {name: mx.concatenate(parts) for name, parts in sums.items()}
    if "weight" in gradients:
        gradients["weight"] = gradients["weight"].at[targets].subtract(hidden * at_target)
    if "bias" in gradients:
        gradients["bias"] = gradients["bias"].at[targets].subtract(at_target).squeeze(-1)
    return nats, mx.concatenate(found), *(gradients[name] for name in linear.trained)


def _softmax(head: OutputHead, linear: Linear, piece: mx.array) -> _Softmax:
    """All words for the tokens of a chunk [n, size], tile by tile (arXiv 1805.02867)."""
    words = linear.weight.shape[0]
    size = max(1, TILE_BYTES // (4 * piece.shape[0]))
    # Without a soft cap logits come in powers of two, at no cost.
    plain = head.softcap is None
    across = (piece * (head.scale / _LN2)).T if plain else piece.T
    found: _Softmax | None = None
    for tile in equal_parts(words, math.ceil(words / size)):
        weight = linear.weight[tile]
        if found is not None:
            # After all that the last tile gives, or its exponentials stay for what is left.
            across = cast(mx.array, mx.depends(across, [found.gradient, found.total]))
        logits = weight @ across
        if linear.bias is not None:
            bias = linear.bias[tile, None]
            logits = logits + (bias * (head.scale / _LN2) if plain else bias)
        if not plain:
            capped = head.finish(logits)
            logits = capped * (1 / _LN2)
        top = logits.max(axis=0, keepdims=True)
        if found is not None:
            top = mx.maximum(top, found.top)
        exps = power_of_two(logits - top)
        total = exps.sum(axis=0, keepdims=True)
        if not plain:
            exps = exps * head.slope(capped)
        if found is None:
            found = _Softmax(top, total, exps.T @ weight, [])
        else:
            less = _power(found.top - top)
            gradient = mx.addmm(found.gradient * less.T, exps.T, weight)
            found = _Softmax(top, found.total * less + total, gradient, found.kept)
        if linear.trained:
            found.kept.append((exps, top))
    assert found is not None
    return found


def _power(exponents: mx.array) -> mx.array:
    """Two to the power of some numbers, each on its own; for few of them."""
    return mx.exp(exponents * _LN2)


def _target_logits(
    head: OutputHead, linear: Linear, piece: mx.array, targets: mx.array
) -> mx.array:
    """Of each token's target: [n, 1]."""
    raw = (piece * linear.weight[targets]).sum(axis=-1, keepdims=True)
    return head.finish(raw if linear.bias is None else raw + linear.bias[targets][:, None])
