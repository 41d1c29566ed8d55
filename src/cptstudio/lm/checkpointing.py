"""Gradient checkpointing of a model's decoder layers (Chen et al., arXiv 1604.06174).

mlx-lm replaces the `__call__` of the layers' class, for every model in the process and for good.
Here only the given layers change, and only while a graph is built.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module

from cptstudio.errors import UserError
from cptstudio.lm.dropout import KeySource


def decoder_layers(model: Module) -> list[Module]:
    """The decoder layers of an mlx-lm model.

    Raises:
        UserError: the model has no list of layers.
    """
    layers = getattr(model, "layers", None)
    if not isinstance(layers, list) or not all(isinstance(layer, Module) for layer in layers):
        raise UserError(
            f"Gradient checkpointing needs a list of layers, which {type(model).__module__} does "
            "not have: switch it off."
        )
    return layers


@contextmanager
def checkpointed_layers(layers: Sequence[Module], source: KeySource) -> Iterator[None]:
    """Let these layers keep only their inputs for the gradients while a graph is built."""
    classes = [type(layer) for layer in layers]
    made: dict[type, type] = {}
    for layer, cls in zip(layers, classes, strict=True):
        if cls not in made:
            made[cls] = _checkpointed_class(cls, source)
        cast(Any, layer).__class__ = made[cls]
    try:
        yield
    finally:
        for layer, cls in zip(layers, classes, strict=True):
            cast(Any, layer).__class__ = cls


def _checkpointed_class(cls: type, source: KeySource) -> type:
    """A subclass of a layer's class whose calls are checkpointed."""
    stock = cast(Any, cls).__call__

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        parameters = self.trainable_parameters()
        key = source.next()

        def inner(parameters: Any, *arguments: Any, **named: Any) -> Any:
            # The second computation starts from the same key, so it draws the same dropout masks.
            # The key is no argument: mlx would want a gradient for it.
            source.key = key
            self.update(parameters)
            return stock(self, *arguments, **named)

        after = source.key
        result = mx.checkpoint(inner)(parameters, *arguments, **named)
        self.update(parameters)
        source.key = after
        return result

    return type(cls.__name__, (cls,), {"__call__": call, "__module__": cls.__module__})
