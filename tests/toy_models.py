"""Toy models for tests: real architectures and tokenizers with tiny dimensions and random weights.

`make_toy_model("llama", folder)` writes a complete model folder (config.json, model.safetensors,
tokenizer files) the way transformers publishes models, so mlx-lm and transformers both load it.
The tokenizer is a byte-level BPE trained on the running interpreter's own source files.

    folder = make_toy_model("qwen3", tmp_path / "qwen3")             # float32, seed 0
    folder = make_toy_model("llama-tied", tmp_path / "m", dtype="bfloat16")
"""

from __future__ import annotations

import json
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Any

VOCABULARY_SIZE = 512
CONTEXT_LIMIT = 128

END_OF_TEXT = "<|endoftext|>"
BEGIN_OF_TEXT = "<|begin_of_text|>"

# Standard library modules that every Python has; prose and code in about equal parts.
_TEXT_MODULES = ("argparse", "ast", "calendar", "configparser", "heapq", "random", "statistics")

_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_LIMIT,
}

# Name of the toy -> (transformers' model_type, settings that differ from _SMALL).
# A None removes a setting that the architecture does not know.
_CATALOGUE: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama-tied": ("llama", {"tie_word_embeddings": True}),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {"tie_word_embeddings": False, "head_dim": 8}),
    "qwen3-tied": ("qwen3", {"tie_word_embeddings": True, "head_dim": 8}),
    # mlx-lm's Gemma 2 knows no sliding window: the toy's is as long as its context.
    "gemma2": (
        "gemma2",
        {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": CONTEXT_LIMIT},
    ),
    # Gemma's embeddings are multiplied by the root of the hidden size, rounded to bfloat16 in
    # mlx-lm and to float32 in transformers; that of 64 is exact in both.
    "gemma3": (
        "gemma3_text",
        {
            "hidden_size": 64,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 16,
            # mlx-lm derives the pattern from this number, transformers from the layer types.
            "sliding_window_pattern": 2,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "phi3": ("phi3", {"tie_word_embeddings": False, "pad_token_id": 0}),
    "mistral": ("mistral", {"tie_word_embeddings": False, "sliding_window": None}),
    "smollm3": ("smollm3", {"tie_word_embeddings": True, "pad_token_id": 0}),
    "olmo2": ("olmo2", {"tie_word_embeddings": False}),
    # mlx-lm has one kind of GELU for each of these; transformers reads it from the configuration.
    "starcoder2": (
        "starcoder2",
        {"tie_word_embeddings": True, "sliding_window": None, "hidden_act": "gelu"},
    ),
    # mlx-lm's GPT-NeoX fixes the inner dimension at four times the outer one.
    "gpt_neox": (
        "gpt_neox",
        {
            "num_key_value_heads": None,
            "intermediate_size": 128,
            "hidden_act": "gelu_fast",
            "tie_word_embeddings": False,
        },
    ),
    "mixtral": (
        "mixtral",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
    "qwen3_moe": (
        "qwen3_moe",
        {
            # mlx-lm packs the router in groups of 64.
            "hidden_size": 64,
            "head_dim": 8,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "norm_topk_prob": True,
            "tie_word_embeddings": False,
        },
    ),
    "mamba": (
        "mamba",
        {
            "state_size": 4,
            "tie_word_embeddings": True,
            "intermediate_size": None,
            "num_attention_heads": None,
            "num_key_value_heads": None,
            "max_position_embeddings": None,
        },
    ),
    "recurrent_gemma": (
        "recurrent_gemma",
        {
            "num_hidden_layers": 3,
            "num_key_value_heads": 1,
            "hidden_size": 64,
            "attention_window_size": 64,
            "lru_width": 64,
            "block_types": ["recurrent", "recurrent", "attention"],
            "max_position_embeddings": None,
        },
    ),
}

ARCHITECTURES = tuple(_CATALOGUE)

# Toys that only some tests need, and so are no part of the matrices over ARCHITECTURES.
_CATALOGUE |= {
    "glm4_moe": (
        "glm4_moe",
        {
            "head_dim": 8,
            "n_routed_experts": 4,
            "n_shared_experts": 1,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "first_k_dense_replace": 1,
            "n_group": 1,
            "topk_group": 1,
            "norm_topk_prob": True,
            "routed_scaling_factor": 1.0,
            "use_qk_norm": True,
            "partial_rotary_factor": 0.5,
            "tie_word_embeddings": False,
        },
    ),
}

# Architectures whose tokenizer begins a document with a token of its own.
_WITH_BEGIN_TOKEN = {"llama", "llama-tied", "mistral", "gemma2", "gemma3", "recurrent_gemma"}


def import_torch() -> Any:
    """PyTorch on one thread: toys are too small to share, and threads wait for busy cores."""
    import torch

    torch.set_num_threads(1)
    return torch


@lru_cache(maxsize=1)
def text_sample() -> tuple[str, ...]:
    """Documents of real text, the same in every call: source files of the running interpreter."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return tuple((library / f"{name}.py").read_text(encoding="utf-8") for name in _TEXT_MODULES)


@lru_cache(maxsize=2)
def _tokenizer_json(with_begin_token: bool) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    specials = [END_OF_TEXT] + ([BEGIN_OF_TEXT] if with_begin_token else [])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text_sample(), trainer)
    if with_begin_token:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN_OF_TEXT} $A",
            special_tokens=[(BEGIN_OF_TEXT, tokenizer.token_to_id(BEGIN_OF_TEXT))],
        )
    return str(tokenizer.to_str())


def save_toy_tokenizer(folder: Path, *, with_begin_token: bool = False) -> None:
    """Write the files of a byte-level BPE tokenizer with 512 entries into `folder`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_json(with_begin_token)),
        eos_token=END_OF_TEXT,
        bos_token=BEGIN_OF_TEXT if with_begin_token else None,
        model_max_length=CONTEXT_LIMIT,
    )
    tokenizer.save_pretrained(folder)


def make_toy_model(
    name: str, folder: Path, *, seed: int = 0, dtype: str = "float32", **changes: Any
) -> Path:
    """Write the toy `name` (one of ARCHITECTURES) as a model folder and return that folder.

    `changes` override settings of the configuration. A folder that is already there is kept, so a
    session-wide cache folder can be shared by tests that only read.
    """
    if (folder / "config.json").exists():
        return folder
    from transformers import AutoConfig, AutoModelForCausalLM

    torch = import_torch()
    model_type, own = _CATALOGUE[name]
    settings = {k: v for k, v in (_SMALL | own | changes).items() if v is not None}
    with_begin_token = name in _WITH_BEGIN_TOKEN
    settings["eos_token_id"] = 0
    settings["bos_token_id"] = 1 if with_begin_token else 0
    settings["dtype"] = dtype
    if "sliding_window" in own and own["sliding_window"] is None:
        settings["sliding_window"] = None
    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type, **settings)
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            # Biases and norms start at 0 or 1 in a fresh model; a trained one has neither.
            if parameter.ndim == 1 and "A_log" not in parameter_name:
                parameter.add_(0.02 * torch.randn_like(parameter))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    save_toy_tokenizer(folder, with_begin_token=with_begin_token)
    _add_what_mlx_lm_reads(folder, name)
    return folder


