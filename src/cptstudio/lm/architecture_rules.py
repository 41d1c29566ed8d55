"""Architectures whose configuration mlx-lm reads differently from transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cptstudio.errors import UserError
from cptstudio.lm.config_section import FULL, LOCAL, Section

_Rule = Callable[[Section], None]


def _renamed(**names: str) -> _Rule:
    """Fields by their former name: the name that transformers gave them since."""

    def rule(section: Section) -> None:
        for former, present in names.items():
            value = section.get(present)
            if value is not None:
                section.agree(former, value, present)

    return rule


def _fixed(**values: Any) -> _Rule:
    """Fields that transformers' network has no setting for, and what it does."""

    def rule(section: Section) -> None:
        for name, value in values.items():
            section.fields.setdefault(name, value)

    return rule


def _head_size(section: Section) -> None:
    hidden, heads = section.get("hidden_size"), section.get("num_attention_heads")
    if section.get("head_dim") is None and hidden and heads:
        section.fields["head_dim"] = hidden // heads


def _rotary_size(section: Section) -> None:
    _head_size(section)
    head, share = section.get("head_dim"), section.get("partial_rotary_factor", 1.0)
    if head:
        section.fields.setdefault("rotary_dim", int(head * share))


def _from_text(*names: str) -> _Rule:
    """Fields of the whole model that repeat those of its language model."""

    def rule(section: Section) -> None:
        text = section.get("text_config", {})
        for name in names:
            if text.get(name) is not None:
                section.fields[name] = text[name]

    return rule


def _to_text(*names: str) -> _Rule:
    """Fields that hold for the language model, too, where transformers reads the outer one."""

    def rule(section: Section) -> None:
        for name in names:
            if section.get(name) is not None and "text_config" in section.fields:
                section.fields["text_config"][name] = section.get(name)

    return rule


def _period(section: Section) -> None:
    """`sliding_window_pattern`: every how many layers one sees the whole text."""
    kinds = section.get("layer_types")
    if not kinds:
        return
    period = kinds.index(FULL) + 1 if FULL in kinds else len(kinds) + 1
    if [kind == FULL for kind in kinds] != [(i + 1) % period == 0 for i in range(len(kinds))]:
        raise UserError(
            f"{section.where}: layer_types is not a repeated pattern of layers with and "
            f"without a sliding window, which is all that mlx-lm's {section.model_type!r} "
            "supports."
        )
    section.agree("sliding_window_pattern", period, "the period of layer_types")


def _letters(section: Section) -> None:
    """`sliding_window_pattern` of EXAONE 4: one letter a layer, L with a window, G without."""
    kinds = section.get("layer_types")
    windowed = section.get("sliding_window") is not None
    if kinds and windowed:
        letters = "".join("L" if kind == LOCAL else "G" for kind in kinds)
        section.fields["sliding_window_pattern"] = letters
    elif not windowed:
        section.fields["sliding_window_pattern"] = None


def _sparse_layers(section: Section) -> None:
    kinds = section.get("mlp_layer_types")
    if kinds:
        section.agree("is_moe_layer", [kind == "sparse" for kind in kinds], "mlp_layer_types")


def _inner_size(section: Section) -> None:
    if section.get("n_inner") is None and section.get("n_embd"):
        section.fields["n_inner"] = 4 * section.get("n_embd")


def _whole_head(section: Section) -> None:
    share = section.get("partial_rotary_factor", 1.0)
    if share != 1.0:
        raise UserError(
            f"{section.where}: partial_rotary_factor is {share}, but mlx-lm's "
            f"{section.model_type!r} always rotates whole heads, which would be a "
            "different model."
        )


def _only(**values: Any) -> _Rule:
    """Refuse what mlx-lm's network takes no notice of, because it has one value built in."""

    def rule(section: Section) -> None:
        for name, value in values.items():
            own = section.get(name, value)
            if own != value:
                raise UserError(
                    f"{section.where}: {name} is {own!r}, but mlx-lm's "
                    f"{section.model_type!r} always uses {value!r}, which would be a "
                    "different model."
                )

    return rule


