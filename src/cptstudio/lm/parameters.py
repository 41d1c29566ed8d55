"""A network's parameters as a flat dictionary of dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten, tree_unflatten

from cptstudio.lm.vocabulary import embedding_rows


def flatten(tree: Any) -> dict[str, mx.array]:
    """Leaves of a tree of arrays by dotted name, such as "model.layers.0.mlp.up_proj.weight"."""
    return tree_flatten(tree, destination={})  # type: ignore[return-value]


def named_parameters(model: Module) -> dict[str, mx.array]:
    """Return all parameters of a network, trained and frozen."""
    return flatten(model.parameters())  # type: ignore[no-untyped-call]


def named_modules(model: Any) -> dict[str, Module]:
    """Return all modules of a network by their dotted paths, itself as "", in its own order."""
    return dict(model.named_modules())


def place_of(model: Any, path: str) -> tuple[Any, Any]:
    """Return the owner of the module or parameter at a dotted path, and its key there."""
    *outer, leaf = path.split(".")
    holder = model
    for part in outer:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    return holder, int(leaf) if isinstance(holder, list) else leaf


def network_rows(model: Module) -> int | None:
    """Return how many token ids a network has rows for; None where its embedding is not found."""
    shapes = {name: value.shape for name, value in named_parameters(model).items()}
    return embedding_rows(shapes, None)


def trainable_parameters(model: Module) -> dict[str, mx.array]:
    """Return the parameters that training changes."""
    return flatten(model.trainable_parameters())  # type: ignore[no-untyped-call]


def unpacked_sizes(model: Module) -> dict[str, int]:
    """Return how many numbers each parameter stands for: packed ones unpacked, their scales none.

    mlx-lm's own count leaves some out.
    """
    modules = named_modules(model)
    sizes = {}
    for name, value in named_parameters(model).items():
        path, _, leaf = name.rpartition(".")
        module: Any = modules.get(path, {})
        if "scales" not in module:
            sizes[name] = value.size
        elif leaf == "weight":
            # Each scale stands for one group of weights.
            sizes[name] = module["scales"].size * int(getattr(module, "group_size", 64))
        else:
            sizes[name] = value.size if leaf == "bias" else 0
    return sizes


def set_parameters(model: Module, values: Mapping[str, mx.array]) -> None:
    """Replace parameters by name.

    Raises:
        KeyError: a name that the network does not have.
        ValueError: a shape that differs.
    """
    present = named_parameters(model)
    for name, value in values.items():
        if value.shape != present[name].shape:
            raise ValueError(f"{name} has shape {present[name].shape}, not {value.shape}")
    if values:
        model.update(tree_unflatten(list(values.items())))
