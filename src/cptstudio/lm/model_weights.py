"""Names and shapes of weights that transformers writes and mlx-lm does not read as they are.

mlx-lm's `sanitize` turns a published checkpoint into the parameters of its network. Some
architectures are published in one layout and saved by transformers in another, which mlx-lm
refuses. `with_own_names` puts a step before `sanitize` that undoes the difference; since
`lm/tensor_layout.py` measures what `sanitize` does, checkpoints are written in the base's own
layout again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mlx.core as mx

Weights = dict[str, mx.array]


def with_own_names(network: Any, model_type: str) -> Any:
    """Return an architecture's class of mlx-lm, which reads what transformers saved, too."""
    prepare = _STEPS.get(model_type)
    if prepare is None:
        return network

    def sanitize(self: Any, weights: Weights) -> Weights:
        prepared = prepare(weights)
        further = getattr(super(adapted, self), "sanitize", None)
        return prepared if further is None else further(prepared)

    # The module's name stays: whoever looks for the architecture's ModelArgs finds them there.
    adapted = type(
        network.__name__, (network,), {"sanitize": sanitize, "__module__": network.__module__}
    )
    return adapted


def _renamed(*rules: tuple[str, str]) -> Callable[[Weights], Weights]:
    def step(weights: Weights) -> Weights:
        renamed = {}
        for name, value in weights.items():
            for pattern, replacement in rules:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
        return renamed

    return step


def _without(prefix: str) -> Callable[[Weights], Weights]:
    def step(weights: Weights) -> Weights:
        return {name: value for name, value in weights.items() if not re.match(prefix, name)}

    return step


_EXPERT = re.compile(r"(.*\.mlp)\.experts\.(\d+)\.(gate|up|down)_proj\.weight")


def _stacked_experts(weights: Weights) -> Weights:
    """Experts of one tensor each, as one tensor with the experts along its first axis."""
    single: dict[str, dict[int, mx.array]] = {}
    result = {}
    for name, value in weights.items():
        found = _EXPERT.fullmatch(name)
        if found is None:
            result[name] = value
        else:
            target = f"{found[1]}.switch_mlp.{found[3]}_proj.weight"
            single.setdefault(target, {})[int(found[2])] = value
    for name, values in single.items():
        result[name] = mx.stack([values[number] for number in sorted(values)])
    return result


def _gpt_oss(weights: Weights) -> Weights:
    """Unpacked experts: gate and up interleaved along the last axis, inputs before outputs."""
    result = {}
    for name, value in weights.items():
        if name.endswith(".experts.gate_up_proj"):
            stem = name.removesuffix("gate_up_proj")
            result[f"{stem}gate_proj.weight"] = value[..., ::2].swapaxes(-1, -2)
            result[f"{stem}up_proj.weight"] = value[..., 1::2].swapaxes(-1, -2)
        elif name.endswith(".experts.gate_up_proj_bias"):
            stem = name.removesuffix("gate_up_proj_bias")
            result[f"{stem}gate_proj.bias"] = value[..., ::2]
            result[f"{stem}up_proj.bias"] = value[..., 1::2]
        elif name.endswith(".experts.down_proj"):
            result[f"{name}.weight"] = value.swapaxes(-1, -2)
        elif name.endswith(".experts.down_proj_bias"):
            result[f"{name.removesuffix('_bias')}.bias"] = value
        else:
            result[name] = value
    return result


def _gpt_oss_unless_packed(weights: Weights) -> Weights:
    unpacked = any(name.endswith(".experts.gate_up_proj") for name in weights)
    return _gpt_oss(weights) if unpacked else weights


_STEPS: dict[str, Callable[[Weights], Weights]] = {
    "gpt2": _renamed((r"^transformer\.", "")),
    "gpt_oss": _gpt_oss_unless_packed,
    "muse_glimmer": _without(r"model\.(vision_|multi_modal)"),
    "nanochat": _renamed(
        (r"^model\.embed_tokens\.", "transformer.wte."),
        (r"^model\.layers\.", "transformer.h."),
        (r"\.self_attn\.([qkv])_proj\.", r".attn.c_\1."),
        (r"\.self_attn\.o_proj\.", ".attn.c_proj."),
        (r"\.mlp\.fc1\.", ".mlp.c_fc."),
        (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    ),
    "olmo_hybrid": _renamed(
        (r"\.attention_layer_norm\.", ".input_layernorm."),
        (r"\.feedforward_layer_norm\.", ".post_attention_layernorm."),
    ),
    "qwen3_5_moe": _stacked_experts,
}
