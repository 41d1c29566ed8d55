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
    if not any(name.endswith(".experts.gate_up_proj") for name in weights):
        return weights
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


def _qwen3_vl_experts(weights: Weights) -> Weights:
    """Experts with their outputs before their inputs, as the published ones do not have them."""
    result = dict(weights)
    for name in [name for name in weights if name.endswith(".mlp.experts.down_proj")]:
        gate_name = name.replace("down_proj", "gate_up_proj")
        down, gate_up = weights[name], weights[gate_name]
        inner = gate_up.shape[1] // 2
        # Published: gate_up [experts, hidden, 2 * inner] and down [experts, inner, hidden].
        hidden = gate_up.shape[2]
        if down.shape[1:] == (hidden, inner):
            result[name] = down.swapaxes(1, 2)
            result[gate_name] = gate_up.swapaxes(1, 2)
    return result


_OLMO_NORMS = _renamed(
    (r"\.attention_layer_norm\.", ".input_layernorm."),
    (r"\.feedforward_layer_norm\.", ".post_attention_layernorm."),
)


def _olmo_hybrid(weights: Weights) -> Weights:
    """The convolutions of q, k and v: transformers cuts their rows in three equal parts."""
    result = _OLMO_NORMS(weights)
    for name in [name for name in result if name.endswith(".linear_attn.q_conv1d.weight")]:
        stem = name.removesuffix("q_conv1d.weight")
        rows = [result[f"{stem}{part}_proj.weight"].shape[0] for part in "qkv"]
        whole = mx.concatenate([result[f"{stem}{part}_conv1d.weight"] for part in "qkv"])
        cuts = [rows[0], rows[0] + rows[1]]
        for part, piece in zip("qkv", mx.split(whole, cuts), strict=True):
            result[f"{stem}{part}_conv1d.weight"] = piece
    return result


_STEPS: dict[str, Callable[[Weights], Weights]] = {
    "gpt2": _renamed((r"^transformer\.", "")),
    "gpt_oss": _gpt_oss,
    "kimi_k25": _renamed(
        (r"^language_model\.model\.blocks\.", "language_model.model.layers."),
        (r"^model\.mm_projector\.", "mm_projector."),
    ),
    "kimi_linear": _renamed((r"\.block_sparse_moe\.((?:gate|up|down)_proj)\.", r".mlp.\1.")),
    "muse_glimmer": _without(r"model\.(vision_|multi_modal)"),
    "nanochat": _renamed(
        (r"^model\.embed_tokens\.", "transformer.wte."),
        (r"^model\.layers\.", "transformer.h."),
        (r"\.self_attn\.([qkv])_proj\.", r".attn.c_\1."),
        (r"\.self_attn\.o_proj\.", ".attn.c_proj."),
        (r"\.mlp\.fc1\.", ".mlp.c_fc."),
        (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    ),
    "olmo_hybrid": _olmo_hybrid,
    "qwen3_5_moe": _stacked_experts,
    "qwen3_vl_moe": _qwen3_vl_experts,
}