def _scaled(section: Section, kind: str, **settings: Any) -> None:
    scaling = {"type": kind, "rope_type": kind, "rope_theta": section.get("rope_theta", 10_000.0)}
    section.fields["rope_scaling"] = scaling | settings
    section.fields["rope_parameters"] = scaling | settings


def _unscaled_yarn(section: Section) -> None:
    """DeepSeek V2 in mlx-lm knows YaRN alone; with a factor of 1 it leaves the RoPE as it is."""
    if section.get("rope_scaling") is None:
        original = section.get("max_position_embeddings", 2048)
        _scaled(section, "yarn", factor=1.0, original_max_position_embeddings=original)


def _unscaled_longrope(section: Section) -> None:
    """MiniCPM 3 in mlx-lm knows LongRoPE alone; factors of 1 leave the RoPE as it is."""
    if section.get("rope_scaling") is None and section.get("qk_rope_head_dim"):
        ones = [1.0] * (section.get("qk_rope_head_dim") // 2)
        _scaled(
            section,
            "longrope",
            short_factor=ones,
            long_factor=ones,
            original_max_position_embeddings=section.get("max_position_embeddings"),
        )


def _scaled_logits(section: Section) -> None:
    scale = section.get("hidden_size", 256) / section.get("dim_model_base", 256)
    if section.get("tie_word_embeddings") and scale != 1:
        raise UserError(
            f"{section.where}: tie_word_embeddings is true. In this case mlx-lm's "
            f"{section.model_type!r} does not divide the logits by {scale:g}, so its "
            "results would be wrong. A MiniCPM 3 model with its own output head works."
        )


def _dense_layers(section: Section) -> None:
    """`first_k_dense_replace`: how many layers there are before the mixtures of experts."""
    kinds = section.get("mlp_layer_types")
    if not kinds:
        return
    dense = kinds.index("sparse") if "sparse" in kinds else len(kinds)
    if "dense" in kinds[dense:]:
        raise UserError(
            f"{section.where}: mlp_layer_types has a dense layer after a mixture of "
            f"experts, which mlx-lm's {section.model_type!r} does not support."
        )
    section.agree("first_k_dense_replace", dense, "the number of dense layers in mlp_layer_types")


def _first_context(section: Section) -> None:
    scaling = section.get("rope_scaling") or {}
    name = "original_max_position_embeddings"
    if scaling.get(name) is not None:
        section.agree(name, scaling[name], f"rope_scaling.{name}")


def _normed_queries(section: Section) -> None:
    if section.get("use_qk_norm") and 0 in section.get("no_rope_layers", []):
        raise UserError(
            f"{section.where}: no_rope_layers has layers without RoPE. mlx-lm's "
            f"{section.model_type!r} would normalize their queries and keys although the "
            "model was trained otherwise (use_qk_norm), so its results would be wrong."
        )


def _weighted_experts(section: Section) -> None:
    if section.get("num_experts", 1) > 1:
        raise UserError(
            f"{section.where}: num_experts is {section.get('num_experts')}, but mlx-lm's "
            f"{section.model_type!r} weights experts differently than in training, so its "
            "results would be wrong. Jamba without experts works."
        )


def _kimi_layers(section: Section) -> None:
    kinds = section.get("layer_types")
    if kinds is None or section.get("linear_attn_config") is not None:
        return
    section.fields["linear_attn_config"] = {
        "kda_layers": [i + 1 for i, kind in enumerate(kinds) if kind != FULL],
        "full_attn_layers": [i + 1 for i, kind in enumerate(kinds) if kind == FULL],
        "head_dim": section.get("linear_head_dim"),
        "num_heads": section.get("linear_num_heads"),
        "short_conv_kernel_size": section.get("linear_conv_kernel_dim"),
    }


def _former_kinds(section: Section) -> None:
    former = {"linear_attention": "mamba", FULL: "attention"}
    kinds = section.get("layer_types")
    if kinds is not None:
        section.fields["layer_types"] = [former.get(kind, kind) for kind in kinds]


def _expanded(section: Section) -> None:
    size = int(section.get("expand", 2) * section.get("hidden_size", 0))
    if size:
        section.agree("intermediate_size", size, "expand times hidden_size")


RULES: dict[str, tuple[_Rule, ...]] = {
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
