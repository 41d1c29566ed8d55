"""Which parts of a network are its token embedding and its output head."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedEmbedding, QuantizedLinear

from cptstudio.lm.parameters import named_modules
from cptstudio.run_files import ParameterRule

_LINEAR = (Linear, QuantizedLinear)
_EMBEDDING = (Embedding, QuantizedEmbedding)


def embedding_modules(model: Module, rule: ParameterRule = "kinds") -> dict[str, Module]:
    """Return the token embedding and, where it is a module of its own, the output head, by path.

    Neither tables of positions or n-grams, nor those that feed each layer (Gemma 3n and 4): the
    head shares its shape with the token embedding, and where there is none, the configuration
    says how many tokens there are. By the rule "axes" it was every table of the most rows.
    """
    network: Any = model
    inside = {id(m) for block in network.layers for m in named_modules(block).values()}
    found = {
        path: m
        for path, m in named_modules(model).items()
        if id(m) not in inside and isinstance(m, (*_EMBEDDING, *_LINEAR))
    }
    tables = [m for m in found.values() if isinstance(m, _EMBEDDING)]
    if not tables:
        return {}
    if rule == "axes":
        rows = max(_shape(module)[0] for module in tables)
        return {path: m for path, m in found.items() if _shape(m)[0] == rows}
    shapes = {_shape(m) for m in tables}
    heads = {_shape(m) for m in found.values() if isinstance(m, _LINEAR)}
    for narrower in (
        shapes & heads,
        {shape for shape in shapes if shape[0] == _said(model, "vocab_size")},
        {shape for shape in shapes if shape[0] == max(rows for rows, _ in shapes)},
    ):
        if narrower:
            shapes = narrower
            break
    width = _said(model, "hidden_size")
    shapes = {shape for shape in shapes if shape[1] == width} or shapes
    return {path: m for path, m in found.items() if _shape(m) in shapes}


def _said(model: Any, name: str) -> int | None:
    """A size that the network's own settings name."""
    settings = getattr(model, "args", None)
    for part in (settings, getattr(settings, "text_config", None)):
        value = part.get(name) if isinstance(part, dict) else getattr(part, name, None)
        if isinstance(value, int):
            return value
    return None


def embedding_parameters(model: Module, rule: ParameterRule = "kinds") -> set[str]:
    """Return the names of the parameters of the token embedding and the output head."""
    return {
        f"{path}.{leaf}"
        for path, module in embedding_modules(model, rule).items()
        for leaf in module
        if isinstance(module[leaf], mx.array)
    }


def _shape(module: Any) -> tuple[int, int]:
    """Rows and columns, packed ones unpacked."""
    rows, columns = module.weight.shape
    bits = getattr(module, "bits", None)
    return int(rows), int(columns) * 32 // bits if bits else int(columns)
