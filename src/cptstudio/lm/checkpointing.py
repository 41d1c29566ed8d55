"""Gradient checkpointing of a model's decoder layers (Chen et al., arXiv 1604.06174).

mlx-lm replaces the `__call__` of the layers' class, for every model in the process and for good.
Here only the given layers change, and only while a graph is built.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_map

from cptstudio.errors import UserError
from cptstudio.lm.dropout import KeySource


def decoder_layers(model: Module) -> list[Module]:
    """Return the decoder layers of an mlx-lm model.

    Raises:
        UserError: the model has no list of layers.
    """
    layers = getattr(model, "layers", None)
    if not isinstance(layers, list) or not all(isinstance(layer, Module) for layer in layers):
        raise UserError(
            "Gradient checkpointing needs a list of layers, which "
            f"{type(model).__module__} does not have. Turn it off."
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


def _recomputed(
    function: Any, parameters: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> Any:
    """What `mx.checkpoint` does, with the gradients of the parameters before those of the input.

    On a CPU mlx evaluates so many operations side by side that the gradients of all parameters come
    last, and what was computed again for them would wait, layer after layer, until then.
    """
    tree = (parameters, arguments, named)
    first: list[mx.array] = []
    rest: list[mx.array] = []
    tree_map(lambda leaf: first.append(leaf) if _is_array(leaf) else None, parameters)
    tree_map(lambda leaf: rest.append(leaf) if _is_array(leaf) else None, (arguments, named))

    def call(*arrays: mx.array) -> Any:
        left = iter(arrays)
        filled = tree_map(lambda leaf: next(left) if _is_array(leaf) else leaf, tree)
        return function(filled[0], *filled[1], **filled[2])

    def backward(primals: Any, cotangents: Any, outputs: Any) -> Any:
        alone = isinstance(primals, mx.array)
        inputs = [primals] if alone else list(primals)
        known = [cotangents] if isinstance(cotangents, mx.array) else list(cotangents)
        # Not before the gradients have come down to this layer.
        _, gradients = mx.vjp(call, cast(Any, mx.depends(inputs, known)), known)
        own, others = gradients[: len(first)], gradients[len(first) :]
        if own and others:
            others = cast(Any, mx.depends(others, own))
        found = (*own, *others)
        return found[0] if alone else found

    checkpointed: Any = mx.custom_function(call)
    checkpointed.vjp(backward)
    return checkpointed(*first, *rest)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, mx.array)


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
        result = _recomputed(inner, parameters, arguments, named)
        self.update(parameters)
        source.key = after
        return result

    return type(cls.__name__, (cls,), {"__call__": call, "__module__": cls.__module__})
