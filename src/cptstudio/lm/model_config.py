"""config.json as mlx-lm must read it: what transformers 5 moved is put where mlx-lm looks.

transformers 5 writes the rotary position embedding as one dictionary, `rope_parameters`, by kind
of layer where the layers differ, and no `rope_theta`, `rope_scaling` or `partial_rotary_factor`
beside it. Most of mlx-lm's architectures read only those, and take a default where they are
missing: the model loads, and is another one. `normalized` adds the former names, so that both
forms stand side by side; every reader of a model's configuration goes through it, and so does
what checkpoints write. Two forms that contradict each other are refused.

Nothing here imports MLX or transformers, so the web server may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cptstudio.errors import UserError

_FULL, _LOCAL = "full_attention", "sliding_attention"

_LOCAL_BASES = {
    "gemma3_text": "rope_local_base_freq",
    "gemma3n_text": "rope_local_base_freq",
    "mimo_v2_flash": "swa_rope_theta",
}
"""Where an architecture of mlx-lm reads the RoPE base of its layers with a sliding window."""

_SAME_KIND = ({"mrope", "default"}, {"su", "longrope"})
"""Names of one kind of RoPE, of which a configuration may hold both."""


def normalized(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Return a model's configuration with each field under the names that mlx-lm reads, too.

    Args:
        config: config.json, as it is written.
        where: the file or folder, for messages.

    Raises:
        UserError: two fields contradict each other; the message names both and their values.
    """
    result = dict(config)
    inner = config.get("text_config")
    if isinstance(inner, dict):
        result["text_config"] = _section(inner, str(inner.get("model_type", "")), where)
    return _section(result, str(config.get("model_type", "")), where)


def additions(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Return the top-level fields of `normalized` that differ from the given configuration."""
    return {
        name: value
        for name, value in normalized(config, where).items()
        if name not in config or config[name] != value
    }


def _section(config: Mapping[str, Any], model_type: str, where: object) -> dict[str, Any]:
    section = _Section(dict(config), model_type, where)
    parameters = config.get("rope_parameters")
    if isinstance(parameters, dict) and parameters:
        if any(isinstance(value, dict) for value in parameters.values()):
            _rope_by_layer(section, parameters)
        else:
            _one_rope(section, parameters)
    elif isinstance(config.get("rope_scaling"), dict):
        section.fields["rope_scaling"] = _both_names(config["rope_scaling"], "rope_scaling", where)
    for rule in _RULES.get(model_type, ()):
        rule(section)
    return section.fields


class _Section:
    """The settings of one network, to which names are added."""

    def __init__(self, fields: dict[str, Any], model_type: str, where: object) -> None:
        self.fields = fields
        self.model_type = model_type
        self.where = where

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field's value; None and a missing field are the same."""
        value = self.fields.get(name)
        return default if value is None else value

    def agree(self, name: str, value: Any, source: str) -> None:
        """Give a field the value of another one.

        Raises:
            UserError: it has a value of its own that is another one.
        """
        own = self.fields.get(name)
        if own is not None and own != value:
            raise UserError(
                f"{self.where}: {name} is {own!r} and {source} is {value!r}. The two say the same "
                "thing, so one of them is wrong. Set both to the right value in config.json."
            )
        self.fields[name] = value


def _one_rope(section: _Section, parameters: Mapping[str, Any]) -> None:
    """RoPE that is the same in all layers."""
    named = _both_names(parameters, "rope_parameters", section.where)
    _base_and_share(section, parameters, "rope_parameters")
    _scaling(section, named, "rope_parameters")


def _rope_by_layer(section: _Section, parameters: Mapping[str, Any]) -> None:
    """RoPE by kind of layer."""
    kinds = {
        kind: _both_names(value, f"rope_parameters.{kind}", section.where)
        for kind, value in parameters.items()
        if isinstance(value, dict)
    }
    if section.model_type in _READ_ROPE_BY_LAYER:
        return
    full = kinds.get(_FULL)
    local = kinds.get(_LOCAL)
    if full is None:
        return
    _base_and_share(section, full, f"rope_parameters.{_FULL}")
    _scaling(section, full, f"rope_parameters.{_FULL}")
    if local is None:
        return
    name = _LOCAL_BASES.get(section.model_type)
    if name is not None:
        section.agree(name, local.get("rope_theta"), f"rope_parameters.{_LOCAL}.rope_theta")
    elif local.get("rope_theta") != full.get("rope_theta"):
        raise UserError(
            f"{section.where}: rope_parameters.{_FULL}.rope_theta is {full.get('rope_theta')!r} "
            f"and rope_parameters.{_LOCAL}.rope_theta is {local.get('rope_theta')!r}, but mlx-lm's "
            f"{section.model_type!r} has one RoPE base for all layers."
        )
    if local["rope_type"] != "default":
        raise UserError(
            f"{section.where}: rope_parameters.{_LOCAL}.rope_type is {local['rope_type']!r}, but "
            f"mlx-lm's {section.model_type!r} cannot scale the RoPE of these layers."
        )


def _base_and_share(section: _Section, parameters: Mapping[str, Any], source: str) -> None:
    for name in ("rope_theta", "partial_rotary_factor"):
        if parameters.get(name) is not None:
            section.agree(name, parameters[name], f"{source}.{name}")


def _scaling(section: _Section, named: Mapping[str, Any], source: str) -> None:
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
    # transformers writes None for what was not set; mlx-lm would calculate with it.
    section.fields["rope_scaling"] = {k: v for k, v in named.items() if v is not None}


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


# --- other fields ------------------------------------------------------------------------------

_Rule = Callable[[_Section], None]

_READ_ROPE_BY_LAYER = frozenset({"gemma4_text", "gemma4_unified_text", "laguna", "mellum"})


def _renamed(**names: str) -> _Rule:
    """Fields by their former name: the name that transformers gave them since."""

    def rule(section: _Section) -> None:
        for former, present in names.items():
            value = section.get(present)
            if value is not None:
                section.agree(former, value, present)

    return rule


def _fixed(**values: Any) -> _Rule:
    """Fields that transformers' network has no setting for, and what it does."""

    def rule(section: _Section) -> None:
        for name, value in values.items():
            section.fields.setdefault(name, value)

    return rule


def _head_size(section: _Section) -> None:
    if section.get("head_dim") is None:
        section.fields["head_dim"] = section.get("hidden_size") // section.get(
            "num_attention_heads"
        )


def _rotary_size(section: _Section) -> None:
    head = section.get("head_dim") or section.get("hidden_size") // section.get(
        "num_attention_heads"
    )
    share = section.get("partial_rotary_factor", 1.0)
    section.fields.setdefault("rotary_dim", int(head * share))


_RULES: dict[str, tuple[_Rule, ...]] = {
    "apertus": (_fixed(mlp_bias=False, post_norm=False, qk_norm=True),),
    "exaone4": (_head_size, _fixed(rope_scaling=None)),
    "glm4_moe": (_head_size, _fixed(rope_scaling=None)),
    "llama4_text": (_fixed(rope_scaling=None),),
    "gpt2": (_renamed(n_ctx="n_positions"),),
    "gpt_neox": (_renamed(rotary_emb_base="rope_theta", rotary_pct="partial_rotary_factor"),),
    "mellum": (_renamed(num_experts="num_local_experts"),),
    "minimax_m2": (_rotary_size, _fixed(shared_intermediate_size=0)),
    "qwen3_moe": (_head_size, _renamed(num_experts="num_local_experts")),
}
