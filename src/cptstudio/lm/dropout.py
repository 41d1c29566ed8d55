"""Dropout whose randomness is a function of a key that the caller gives.

mlx's dropout draws from a global state. With gradient checkpointing the second computation of a
layer would then draw another mask than the first, and a resumed run others than the uninterrupted
one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.nn.layers.dropout import Dropout


class KeySource:
    """Gives one random key after the other, all derived from the first."""

    def __init__(self, key: mx.array) -> None:
        self.key = key

    def next(self) -> mx.array:
        """Return a key not given before."""
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
        mask = mx.random.bernoulli(keep, x.shape, key=source.next())
        return (mask * x) * (1 / keep)

    cls: Any = Dropout
    cls.__call__ = call
    try:
        yield
    finally:
        cls.__call__ = stock
