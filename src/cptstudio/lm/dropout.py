"""Dropout whose randomness is a function of a key that the caller gives.

mlx's dropout draws from a global state. With gradient checkpointing the second computation of a
layer would then draw another mask than the first, and a resumed run others than the uninterrupted
one.

A key may be one for each row. A row's mask then depends on its own key alone: on no other row of
its micro-batch, and not on who computes it. (Where a layer gets something else than its rows, such
as experts that get tokens in the order of their choice, it draws by the first row's key.)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.nn.layers.dropout import Dropout


def keys_of_rows(seeds: Sequence[int]) -> mx.array:
    """Return a key for each row, uint32 [rows, 2], as `mx.random.key` makes one of a seed."""
    return mx.stack([mx.random.key(seed) for seed in seeds])


class KeySource:
    """Gives one random key, or one for each row, after the other, all derived from the first."""

    def __init__(self, key: mx.array) -> None:
        self.key = key

    def next(self) -> mx.array:
        """Return a key not given before."""
        if self.key.ndim == 2:
            pairs = mx.vmap(mx.random.split)(self.key)
            self.key = pairs[:, 0]
            return pairs[:, 1]
        pair = mx.random.split(self.key)
        self.key = pair[0]
        return pair[1]


@contextmanager
def keyed_dropout(source: KeySource) -> Iterator[None]:
    """While a graph is built, let every `Dropout` layer take its key from `source`."""
    stock = Dropout.__call__

    def call(self: Any, x: mx.array) -> mx.array:
        keep: float = self._p_1
        if keep == 1 or not self.training:
            return x
        mask = _mask(keep, x.shape, source.next())
        return (mask * x) * (1 / keep)

    cls: Any = Dropout
    cls.__call__ = call
    try:
        yield
    finally:
        cls.__call__ = stock


def _mask(keep: float, shape: Sequence[int], key: mx.array) -> mx.array:
    """Which elements are kept: drawn row by row where each has a key."""
    if key.ndim == 2 and len(key) == shape[0]:
        drawn: mx.array = mx.vmap(lambda own: mx.random.bernoulli(keep, shape[1:], key=own))(key)
        return drawn
    return mx.random.bernoulli(keep, shape, key=key[0] if key.ndim == 2 else key)
