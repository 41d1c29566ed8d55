"""The rotary position embedding of a config.json, under the names that mlx-lm reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptstudio.errors import UserError
from cptstudio.lm.config_section import FULL, LOCAL, Section

_LOCAL_BASES = {
    "gemma3_text": "rope_local_base_freq",
    "gemma3n_text": "rope_local_base_freq",
    "mimo_v2_flash": "swa_rope_theta",
}
"""Where an architecture of mlx-lm reads the RoPE base of its layers with a sliding window."""

# Up to the context limit, dynamic scaling leaves the RoPE as it is.
_NONE = frozenset({"dynamic"})
_INTERLEAVED = frozenset({"dynamic", "linear", "yarn", "llama3"})
_UNSCALED = (
    "cohere", "cohere2", "ernie4_5", "ernie4_5_moe", "gemma", "gemma2", "gemma3n_text", "glm",
    "glm4", "glm4_moe", "gpt_neox", "granitemoehybrid", "helium", "lfm2", "lfm2_moe", "llama4_text",
    "mimo_v2_flash", "minimax_m2", "mixtral", "muse_glimmer_text", "nanochat", "olmo_hybrid", "phi",
    "qwen2_moe", "qwen3_moe", "qwen3_vl_moe_text", "solar_open", "stablelm", "starcoder2",
)  # fmt: skip
_SCALED_ROPES = {
    "deepseek_v2": frozenset({"yarn"}),
    "gpt_oss": frozenset({"linear", "yarn", "llama3"}),
    "minicpm3": frozenset({"dynamic", "longrope"}),
    "mellum": frozenset({"dynamic", "yarn", "longrope", "llama3"}),
    **dict.fromkeys(
        ("deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "llama4", "mistral4"),
        _INTERLEAVED,
    ),
    **dict.fromkeys(_UNSCALED, _NONE),
}
"""Kinds of scaled RoPE that an architecture of mlx-lm computes as transformers does, for those that
do not compute them all. tests/lm/test_same_as_transformers.py holds this table to the numbers."""

_READ_ROPE_BY_LAYER = frozenset({"gemma4_text", "gemma4_unified_text", "laguna", "mellum"})

_SAME_KIND = ({"mrope", "default"}, {"su", "longrope"})
"""Names of one kind of RoPE, of which a configuration may hold both."""


def add_rope_fields(section: Section) -> None:
    """Give a network's RoPE the names that mlx-lm reads.

    Raises:
        UserError: two fields contradict each other, or mlx-lm's network has no such RoPE.
    """
    parameters, scaling = section.get("rope_parameters"), section.get("rope_scaling")
    if isinstance(parameters, dict) and parameters:
        if any(isinstance(value, dict) for value in parameters.values()):
            _rope_by_layer(section, parameters)
        else:
            named = _both_names(parameters, "rope_parameters", section.where)
            _base_and_share(section, parameters, "rope_parameters")
            _scaling(section, named, "rope_parameters")
    elif isinstance(scaling, dict):
        named = _both_names(scaling, "rope_scaling", section.where)
        section.fields["rope_scaling"] = named
        _check_kind(section, named, "rope_scaling")


def _rope_by_layer(section: Section, parameters: Mapping[str, Any]) -> None:
    """RoPE by kind of layer."""
    kinds = {
        kind: _both_names(value, f"rope_parameters.{kind}", section.where)
        for kind, value in parameters.items()
        if isinstance(value, dict)
    }
    if section.model_type in _READ_ROPE_BY_LAYER:
        for kind, named in kinds.items():
            _check_kind(section, named, f"rope_parameters.{kind}")
        return
    full = kinds.get(FULL)
    local = kinds.get(LOCAL)
    if full is None:
        return
    _base_and_share(section, full, f"rope_parameters.{FULL}")
    _scaling(section, full, f"rope_parameters.{FULL}")
    if local is None:
        return
    name = _LOCAL_BASES.get(section.model_type)
    if name is not None:
        section.agree(name, local.get("rope_theta"), f"rope_parameters.{LOCAL}.rope_theta")
    elif local.get("rope_theta") != full.get("rope_theta"):
        raise UserError(
            f"{section.where}: rope_parameters.{FULL}.rope_theta is {full.get('rope_theta')!r} "
            f"and rope_parameters.{LOCAL}.rope_theta is {local.get('rope_theta')!r}, but mlx-lm's "
            f"{section.model_type!r} has one RoPE base for all layers."
        )
    if local["rope_type"] != "default":
        raise UserError(
            f"{section.where}: rope_parameters.{LOCAL}.rope_type is {local['rope_type']!r}, but "
            f"mlx-lm's {section.model_type!r} cannot scale the RoPE of these layers."
        )


def _base_and_share(section: Section, parameters: Mapping[str, Any], source: str) -> None:
    for name in ("rope_theta", "partial_rotary_factor"):
        if parameters.get(name) is not None:
            section.agree(name, parameters[name], f"{source}.{name}")


def _scaling(section: Section, named: Mapping[str, Any], source: str) -> None:
    """Hold `rope_scaling` to what `rope_parameters` say."""
    own = section.fields.get("rope_scaling")
    if isinstance(own, dict):
        own = _both_names(own, "rope_scaling", section.where)
        for name in sorted(own.keys() & named.keys()):
            if own[name] != named[name]:
                raise UserError(
                    f"{section.where}: rope_scaling.{name} is {own[name]!r} and {source}.{name} "
                    f"is {named[name]!r}. Set both to the right value in config.json."
                )
    if named["rope_type"] == "default":
        return
    _check_kind(section, named, source)
    # transformers writes None for what was not set; mlx-lm would calculate with it.
    section.fields["rope_scaling"] = {k: v for k, v in named.items() if v is not None}


def _check_kind(section: Section, named: Mapping[str, Any], source: str) -> None:
    """Refuse a scaled RoPE that mlx-lm's network takes no notice of or computes otherwise."""
    kind = named["rope_type"]
    known = _SCALED_ROPES.get(section.model_type)
    if known is None or kind in known or kind in ("default", "mrope"):
        return
    raise UserError(
        f"{section.where}: {source} has type {kind!r}, which mlx-lm's "
        f"{section.model_type!r} does not support, so its results would be wrong. If the "
        "model was trained without it, remove it from config.json (rope_type 'default'); "
        "otherwise use another model."
    )


def _both_names(scaling: Mapping[str, Any], source: str, where: object) -> dict[str, Any]:
    """The kind of a RoPE under its former name (`type`) and its present one (`rope_type`)."""
    former, present = scaling.get("type"), scaling.get("rope_type")
    kind = present or former or "default"
    if former and present and former != present and {former, present} not in _SAME_KIND:
        raise UserError(
            f"{where}: {source}.type is {former!r} and {source}.rope_type is {present!r}. Set both "
            "to the right value in config.json."
        )
    if former == "mrope":
        return dict(scaling) | {"rope_type": kind}
    return dict(scaling) | {"rope_type": kind, "type": kind}
