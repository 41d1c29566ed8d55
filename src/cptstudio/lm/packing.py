"""Packing a model's weights into few bits for MLX, by mlx-lm's own functions.

mlx-lm leaves out without a word what its groups do not divide; here that is told by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.convert import mixed_quant_predicate_builder
from mlx_lm.utils import compute_bits_per_weight, dequantize_model, quantize_model

from cptstudio.errors import UserError
from cptstudio.lm.fusing import Fused
from cptstudio.lm.loading import load_unread
from cptstudio.lm.packings import Packing
from cptstudio.lm.parameters import named_modules, named_parameters, set_parameters
from cptstudio.lm.saving import CollectedWeights, collect_folder


@dataclass(frozen=True)
class Packed:
    """A packed model that is not computed yet.

    Attributes:
        collected: what its folder is.
        bits_per_weight: of all its weights together, as mlx-lm counts.
        left: modules that stay unpacked because the groups do not divide their rows.
    """

    collected: CollectedWeights
    bits_per_weight: float
    left: list[str]


def pack(fused: Fused, packing: Packing) -> Packed:
    """Return a complete model with its weights packed.

    Raises:
        UserError: the recipe does not fit the architecture, or nothing can be packed.
    """
    loaded = fused.loaded
    model: Any
    model, _ = load_unread(loaded.path)
    dequantize_model(model)
    types = loaded.stored_types
    # mlx-lm packs what the files hold, so the sums are rounded to the base's type first.
    set_parameters(
        model,
        {name: _in_type(value, types.get(name)) for name, value in fused.parameters.items()},
    )
    groups, bits = packing.sizes
    predicate: Any = None
    if packing.recipe is not None:
        try:
            predicate = mixed_quant_predicate_builder(packing.recipe, model, groups)
        except ValueError:
            raise UserError.at(
                "recipe",
                f"The recipe {packing.recipe} is made for networks with down_proj layers, and "
                f"{loaded.config['model_type']} has none. Choose bits for all layers instead.",
            ) from None
    able = {path for path, one in named_modules(model).items() if hasattr(one, "to_quantized")}
    left = sorted(path for path in able if named_modules(model)[path]["weight"].shape[-1] % groups)
    if len(left) == len(able):
        raise UserError.at(
            "group_size",
            f"No layer of {loaded.path.name} can be packed in groups of {groups}: their widths are "
            "no multiples of it.",
        )
    model, config = quantize_model(
        model, {}, groups, bits, mode=packing.mode, quant_predicate=predicate
    )
    settings: Mapping[str, Any] = config["quantization"]
    collected = collect_folder(loaded, named_parameters(model), packing=settings)
    bits_per_weight = float(compute_bits_per_weight(model))  # type: ignore[no-untyped-call]
    return Packed(collected, bits_per_weight, left)


def _in_type(value: mx.array, dtype: mx.Dtype | None) -> mx.array:
    return value if dtype is None or value.dtype == dtype else value.astype(dtype)
