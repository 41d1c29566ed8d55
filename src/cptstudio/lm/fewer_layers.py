"""Memory of a network of many layers, extrapolated from graphs of its first few.

A graph takes time with its operations, of which each layer has hundreds. Layers of a kind take the
same memory, so that of all follows from some first ones: as many graphs as tell the kinds apart. A
network that cannot be run with fewer layers is looked at as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_FEWEST: Final = 4
"""Layers that are looked at, at least: a graph of one has its peak elsewhere."""
_WORTH: Final = 0.7
"""Part of the layers, in all graphs together, up to which fewer are quicker."""
_REFUSALS = (ValueError, IndexError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Measured:
    """A graph's measurements."""

    bytes: float
    operations: float


def by_fewer_layers(model: Any, measure: Callable[[], Measured]) -> Measured:
    """Return what a graph of the whole network would tell.

    Args:
        measure: builds the graph of the network as it is, and measures it.
    """
    kinds = kinds_of_layers(model)
    parts = first_layers(kinds)
    if not parts:
        return measure()
    try:
        found = []
        for count, _ in parts:
            with _shortened(model, count):
                found.append(measure())
    except _REFUSALS:
        return measure()
    weights = [weight for _, weight in parts]
    return Measured(
        sum(weight * one.bytes for weight, one in zip(weights, found, strict=True)),
        sum(weight * one.operations for weight, one in zip(weights, found, strict=True)),
    )


@contextmanager
def one_of_each_layer(model: Any) -> Iterator[None]:
    """Let a network have only its first layers, with one of each kind, where it can run so."""
    kinds = kinds_of_layers(model)
    count = max((kinds.index(kind) + 1 for kind in set(kinds)), default=0)
    count = max(count, _FEWEST)
    if count >= len(kinds) or not _runs_with(model, count):
        yield
        return
    with _shortened(model, count):
        yield


def kinds_of_layers(model: Any) -> list[int]:
    """Return a number for each decoder layer, the same for layers of the same parts and shapes."""
    from cptstudio.lm.checkpointing import decoder_layers
    from cptstudio.lm.parameters import named_parameters, trainable_parameters

    known: dict[object, int] = {}
    found = []
    for layer in decoder_layers(model):
        shapes = tuple((name, array.shape) for name, array in named_parameters(layer).items())
        own: Any = layer
        plain = tuple((key, one) for key, one in vars(own).items() if isinstance(one, bool | str))
        kind = (type(layer), shapes, tuple(trainable_parameters(layer)), plain)
        found.append(known.setdefault(kind, len(known)))
    return found


def first_layers(kinds: Sequence[int]) -> list[tuple[int, float]]:
    """Return how many first layers to look at, each with its weight in the sum that tells of all.

    Nothing where that would be no less work than all layers.

    Args:
        kinds: of the layers, as `kinds_of_layers` numbers them.
    """
    names = sorted(set(kinds))
    everything = _counts(kinds, names)
    period = max((list(kinds).index(name) + 1 for name in names), default=0)
    start = max(period, _FEWEST)
    chosen: list[int] = []
    rows: list[list[int]] = []
    for count in range(start, len(kinds)):
        if chosen and (count - start) % max(period, _FEWEST) and len(rows) < 2:
            continue  # Far apart, so that what is told by their difference is told well.
        own = _counts(kinds[:count], names)
        if rows and np.linalg.matrix_rank(np.array([*rows, own])) == len(rows):
            continue
        chosen.append(count)
        rows.append(own)
        if sum(chosen) > _WORTH * len(kinds):
            return []
        weights, *_ = np.linalg.lstsq(np.array(rows, float).T, np.array(everything, float))
        if np.allclose(np.array(rows).T @ weights, everything):
            return [(one, float(weight)) for one, weight in zip(chosen, weights, strict=True)]
    return []


def _counts(kinds: Sequence[int], names: Sequence[int]) -> list[int]:
    """One, for what is there whatever the layers, and the number of layers of each kind."""
    counter = Counter(kinds)
    return [1, *(counter[name] for name in names)]


def _runs_with(model: Any, count: int) -> bool:
    import mlx.core as mx

    try:
        with _shortened(model, count):
            model(mx.zeros((1, 8), mx.int32))
    except _REFUSALS:
        return False
    return True


def _list_of_layers(model: Any) -> list[Any]:
    """The list that a network's layers are kept in; what it gives out may be a copy."""
    layers = model.layers
    for module in model.modules():
        for value in module.values():
            if isinstance(value, list) and len(value) == len(layers) and value[0] is layers[0]:
                return value
    return list(layers)


@contextmanager
def _shortened(model: Any, count: int) -> Iterator[None]:
    """Let a network have only its first layers.

    Raises:
        ValueError: its list of layers is not the one that it runs.
    """
    layers = _list_of_layers(model)
    rest = layers[count:]
    del layers[count:]
    try:
        if len(model.layers) != count:
            raise ValueError("the network's list of layers is made of something else")
        yield
    finally:
        layers.extend(rest)
