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

# Up to the context limit, dynamic scaling leaves the RoPE as it is.
_NONE = frozenset({"dynamic"})
_INTERLEAVED = frozenset({"dynamic", "linear", "yarn", "llama3"})
_SCALED_ROPES = {
    "deepseek_v2": frozenset({"yarn"}),
    "gpt_oss": frozenset({"linear", "yarn", "llama3"}),
    "minicpm3": frozenset({"dynamic", "longrope"}),
    "mellum": frozenset({"dynamic", "yarn", "longrope", "llama3"}),
    **dict.fromkeys(
        ("deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa", "llama4", "mistral4"),
        _INTERLEAVED,
    ),
    **dict.fromkeys(
        (
            "cohere",
            "cohere2",
            "ernie4_5",
            "ernie4_5_moe",
            "gemma",
            "gemma2",
            "gemma3n_text",
            "glm",
            "glm4",
            "glm4_moe",
            "gpt_neox",
            "granitemoehybrid",
            "helium",
            "lfm2",
            "lfm2_moe",
            "llama4_text",
            "mimo_v2_flash",
            "minimax_m2",
            "mixtral",
            "muse_glimmer_text",
            "nanochat",
            "olmo_hybrid",
            "phi",
            "qwen2_moe",
            "qwen3_moe",
            "qwen3_vl_moe_text",
            "solar_open",
            "stablelm",
            "starcoder2",
        ),
        _NONE,
    ),
}
"""Kinds of scaled RoPE that an architecture of mlx-lm computes as transformers does, for those that
do not compute them all. tests/lm/test_same_as_transformers.py holds this table to the numbers."""

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
    try:
        return _normalized(config, where)
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
        raise UserError(
            f"{where} has a field with a value of the wrong kind. Download the model again."
        ) from None