def _add_what_mlx_lm_reads(folder: Path, name: str) -> None:
    # Published configurations carry fields that a freshly made transformers configuration
    # leaves out (or moved), and that mlx-lm requires.
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if name == "gpt_neox":
        rope = config.get("rope_parameters") or {}
        config.setdefault("rotary_pct", rope.get("partial_rotary_factor", 0.25))
        config.setdefault("rotary_emb_base", int(rope.get("rope_theta", 10000)))
    if name == "glm4_moe":
        config |= {"rope_scaling": None, "partial_rotary_factor": 0.5}
    if name == "qwen3_moe":
        config.setdefault("num_experts", config.get("num_local_experts"))
    if "rope_theta" not in config and isinstance(config.get("rope_parameters"), dict):
        theta = config["rope_parameters"].get("rope_theta")
        if theta is not None:
            config["rope_theta"] = theta
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def make_toy_image_model(folder: Path) -> Path:
    """Write a Gemma 3 that also sees images; mlx-lm loads its language model alone."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    torch = import_torch()
    text = _SMALL | _CATALOGUE["gemma3"][1]
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=4,
        boi_token_index=500,
        eoi_token_index=501,
        image_token_index=502,
    )
    torch.manual_seed(0)
    Gemma3ForConditionalGeneration(config).float().save_pretrained(folder)
    save_toy_tokenizer(folder, with_begin_token=True)
    path = folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["vocab_size"] = VOCABULARY_SIZE
    settings["text_config"]["sliding_window_pattern"] = 2
    path.write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")
    return folder
