"""A small model of every architecture that mlx-lm and transformers share, saved by transformers.

Nothing is added to what `save_pretrained` writes, so that these folders are what a user has who
saved a model with the installed transformers. The networks are small but not degenerate: weights
of the size that trained ones have, so that attention is far from uniform; a RoPE base that is no
library's default; a partial rotary factor where the architecture has one; sliding windows shorter
than the text. What is read wrongly shows.

    save_shared_architecture("glm4", folder)
    save_shared_architecture("llama", folder, rope={"rope_type": "yarn", "factor": 4.0})
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.toy_models import import_torch, save_toy_tokenizer

VOCABULARY_SIZE = 512
TOKENS = 288
"""Length of the text that is compared: longer than every window and original context below."""

BASE = 43_210.0
LOCAL_BASE = 1_234.0
ORIGINAL_CONTEXT = 128

# What a configuration gets for each of these names that it knows.
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "vocab_size_per_layer_input": VOCABULARY_SIZE,
    "hidden_size": 64,
    "d_model": 64,
    "n_embd": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_layers": 2,
    "n_layers": 4,
    "n_layer": 4,
    "num_attention_heads": 4,
    "n_heads": 4,
    "n_head": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "n_positions": 512,
    "max_seq_len": 512,
    "initializer_range": 0.15,
    "sliding_window": 40,
    # Mixtures of experts.
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "moe_num_experts": 8,
    "n_shared_experts": 1,
    "num_shared_experts": 1,
    "num_experts_per_tok": 2,
    "num_experts_per_token": 2,
    "moe_k": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
    "shared_intermediate_size": 48,
    "first_k_dense_replace": 1,
    # Attention over compressed keys and values.
    "q_lora_rank": 24,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    # Tokens of their own must be inside the small vocabulary.
    "bos_token_id": 1,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "depth": 1,
    "num_attention_heads": 2,
    "num_heads": 2,
    "embed_dim": 32,
    "image_size": 28,
    "patch_size": 14,
    "out_hidden_size": 64,
}


@dataclass(frozen=True)
class Architecture:
    """How to make a small model of one architecture.

    Attributes:
        settings: of the (text) configuration, beside `_SIZES`.
        outer: of the configuration around the text's, for models that also see images.
        partial: share of a head that is rotated, where the architecture has one.
        per_layer: RoPE by kind of layer.
        local_base: RoPE base of the layers with a sliding window, where there are several.
        unbuilt: why transformers cannot make it here, with what it says.
        refused: what we say where mlx-lm's network is another one, in part.
        differs: why the numbers differ by more than 1e-3 although the model is used.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    outer: dict[str, Any] = field(default_factory=dict)
    partial: float | None = None
    per_layer: bool = False
    rope: bool | dict[str, Any] = True
    local_base: float = LOCAL_BASE
    unbuilt: str | None = None
    refused: str | None = None
    differs: str | None = None


_ALTERNATING = ["sliding_attention", "full_attention"] * 2
_THREE_TO_ONE = ["sliding_attention"] * 3 + ["full_attention"]

# Attention over compressed keys and values: as many key as query heads, of the rotated size.
_MISTRAL_YARN = {
    "rope_type": "yarn",
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 128,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "llama_4_scaling_beta": 0.1,
    "max_position_embeddings": 512,
}

_MLA: dict[str, Any] = {"num_key_value_heads": 4, "head_dim": 8, "n_group": 1, "topk_group": 1}
# Few indexing heads would give many tokens a score of exactly 0, and ties are broken by chance.
_INDEXED: dict[str, Any] = {"index_n_heads": 32, "index_head_dim": 16, "index_topk": 64}

