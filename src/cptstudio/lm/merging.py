"""Weighted sums of models: merging back, averages of checkpoints, differences added.

    base + a (cpt - base)         weights 1 - a and a (WiSE-FT, Wortsman et al., arXiv 2109.01903)
    average of n checkpoints      weights 1 / n each
    cpt + s (instruct - base)     weights 1, s and -s (Chat Vector, Huang et al., arXiv 2310.04799)

Tensors are read, summed in float32 and released one after the other, so the memory stays near that
of one model, however many are summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx_lm.utils import load_tokenizer

from cptstudio.errors import UserError
from cptstudio.lm.description import is_quantized
from cptstudio.lm.finite import check_weights
from cptstudio.lm.loading import LoadedModel, load_network, put_adapter
from cptstudio.lm.parameters import named_parameters, set_parameters
from cptstudio.lm.saving import fused_parameters
from cptstudio.lm.tensor_types import NAMES, lasting_parameters, stored_types
from cptstudio.weight_files import read_tensors

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Part:
    """A model of a sum.

    Attributes:
        model: its folder, or its base's.
        adapter: an adapter that is fused into it, or None.
    """

    model: Path
    adapter: Path | None
    weight: float


def check_parts(parts: Sequence[Part]) -> None:
    """Find out whether models can be summed, by the headers of their files alone.

    Raises:
        UserError: weights are packed, or the tensors of two models differ in name or shape.
    """
    first: dict[str, tuple[int, ...]] | None = None
    for part in parts:
        if is_quantized(part.model):
            raise UserError(
                f"{part.model} is quantized, and packed weights cannot be added. Merge "
                "the model it was quantized from, and quantize the result."
            )
        shapes = {name: tensor.shape for name, tensor in read_tensors(part.model).items()}
        if first is None:
            first = shapes
            continue
        for name in sorted(first.keys() & shapes.keys()):
            if first[name] != shapes[name]:
                raise UserError(
                    f"{part.model} does not match {parts[0].model}: {name} has shape "
                    f"{shapes[name]}, not {first[name]}. Only models with the same base "
                    "can be merged."
                )
        if not first.keys() & shapes.keys():
            raise UserError(f"{part.model} and {parts[0].model} have no tensor in common.")


def merge(parts: Sequence[Part], progress: Progress | None = None) -> LoadedModel:
    """Return the weighted sum of models as a network in memory.

    Args:
        parts: of the same architecture; the first one's configuration and tokenizer are taken.
        progress: called with the tensors done and in all.

    Raises:
        UserError: they cannot be summed.
    """
    check_parts(parts)
    model, config = load_network(parts[0].model)
    used = [part for part in parts if part.weight != 0]
    sources = [_lazy_parameters(part) for part in used]
    names = list(named_parameters(model))
    types, lasting = stored_types(model), lasting_parameters(model)
    for done, name in enumerate(names):
        missing = [part for part, source in zip(used, sources, strict=True) if name not in source]
        if missing:
            raise UserError(f"{missing[0].model} has no {name}, so it is a different model.")
        values = [source.pop(name) for source in sources]
        total = _sum(values, [part.weight for part in used])
        if name in types:
            total = total.astype(types[name])
        mx.eval(total)
        _check_sum(name, total, values, used)
        set_parameters(model, {name: total})
        del values, total
        if progress is not None:
            progress(done + 1, len(names))
    model.eval()
    path = parts[0].model
    tokenizer = load_tokenizer(  # type: ignore[no-untyped-call]
        path, eos_token_ids=config.get("eos_token_id")
    )
    return LoadedModel(model, tokenizer, config, path, None, types, lasting)


def _check_sum(
    name: str, total: mx.array, values: Sequence[mx.array], parts: Sequence[Part]
) -> None:
    """Raise a UserError where a sum is not finite: by a part, or because it is too large."""
    try:
        check_weights({name: total}, parts[0].model)
    except UserError:
        for part, value in zip(parts, values, strict=True):
            check_weights({name: value}, part.adapter or part.model)
        raise UserError(
            f"The sum of {name} is too large for {NAMES.get(total.dtype, total.dtype)}. "
            "Use smaller mix ratios."
        ) from None


def _sum(values: Sequence[mx.array], weights: Sequence[float]) -> mx.array:
    """A weighted sum in float32; one value of weight 1 as it is."""
    if len(values) == 1 and weights[0] == 1:
        return values[0]
    return sum(
        (value.astype(mx.float32) * weight for value, weight in zip(values, weights, strict=True)),
        start=mx.zeros(values[0].shape),
    )


def _lazy_parameters(part: Part) -> dict[str, mx.array]:
    """A model's parameters, read when they are computed with; held by this dictionary alone."""
    model, _ = load_network(part.model)
    if part.adapter is None:
        return named_parameters(model)
    put_adapter(model, part.model, part.adapter)
    return fused_parameters(model)
