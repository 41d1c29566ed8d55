"""Known differences between mlx-lm's computation and a model's training, as sentences.

What makes another model of it is refused by `lm/model_config.py`. What is here leaves a model sound
(a detail of rounding) or sound within a length (a sliding window that mlx-lm lacks), or concerns
whoever loads what was trained with mlx-lm alone. The defaults are those of transformers, which
leaves out of config.json what has its default.

Nothing here imports MLX or transformers, so the web server may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptstudio.lm.config_section import language_model, long_ropes

# The sliding window where config.json names none; None: there is none then.
_ALWAYS = {
    "gemma2": 4096,
    "ministral3": None,
    "mistral": 4096,
    "mixtral": None,
    "phi3": None,
    "phimoe": None,
    "starcoder2": None,
}
_ONLY_IF_USED = {
    "qwen2": 4096,
    "qwen2_5_vl": 4096,
    "qwen2_moe": 4096,
    "qwen2_vl": 4096,
    "qwen3": 4096,
    "qwen3_moe": 4096,
    "smollm3": None,
}
"""Whose window counts where `use_sliding_window` is true, which it is in few published models."""
_FIRST_LAYERS_WITHOUT = {"qwen2": 28, "qwen2_5_vl": 80, "qwen2_vl": 80, "qwen3": 28}
"""`max_window_layers`: how many layers see the whole text before those with the window."""
_READ_BY_LAYER = frozenset({"ministral3", "mistral"})
"""Whose windows mlx-lm computes where `layer_types` names the layers."""

_EXACT, _TANH = "gelu", "gelu_pytorch_tanh"
_TANH_NAMES = frozenset({_TANH, "gelu_new", "gelu_fast"})
_GELUS = {
    # Gemma's published files say "gelu" and mean the other, as transformers knows: none is asked.
    "gemma": (_EXACT, "", _TANH),
    "gpt_bigcode": (_EXACT, "activation_function", _TANH),
    "gpt_neox": (_TANH, "hidden_act", _EXACT),
    "phi": (_TANH, "hidden_act", "gelu_new"),
    "starcoder2": (_EXACT, "hidden_act", _TANH),
}
"""Which form of GELU mlx-lm computes, the field that says which is right, and its default."""


def known_differences(config: Mapping[str, Any], context: int | None = None) -> list[str]:
    """Return sentences on what mlx-lm computes otherwise for a model; mostly none.

    Args:
        config: config.json, as written or as `lm.model_config.normalized` gives it.
        context: tokens of the longest text that is trained or scored; None for any.
    """
    section = language_model(config)
    model_type = str(section.get("model_type", "")).removesuffix("_text")
    found = [_window(section, model_type, context), _gelu(section, model_type)]
    if model_type == "nanochat" and (epsilon := section.get("rms_norm_eps", 1e-6)) != 1e-5:
        found.append(
            f"This model has rms_norm_eps {epsilon}, but mlx-lm's 'nanochat' always uses "
            "1e-05. Log-probabilities differ in the third digit."
        )
    original = long_rope_context(config)
    if original is not None:
        found.append(
            "This model has LongRoPE. CPT Studio uses the factors for short texts up to "
            f"{original:,} tokens, as in the model's training; mlx-lm by itself always "
            "uses those for long texts. Loaded with mlx-lm alone, a model trained here "
            "has worse log-probabilities for short texts; transformers reads it "
            "correctly."
        )
    return [sentence for sentence in found if sentence is not None]


def long_rope_context(config: Mapping[str, Any]) -> int | None:
    """Tokens up to which a model's short LongRoPE factors hold; None without LongRoPE."""
    section = language_model(config)
    for scaling in long_ropes(section):
        if scaling.get("short_factor") != scaling.get("long_factor"):
            name = "original_max_position_embeddings"
            original = section.get(name) or scaling.get(name)
            return original if isinstance(original, int) else None
    return None


def _window(section: Mapping[str, Any], model_type: str, context: int | None) -> str | None:
    window = _sliding_window(section, model_type)
    if window is None or (context is not None and context <= window):
        return None
    longer = "longer texts" if context is None else f"texts of {context:,} tokens"
    return (
        f"This model was trained with a sliding window of {window:,} tokens, which "
        f"mlx-lm's {model_type!r} does not support: in {longer}, each token sees more "
        "than the model is used to, and results differ from other programs. Use a "
        f"sequence length of at most {window:,}."
    )


def _sliding_window(section: Mapping[str, Any], model_type: str) -> int | None:
    """The sliding window that some layers have and mlx-lm does not compute."""
    kinds = section.get("layer_types")
    kinds = kinds if isinstance(kinds, list) else []
    by_layer = bool(kinds)
    if by_layer and ("sliding_attention" not in kinds or model_type in _READ_BY_LAYER):
        return None
    if model_type in _ALWAYS:
        window = section.get("sliding_window", _ALWAYS[model_type])
    elif model_type in _ONLY_IF_USED and section.get("use_sliding_window"):
        window = section.get("sliding_window", _ONLY_IF_USED[model_type])
        if not by_layer and model_type in _FIRST_LAYERS_WITHOUT:
            without = section.get("max_window_layers", _FIRST_LAYERS_WITHOUT[model_type])
            if without >= section.get("num_hidden_layers", without + 1):
                return None
    else:
        return None
    return window if isinstance(window, int) and window > 0 else None


def _gelu(section: Mapping[str, Any], model_type: str) -> str | None:
    computed, field, default = _GELUS.get(model_type, (None, "", ""))
    own = section.get(field) or default
    tanh = own in _TANH_NAMES
    if computed is None or tanh == (computed == _TANH) or not (tanh or own == _EXACT):
        return None
    forms = ("exact form", "tanh form")
    return (
        f"This model uses the {forms[tanh]} of the GELU activation, but mlx-lm's "
        f"{model_type!r} computes the {forms[not tanh]}. Log-probabilities differ from "
        "other programs in the third digit; training and scoring work."
    )
