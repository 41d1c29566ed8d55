"""Sums of loss and gradients over micro-batches, so that many small ones equal one large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import mlx.core as mx
from mlx.utils import tree_map

from cptstudio.corpus.rows import Batch
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.parameters import flatten, trainable_parameters

Seed = int | Sequence[int]


def accumulate(
    gradient_step: GradientStep, batches: Iterable[tuple[Batch, Seed]]
) -> tuple[mx.array, int, dict[str, mx.array]]:
    """Return the sums over micro-batches.

    Sums are weighted by tokens by themselves: divided by the number of counted targets they
    are what one large batch of all rows gives, however the rows are cut.

    Args:
        batches: each micro-batch with the seed of its dropout, or of each row's. Where there is
            none, as for a rank of more than a step has rows, the sums are zeros.

    Returns:
        The sum of nats, the number of counted targets, and the gradients of the sum by name.
        With several micro-batches they are evaluated, with one they are not.
    """
    nats, tokens, gradients = mx.array(0.0), 0, None
    for batch, seed in batches:
        if gradients is not None:
            # Otherwise the activations of all micro-batches would exist at once.
            mx.eval(nats, gradients)
        more_nats, count, more = gradient_step(batch.inputs, batch.targets, batch.mask, seed=seed)
        nats, tokens = nats + more_nats, tokens + count
        gradients = more if gradients is None else tree_map(mx.add, gradients, more)
        del more
    if gradients is None:
        gradients = tree_map(mx.zeros_like, trainable_parameters(gradient_step.model))
    return nats, tokens, flatten(gradients)
