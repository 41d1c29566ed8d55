"""Every network of mlx-lm, built small and with no weights read: shapes and modules alone.

MLX is lazy, so the random numbers that a fresh network holds are never drawn.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import pkgutil
from functools import lru_cache
from typing import Any

import mlx_lm.models
from mlx.nn.layers.base import Module

from cptstudio.lm.loading import complete_modules

NOT_BUILT = {
    "olmo": "needs a library of its own (ai2-olmo)",
    "prism_hadamard_qwen35": "exists only as packed weights of its own kind",
}
"""Architectures of mlx-lm that cannot be built here, with the reason."""

_SMALL: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-5,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "moe_intermediate_size": 32,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "n_ctx": 128,
    "n_inner": 128,
    "d_model": 64,
    "ffn_dim": 128,
    "mlp_only_layers": [],
    "decoder_sparse_step": 1,
    "first_k_dense_replace": 1,
    "num_dense_layers": 1,
    "num_layers": 4,
    "num_kv_reuse_layers": 1,
}
_LAYERS = ["sliding_attention", "full_attention"] * 2
_YARN = {
    "type": "yarn",
    "factor": 2.0,
    "original_max_position_embeddings": 64,
    "mscale_all_dim": 0,
    "short_factor": [1.0],
    "long_factor": [1.0],
    "alpha": 1.0,
}
_ROPES = {kind: {"rope_theta": 10000.0} for kind in ("full_attention", "sliding_attention")}
_ROPE = {
    "rope_theta": 10000.0,
    "llama_4_scaling_beta": 0.1,
    "original_max_position_embeddings": 64,
}
_DELTA = {
    "kda_layers": [1, 2],
    "full_attn_layers": [3, 4],
    "num_heads": 4,
    "head_dim": 16,
    "short_conv_kernel_size": 4,
}

# Architecture -> the settings that its small network needs beside _SMALL.
_OWN: dict[str, dict[str, Any]] = {
    "afmoe": {"layer_types": _LAYERS},
    "apertus": {"qk_norm": True},
    "baichuan_m1": {"sliding_window_layers": [0], "conv_window": 2},
    "dbrx": {
        "ffn_config": {"ffn_hidden_size": 128, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
    },
    "cohere": {"use_qk_norm": True},
    "deepseek_v2": {"rope_scaling": _YARN, "topk_method": "greedy", "n_group": 1, "topk_group": 1},
    "exaone4": {"sliding_window_pattern": "LG"},
    "exaone_moe": {"is_moe_layer": [False, True] * 2, "layer_types": _LAYERS},
    "falcon_h1": {"mamba_rms_norm": True},
    "gemma4_text": {"num_hidden_layers": 10, "num_kv_shared_layers": 2},
    "gemma3n": {
        "text_config": {
            "layer_types": _LAYERS,
            "activation_sparsity_pattern": [0.0] * 4,
            "num_kv_shared_layers": 1,
        }
    },
    "gemma3": {"text_config": {}},
    "gemma4": {"text_config": {"num_hidden_layers": 10, "num_kv_shared_layers": 2}},
    "glm_moe_dsa": {"rope_parameters": _ROPE, "topk_method": "noaux_tc", "moe_layer_freq": 1},
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention"] * 2,
        "shared_intermediate_size": 64,
        "mamba_n_heads": 4,
        "mamba_d_head": 16,
        "mamba_d_state": 16,
        "mamba_d_conv": 4,
        "mamba_n_groups": 1,
        "mamba_conv_bias": True,
        "mamba_proj_bias": False,
    },
    "hunyuan": {"rope_scaling": _YARN, "cla_share_factor": 2, "use_qk_norm": True},
    "jamba": {
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "expert_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "kimi_k3": {
        "text_config": {
            "linear_attn_config": _DELTA,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 16,
            "v_head_dim": 16,
            "attn_res_block_size": 2,
            "activation_situ_beta": 1.0,
        }
    },
    "kimi_k25": {"text_config": {}},
    "kimi_vl": {"text_config": {}},
    "kimi_linear": {
        "linear_attn_config": _DELTA,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 16,
        "v_head_dim": 16,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2-vl": {"text_config": {"layer_types": ["conv", "full_attention"] * 2}},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "use_expert_bias": True},
    "llama4": {"text_config": {"interleave_moe_layer_step": 2, "num_experts_per_tok": 1}},
    "llama4_text": {"no_rope_layers": [1] * 4},
    "mellum": {"layer_types": _LAYERS, "rope_parameters": _ROPES},
    "mimo_v2_flash": {
        "hybrid_layer_pattern": [0, 1] * 2,
        "moe_layer_freq": [0, 1] * 2,
        "topk_method": "noaux_tc",
        "add_swa_attention_sink_bias": True,
    },
    "minicpm3": {"rope_scaling": _YARN},
    "minimax_m3_vl": {"text_config": {}},
    "ministral3": {"rope_parameters": _ROPE},
    "mistral3": {"text_config": {}},
    "muse_spark": {
        "text_config": {
            "rope_parameters": _ROPE,
            "layer_rope_theta": [1e4] * 4,
            "layer_types": _LAYERS,
        }
    },
    "nemotron-nas": {
        "block_configs": [
            {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 1.0}},
            {"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.0}},
        ]
        * 2
    },
    "nemotron_h": {"hybrid_override_pattern": ["M", "*", "E", "-"], "topk_method": "noaux_tc"},
    "openelm": {"num_query_heads": [4] * 4, "num_kv_heads": [2] * 4, "ffn_multipliers": [1.0] * 4},
    "pixtral": {"text_config": {}},
    "qwen2_vl": {"text_config": {}},
    "qwen3_5": {"text_config": {"num_experts": 0}},
    "qwen3_5_moe": {"text_config": {"shared_expert_intermediate_size": 32}},
    "qwen3_vl": {"text_config": {}},
    "qwen3_vl_moe": {"text_config": {}},
    "recurrent_gemma": {"block_types": ["recurrent", "recurrent", "attention"]},
    "spark2_5": {"rope_parameters": _ROPES},
    "stablelm": {"qk_layernorm": True},
}
# Which architecture's settings the language model inside another one has.
_INNER = {
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n.TextConfig",
    "gemma4": "gemma4_text",
    "lfm2-vl": "lfm2",
    "kimi_k3": "kimi_k3.TextArgs",
    "kimi_k25": "kimi_k25.TextConfig",
    "kimi_vl": "kimi_vl.TextArgs",
    "minimax_m3_vl": "minimax_m3_vl.TextArgs",
    "qwen3_5": "qwen3_5.TextModelArgs",
    "qwen3_5_moe": "qwen3_5.TextModelArgs",
    "llama4": "llama4.TextArgs",
    "mistral3": "llama",
    "muse_spark": "muse_spark.TextArgs",
    "pixtral": "llama",
    "qwen2_vl": "qwen2",
    "qwen3_vl": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
}


def names() -> list[str]:
    """Every architecture of the installed mlx-lm, by its module's name."""
    found = []
    for info in pkgutil.iter_modules(mlx_lm.models.__path__):
        if info.name in NOT_BUILT:
            found.append(info.name)
            continue
        module = _module(info.name)
        if hasattr(module, "Model") and hasattr(module, "ModelArgs"):
            found.append(info.name)
    return found


@lru_cache(maxsize=4)
def build(name: str) -> Module:
    """A small network of an architecture."""
    module = _module(name)
    settings = _filled(module.ModelArgs, _OWN.get(name, {}), name)
    if name in _INNER:
        inner, _, kind = _INNER[name].partition(".")
        fields = getattr(_module(inner), kind or "ModelArgs")
        settings["text_config"] = _filled(fields, _OWN.get(name, {}).get("text_config", {}), inner)
    model = module.Model(module.ModelArgs.from_dict(settings))
    complete_modules(model)
    return model


def _module(name: str) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module(f"mlx_lm.models.{name}")


def _filled(kind: Any, own: dict[str, Any], model_type: str) -> dict[str, Any]:
    """Settings for every field that has no default, by its name or else by its type."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    settings = {key: value for key, value in _SMALL.items() if key in fields} | own
    for name, field in fields.items():
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and name not in settings:
            settings[name] = model_type if name == "model_type" else _guess(str(field.type))
    return settings


def _guess(kind: str) -> Any:
    guesses = {"bool": False, "int": 4, "float": 1.0, "str": "silu"}
    return next((value for part, value in guesses.items() if part in kind), None)