A = Architecture
ARCHITECTURES: dict[str, Architecture] = {
    "afmoe": A({"layer_types": _THREE_TO_ONE}),
    "apertus": A(),
    # transformers saves the network that mlx-lm calls bailing_moe_v3.
    "bailing_hybrid": A(
        _MLA
        | {
            "rope_theta": BASE,
            "num_expert_group": 1,
            "layer_group_size": 2,
            "layer_types": ["linear_attention", "full_attention"] * 2,
        },
        refused="group_norm_size",
    ),
    # mlx-lm knows packed weights alone, transformers saved unpacked ones.
    "bitnet": A(refused="weight_scale"),
    "cohere": A(),
    "cohere2": A({"layer_types": _THREE_TO_ONE}),
    # transformers 5.23 cannot build its own class.
    "dbrx": A(unbuilt="has no attribute 'rope_theta'"),
    "deepseek_v2": A(_MLA),
    "deepseek_v3": A(_MLA),
    "deepseek_v32": A(_MLA | _INDEXED),
    "dots1": A(),
    "ernie4_5": A(),
    "ernie4_5_moe": A(),
    "exaone4": A({"layer_types": _THREE_TO_ONE}),
    "exaone_moe": A({"layer_types": _THREE_TO_ONE, "n_group": 1, "topk_group": 1}),
    "falcon_h1": A(),
    "falcon_mamba": A(rope=False),
    "gemma": A(differs="mlx-lm computes the exact GELU, the model was trained with its tanh form"),
    "gemma2": A({"sliding_window": 512}),
    "gemma3": A({"layer_types": _ALTERNATING}, per_layer=True),
    "gemma3_text": A({"layer_types": _ALTERNATING}, per_layer=True),
    "gemma3n": A(
        {
            "layer_types": _ALTERNATING,
            "num_kv_shared_layers": 0,
            "activation_sparsity_pattern": [0.0] * 4,
            "intermediate_size": [96] * 4,
        },
        per_layer=True,
    ),
    "gemma4": A({"layer_types": _ALTERNATING}, per_layer=True),
    "gemma4_text": A({"layer_types": _ALTERNATING}, per_layer=True),
    "gemma4_unified": A({"layer_types": _ALTERNATING}, per_layer=True),
    "glm": A(partial=0.5, refused="always rotates whole heads"),
    "glm4": A(partial=0.75),
    "glm4_moe": A(partial=0.75),
    "glm4_moe_lite": A(_MLA),
    "glm_moe_dsa": A(_MLA | _INDEXED),
    "gpt2": A(rope=False),
    "gpt_bigcode": A(
        rope=False,
        differs="mlx-lm computes the exact GELU, the model was trained with its tanh form",
    ),
    "gpt_neox": A({"intermediate_size": 256, "hidden_act": "gelu_fast"}, partial=0.75),
    "gpt_oss": A({"layer_types": _ALTERNATING}),
    "gptj": A({"rotary_dim": 12}, rope=False),
    "granite": A(),
    "granitemoe": A(),
    "granitemoehybrid": A(
        {
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "mamba_n_heads": 8,
            "mamba_d_head": 16,
            "mamba_d_state": 16,
            "position_embedding_type": "rope",
        }
    ),
    "helium": A(),
    "hunyuan_v1_dense": A(),
    "internlm3": A(),
    "iquestcoder": A(),
    "jamba": A(
        {
            "num_experts": 1,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
        },
        rope=False,
    ),
    "kimi_k25": A(_MLA, outer={"tie_word_embeddings": False}),
    "kimi_linear": A(
        {
            "num_key_value_heads": 4,
            "q_lora_rank": None,
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "linear_head_dim": 16,
            "linear_num_heads": 4,
        },
        rope=False,
    ),
    "laguna": A({"layer_types": _ALTERNATING}, per_layer=True),
    "lfm2": A({"layer_types": ["conv", "full_attention"] * 2, "full_attn_idxs": None}),
    "lfm2_moe": A({"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1}),
    "llama": A(),
    "llama4": A({"num_experts_per_tok": 1, "intermediate_size_mlp": 96}),
    "llama4_text": A(
        {
            "num_experts_per_tok": 1,
            "intermediate_size_mlp": 96,
            "moe_layers": [],
            "no_rope_layers": [1, 1, 1, 1],
            "tie_word_embeddings": True,
        }
    ),
    "llava": A(),
    # transformers saves weights for experts that only pass their input on.
    "longcat_flash": A(
        _MLA
        | {
            "ffn_hidden_size": 96,
            "expert_ffn_hidden_size": 32,
            "moe_topk": 2,
            "zero_expert_num": 2,
        },
        refused="parameters not in model",
    ),
    "mamba": A(rope=False),
    "mamba2": A({"num_heads": 8, "head_dim": 16, "n_groups": 1, "state_size": 16}, rope=False),
    "mellum": A({"layer_types": _ALTERNATING}, per_layer=True),
    # The two count the sliding window differently: one of them by one token more.
    "mimo_v2_flash": A(per_layer=True, partial=0.5, refused="hybrid_layer_pattern"),
    "minicpm3": A(_MLA | {"tie_word_embeddings": False}),
    # MiniMax M1 in transformers, M2 in mlx-lm.
    "minimax": A(refused="rotary_dim"),
    "minimax_m2": A(),
    "minimax_m3_vl": A({"rotary_dim": 8, "dense_intermediate_size": 96}, partial=0.5),
    "ministral3": A(
        {"sliding_window": None},
        rope=_MISTRAL_YARN,
    ),
    "mistral": A({"sliding_window": None}),
    "mistral3": A({"sliding_window": None}),
    "mistral4": A(
        _MLA | {"head_dim": 24},
        rope=_MISTRAL_YARN,
    ),
    "mixtral": A({"sliding_window": None}),
    "muse_glimmer": A(),
    "nanochat": A(
        differs="mlx-lm divides by the root of the mean square plus 1e-5, whatever the config"
    ),
    "nemotron": A(partial=0.75),
    "nemotron_h": A(
        {
            "mamba_num_heads": 8,
            "mamba_head_dim": 16,
            "ssm_state_size": 16,
            "n_groups": 1,
            "moe_shared_expert_intermediate_size": 48,
            "time_step_min": 1e-6,
        },
        rope=False,
    ),
    # mlx-lm reads the layout of ai2-olmo alone.
    "olmo": A(refused="another library"),
    "olmo2": A(),
    "olmo3": A({"layer_types": _THREE_TO_ONE}, per_layer=True, local_base=BASE),
    "olmo_hybrid": A(),
    "olmoe": A(),
    "phi": A(partial=0.75),
    "phi3": A({"sliding_window": None}, partial=0.75),
    "phimoe": A({"sliding_window": None, "attention_bias": True, "lm_head_bias": True}),
    "qwen2": A(),
    "qwen2_5_vl": A(rope={"mrope_section": [2, 3, 3]}),
    "qwen2_moe": A(),
    "qwen2_vl": A(rope={"mrope_section": [2, 3, 3]}),
    "qwen3": A(),
    "qwen3_5": A(partial=0.5),
    "qwen3_5_moe": A(partial=0.5),
    "qwen3_moe": A(),
    "qwen3_next": A(partial=0.5),
    "qwen3_vl": A(),
    "qwen3_vl_moe": A({"moe_intermediate_size": 24}),
    "recurrent_gemma": A(
        {
            "num_key_value_heads": 1,
            "lru_width": 64,
            "num_hidden_layers": 3,
            "attention_window_size": 40,
        },
        rope={"rope_theta": 10_000.0},
        partial=0.5,
    ),
    "seed_oss": A(),
    "smollm3": A(),
    "solar_open": A(),
    "stablelm": A(partial=0.75),
    "starcoder2": A({"sliding_window": None, "hidden_act": "gelu"}),
}


LEFT_OUT = {
    "muse_spark": "its encoders for images and sound list a size for each layer: 7.5 GB at least",
    "pixtral": "transformers has its encoder of images alone, no language model",
    "step3p5": "transformers has its configuration alone, no network",
}
"""Architectures that both libraries name, and why no small model of theirs can be compared."""


class NotBuiltError(Exception):
    """transformers itself cannot make or compute a model; the message is its own."""


@contextmanager
def building() -> Iterator[None]:
    """Around what transformers does alone, so that faults of ours are not taken for its own."""
    try:
        yield
    except Exception as error:
        raise NotBuiltError(f"{type(error).__name__}: {error}") from error


def shared_architectures() -> set[str]:
    """Return the model types that the installed mlx-lm and transformers both know."""
    import mlx_lm.models
    from mlx_lm.utils import MODEL_REMAPPING
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    networks = Path(mlx_lm.models.__path__[0])
    return {
        name
        for name in CONFIG_MAPPING_NAMES
        if (networks / f"{MODEL_REMAPPING.get(name, name)}.py").is_file()
    }


def configuration(name: str, rope: dict[str, Any] | None = None) -> Any:
    """Return transformers' configuration of the small model `name`."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    given = ARCHITECTURES[name]
    config_class = CONFIG_MAPPING[name]
    known = config_class().to_dict()
    text = known.get("text_config")
    if not isinstance(text, dict):
        flat = _settings(known, given, rope)
        with building():
            return config_class(**flat)
    settings = {"text_config": {"model_type": text["model_type"], **_settings(text, given, rope)}}
    for part in ("vision_config", "audio_config"):
        if isinstance(known.get(part), dict):
            sizes = {key: value for key, value in _VISION.items() if key in known[part]}
            settings[part] = {"model_type": known[part]["model_type"], **sizes}
    with building():
        return config_class(**settings | given.outer)


def _settings(
    known: dict[str, Any], given: Architecture, rope: dict[str, Any] | None
) -> dict[str, Any]:
    settings = {key: value for key, value in _SIZES.items() if key in known}
    if given.rope:
        own = given.rope if isinstance(given.rope, dict) else {}
        one = {"rope_type": "default", "rope_theta": BASE} | own | (rope or {})
        if given.partial is not None:
            one["partial_rotary_factor"] = given.partial
        settings["rope_parameters"] = one
        if given.per_layer:
            local = {"rope_type": "default", "rope_theta": given.local_base}
            if given.partial is not None:
                local["partial_rotary_factor"] = given.partial
            settings["rope_parameters"] = {"full_attention": one, "sliding_attention": local}
    # A setting that only the architectures beside it know is left out.
    return settings | {k: v for k, v in given.settings.items() if k in known or k not in _MLA}


def save_shared_architecture(
    name: str, folder: Path, *, rope: dict[str, Any] | None = None, tokenizer: bool = True
) -> Any:
    """Save the small model `name` as transformers does; return its network."""
    import transformers

    torch = import_torch()
    torch.manual_seed(0)
    config = configuration(name, rope)
    class_name = _class_name(name)
    network_class = getattr(transformers, class_name, None)
    if network_class is None:
        module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        network_class = getattr(module, class_name)
    text_alone = name == "gemma3n"
    if text_alone:
        # Its image encoder needs timm, which is not installed: the language model alone is made.
        network_class, config = transformers.Gemma3nForCausalLM, config.text_config
    with building():
        model = network_class(config).float().eval()
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            # Biases and norms start at 0 or 1 in a fresh model; a trained one has neither.
            if parameter.ndim == 1 and "A_log" not in parameter_name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if text_alone:
        _put_inside(folder, name)
    if tokenizer:
        save_toy_tokenizer(folder, with_begin_token=False)
    return model


def _put_inside(folder: Path, name: str) -> None:
    """Turn a saved language model into one that also sees images, without that part."""
    from safetensors.torch import load_file, save_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    outer = {"model_type": name, "text_config": config, "tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(outer), encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    inside = {
        re.sub("^model", "model.language_model", key): value for key, value in weights.items()
    }
    save_file(inside, folder / "model.safetensors", metadata={"format": "pt"})


def _class_name(name: str) -> str:
    from transformers.models.auto import modeling_auto

    for names in (
        modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    ):
        found = names.get(name)
        if found:
            return str(found)
    raise KeyError(name)


def transformers_log_probabilities(model: Any, tokens: list[int]) -> Any:
    """Return the log-probabilities of a network of transformers: float32, [tokens, vocabulary]."""
    torch = import_torch()
    with torch.no_grad():
        with building():
            logits = model(input_ids=torch.tensor([tokens])).logits[0].float()
        return torch.log_softmax(logits, dim=-1).numpy()
