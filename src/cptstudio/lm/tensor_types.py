"""The types that a model's numbers are stored in, and who leaves them alone.

Published models hold parts in a wider type than the rest: the bias of an expert router, the decay
rates of a state space, here and there the norms. Rounded to bfloat16, the same token goes to other
experts. So nothing here narrows what the makers stored wider than the bulk, nor what mlx-lm's
architectures name as such (`cast_predicate`); and the scales of packed weights keep their type,
because a scale's error is the error of all the weights that share it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import mlx.core as mx
from mlx.nn.layers.base import Module

from cptstudio.lm.parameters import named_modules, named_parameters

IN_FILES = {"F32": mx.float32, "BF16": mx.bfloat16, "F16": mx.float16}
"""As the safetensors format names them; other floating-point types are not written."""
NAMES = {mx.float32: "float32", mx.bfloat16: "bfloat16", mx.float16: "float16"}

_SCALES = ("scales", "biases", "global_scale")


def stored_types(model: Module) -> dict[str, mx.Dtype]:
    """Return the type of each floating-point parameter of a network, as loaded from its files.

    Args:
        model: without adapters, before anything was cast. A packed weight has the type that it
            has when it is unpacked.
    """
    types: dict[str, mx.Dtype] = {}
    modules = named_modules(model)
    for name, value in named_parameters(model).items():
        path, _, leaf = name.rpartition(".")
        scales = modules[path].get("scales") if path in modules else None
        if scales is not None and leaf == "weight":
            # Scales of 8 bits (mxfp4, mxfp8, nvfp4) unpack to bfloat16.
            types[name] = scales.dtype if scales.dtype in NAMES else mx.bfloat16
        elif mx.issubdtype(value.dtype, mx.floating):
            types[name] = value.dtype
    return types


def main_type(values: Mapping[str, mx.array]) -> mx.Dtype | None:
    """Return the floating-point type that most numbers have; None where there are none."""
    sizes: dict[mx.Dtype, int] = {}
    for value in values.values():
        if value.dtype in NAMES:
            sizes[value.dtype] = sizes.get(value.dtype, 0) + value.size
    return max(sizes, key=lambda dtype: sizes[dtype]) if sizes else None


def lasting_parameters(model: Module) -> frozenset[str]:
    """Return the parameters that a narrower computation leaves in the type they are stored in.

    Args:
        model: without adapters, before anything was cast.
    """
    values = named_parameters(model)
    modules = named_modules(model)
    bulk = main_type(values)
    may_cast = getattr(model, "cast_predicate", None)
    lasting = set()
    for name, value in values.items():
        path, _, leaf = name.rpartition(".")
        packed = path in modules and "scales" in modules[path] and leaf in _SCALES
        wider = value.dtype == mx.float32 and bulk != mx.float32
        if packed or wider or (may_cast is not None and not may_cast(name)):
            lasting.add(name)
    return frozenset(lasting)


def narrowed(
    values: Mapping[str, mx.array], dtype: mx.Dtype, lasting: Collection[str]
) -> dict[str, mx.array]:
    """Return those floating-point values that change their type for a computation in `dtype`.

    Args:
        values: by the names that `lasting` has.
        dtype: what is computed in; float32 holds everything, so then nothing is left alone.
        lasting: from `lasting_parameters`.
    """
    return {
        name: value.astype(dtype)
        for name, value in values.items()
        if mx.issubdtype(value.dtype, mx.floating)
        and value.dtype != dtype
        and (dtype == mx.float32 or name not in lasting)
    }