def _normalized(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    result = dict(config)
    inner = config.get("text_config")
    if isinstance(inner, dict):
        model_type = str(inner.get("model_type", ""))
        # mlx-lm has two networks for Llama 4: this one, and another for the language model alone.
        inside = "llama4" if config.get("model_type") == "llama4" else model_type
        result["text_config"] = _section(inner, inside, where)
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
        named = _both_names(config["rope_scaling"], "rope_scaling", where)
        section.fields["rope_scaling"] = named
        _check_kind(section, named, "rope_scaling")
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
        for kind, named in kinds.items():
            _check_kind(section, named, f"rope_parameters.{kind}")
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
    _check_kind(section, named, source)
    # transformers writes None for what was not set; mlx-lm would calculate with it.
    section.fields["rope_scaling"] = {k: v for k, v in named.items() if v is not None}


def _check_kind(section: _Section, named: Mapping[str, Any], source: str) -> None:
    """Refuse a scaled RoPE that mlx-lm's network takes no notice of or computes otherwise."""
    kind = named["rope_type"]
    known = _SCALED_ROPES.get(section.model_type)
    if known is None or kind in known or kind in ("default", "mrope"):
        return
    raise UserError(
        f"{section.where}: {source} has the kind {kind!r}, which mlx-lm's {section.model_type!r} "
        "does not compute, so its numbers would be wrong. Where the model was trained without it, "
        f"take it out of config.json (rope_type 'default'); otherwise use another model."
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
    hidden, heads = section.get("hidden_size"), section.get("num_attention_heads")
    if section.get("head_dim") is None and hidden and heads:
        section.fields["head_dim"] = hidden // heads


def _rotary_size(section: _Section) -> None:
    _head_size(section)
    head, share = section.get("head_dim"), section.get("partial_rotary_factor", 1.0)
    if head:
        section.fields.setdefault("rotary_dim", int(head * share))


def _from_text(*names: str) -> _Rule:
    """Fields of the whole model that repeat those of its language model."""

    def rule(section: _Section) -> None:
        text = section.get("text_config", {})
        for name in names:
            if text.get(name) is not None:
                section.fields[name] = text[name]

    return rule


def _to_text(*names: str) -> _Rule:
    """Fields that hold for the language model, too, where transformers reads the outer one."""

    def rule(section: _Section) -> None:
        for name in names:
            if section.get(name) is not None and "text_config" in section.fields:
                section.fields["text_config"][name] = section.get(name)

    return rule


def _period(section: _Section) -> None:
    """`sliding_window_pattern`: every how many layers one sees the whole text."""
    kinds = section.get("layer_types")
    if not kinds:
        return
    period = kinds.index(_FULL) + 1 if _FULL in kinds else len(kinds) + 1
    if [kind == _FULL for kind in kinds] != [(i + 1) % period == 0 for i in range(len(kinds))]:
        raise UserError(
            f"{section.where}: layer_types is no repeated pattern of layers with a sliding window "
            f"and one without, which is all that mlx-lm's {section.model_type!r} can do."
        )
    section.agree("sliding_window_pattern", period, "the period of layer_types")


def _letters(section: _Section) -> None:
    """`sliding_window_pattern` of EXAONE 4: one letter a layer, L with a window, G without."""
    kinds = section.get("layer_types")
    windowed = section.get("sliding_window") is not None
    if kinds and windowed:
        letters = "".join("L" if kind == _LOCAL else "G" for kind in kinds)
        section.fields["sliding_window_pattern"] = letters
    elif not windowed:
        section.fields["sliding_window_pattern"] = None


def _sparse_layers(section: _Section) -> None:
    kinds = section.get("mlp_layer_types")
    if kinds:
        section.agree("is_moe_layer", [kind == "sparse" for kind in kinds], "mlp_layer_types")


def _inner_size(section: _Section) -> None:
    if section.get("n_inner") is None and section.get("n_embd"):
        section.fields["n_inner"] = 4 * section.get("n_embd")


def _whole_head(section: _Section) -> None:
    share = section.get("partial_rotary_factor", 1.0)
    if share != 1.0:
        raise UserError(
            f"{section.where}: partial_rotary_factor is {share}, but mlx-lm's "
            f"{section.model_type!r} rotates each head as a whole, which is another model."
        )


def _only(**values: Any) -> _Rule:
    """Refuse what mlx-lm's network takes no notice of, because it has one value built in."""

    def rule(section: _Section) -> None:
        for name, value in values.items():
            own = section.get(name, value)
            if own != value:
                raise UserError(
                    f"{section.where}: {name} is {own!r}, but mlx-lm's {section.model_type!r} "
                    f"computes with {value!r} always, which is another model."
                )

    return rule


def _unscaled_yarn(section: _Section) -> None:
    """DeepSeek V2 in mlx-lm knows YaRN alone; with a factor of 1 it leaves the RoPE as it is."""
    if section.get("rope_scaling") is None:
        section.fields["rope_scaling"] = {
            "type": "yarn",
            "rope_type": "yarn",
            "rope_theta": section.get("rope_theta", 10_000.0),
            "factor": 1.0,
            "original_max_position_embeddings": section.get("max_position_embeddings", 2048),
        }
        section.fields["rope_parameters"] = dict(section.fields["rope_scaling"])


def _unscaled_longrope(section: _Section) -> None:
    """MiniCPM 3 in mlx-lm knows LongRoPE alone; factors of 1 leave the RoPE as it is."""
    if section.get("rope_scaling") is None and section.get("qk_rope_head_dim"):
        ones = [1.0] * (section.get("qk_rope_head_dim") // 2)
        section.fields["rope_scaling"] = {
            "type": "longrope",
            "rope_type": "longrope",
            "rope_theta": section.get("rope_theta", 10_000.0),
            "short_factor": ones,
            "long_factor": ones,
            "original_max_position_embeddings": section.get("max_position_embeddings"),
        }
        section.fields["rope_parameters"] = dict(section.fields["rope_scaling"])


def _scaled_logits(section: _Section) -> None:
    scale = section.get("hidden_size", 256) / section.get("dim_model_base", 256)
    if section.get("tie_word_embeddings") and scale != 1:
        raise UserError(
            f"{section.where}: tie_word_embeddings is true, for which mlx-lm's "
            f"{section.model_type!r} leaves out the division of the logits by {scale:g}, so its "
            "numbers would be wrong. A MiniCPM 3 with a head of its own can be used."
        )


def _dense_layers(section: _Section) -> None:
    """`first_k_dense_replace`: how many layers there are before the mixtures of experts."""
    kinds = section.get("mlp_layer_types")
    if not kinds:
        return
    dense = kinds.index("sparse") if "sparse" in kinds else len(kinds)
    if "dense" in kinds[dense:]:
        raise UserError(
            f"{section.where}: mlp_layer_types has a dense layer after a mixture of experts, which "
            f"mlx-lm's {section.model_type!r} cannot do."
        )
    section.agree("first_k_dense_replace", dense, "the number of dense layers in mlp_layer_types")


def _first_context(section: _Section) -> None:
    scaling = section.get("rope_scaling") or {}
    name = "original_max_position_embeddings"
    if scaling.get(name) is not None:
        section.agree(name, scaling[name], f"rope_scaling.{name}")


def _normed_queries(section: _Section) -> None:
    if section.get("use_qk_norm") and 0 in section.get("no_rope_layers", []):
        raise UserError(
            f"{section.where}: no_rope_layers has layers without RoPE, whose queries and keys "
            f"mlx-lm's {section.model_type!r} would normalize, against use_qk_norm of the model "
            "as it was trained, so its numbers would be wrong."
        )


def _weighted_experts(section: _Section) -> None:
    if section.get("num_experts", 1) > 1:
        raise UserError(
            f"{section.where}: num_experts is {section.get('num_experts')}, but mlx-lm's "
            f"{section.model_type!r} weights the chosen experts by another rule than the model was "
            "trained with, so its numbers would be wrong. Jamba without experts can be used."
        )


def _kimi_layers(section: _Section) -> None:
    kinds = section.get("layer_types")
    if kinds is None or section.get("linear_attn_config") is not None:
        return
    section.fields["linear_attn_config"] = {
        "kda_layers": [i + 1 for i, kind in enumerate(kinds) if kind != _FULL],
        "full_attn_layers": [i + 1 for i, kind in enumerate(kinds) if kind == _FULL],
        "head_dim": section.get("linear_head_dim"),
        "num_heads": section.get("linear_num_heads"),
        "short_conv_kernel_size": section.get("linear_conv_kernel_dim"),
    }


def _former_kinds(section: _Section) -> None:
    former = {"linear_attention": "mamba", _FULL: "attention"}
    kinds = section.get("layer_types")
    if kinds is not None:
        section.fields["layer_types"] = [former.get(kind, kind) for kind in kinds]


def _expanded(section: _Section) -> None:
    size = int(section.get("expand", 2) * section.get("hidden_size", 0))
    if size:
        section.agree("intermediate_size", size, "expand times hidden_size")


_RULES: dict[str, tuple[_Rule, ...]] = {
    "apertus": (_fixed(mlp_bias=False, post_norm=False, qk_norm=True),),
    "cohere2": (_period,),
    "deepseek_v32": (_dense_layers,),
    "deepseek_v2": (_unscaled_yarn,),
    "exaone4": (_head_size, _letters, _fixed(rope_scaling=None)),
    "exaone_moe": (_head_size, _sparse_layers),
    "falcon_h1": (_head_size,),
    "gemma3": (_from_text("vocab_size"),),
    "gemma3_text": (_period,),
    "gemma4": (_from_text("vocab_size"),),
    "gemma4_unified": (_from_text("vocab_size"),),
    "gemma4_unified_text": (_fixed(hidden_size_per_layer_input=0),),
    "glm": (_whole_head,),
    "glm4_moe": (_head_size, _fixed(rope_scaling=None)),
    "glm4_moe_lite": (_dense_layers,),
    "glm_moe_dsa": (
        _dense_layers,
        _fixed(topk_method="noaux_tc", scoring_func="sigmoid", moe_layer_freq=1),
    ),
    "gpt2": (_renamed(n_ctx="n_positions"),),
    "gpt_bigcode": (_inner_size,),
    "gpt_neox": (_renamed(rotary_emb_base="rope_theta", rotary_pct="partial_rotary_factor"),),
    "granitemoehybrid": (_former_kinds,),
    "jamba": (_weighted_experts,),
    "kimi_linear": (_kimi_layers, _dense_layers, _fixed(rope_theta=10_000.0)),
    "lfm2": (_renamed(block_dim="hidden_size"),),
    "llama4": (_fixed(rope_scaling=None),),
    "llama4_text": (_normed_queries, _fixed(rope_scaling=None)),
    "longcat_flash": (
        _fixed(
            attention_method="MLA",
            zero_expert_type="identity",
            mla_scale_q_lora=True,
            mla_scale_kv_lora=True,
        ),
    ),
    "mamba2": (_expanded,),
    "mellum": (_renamed(num_experts="num_local_experts"),),
    "minimax_m2": (_rotary_size, _fixed(shared_intermediate_size=0)),
    "minicpm3": (_unscaled_longrope, _scaled_logits),
    "mistral3": (_to_text("tie_word_embeddings"),),
    "phimoe": (_first_context,),
    "qwen2_vl": (_to_text("tie_word_embeddings"),),
    "qwen2_5_vl": (_to_text("tie_word_embeddings"),),
    "recurrent_gemma": (_only(rope_theta=10_000.0, partial_rotary_factor=0.5),),
    "qwen3_moe": (_head_size, _renamed(num_experts="num_local_experts")),
    "qwen3_vl": (_to_text("tie_word_embeddings"),),
    "qwen3_vl_moe": (_to_text("tie_word_embeddings"),),
    "qwen3_vl_moe_text": (
        _head_size,
        _renamed(num_experts="num_local_experts"),
        _fixed(norm_topk_prob=True),
    ),
    "solar_open": (
        _renamed(intermediate_size="moe_intermediate_size"),
        _fixed(first_k_dense_replace=0, partial_rotary_factor=1.0),
    ),
}
