"""Models whose next token is known by construction: what they say, and when they stop.

Their blocks add nothing, and embeddings are unit vectors, so the head alone decides: its entry
[next, token] is the score of what comes next. In float32 all of their numbers are exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORDS = ("<unk>", "<|turn|>", "<|answer|>", "<|end|>", "la", "li", "stop", "me")
WIDTH = 8
TEMPLATE = (
    "{% for message in messages %}<|turn|> {{ message.content }} <|end|> {% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)
Scores = Mapping[tuple[str, str], float]
"""Of (token, next token)."""
SINGS: Scores = {("<|answer|>", "la"): 1.0, ("la", "li"): 1.0, ("li", "la"): 1.0}
"""Says la li la li, and never stops."""
CPT: Scores = {("li", "la"): 0.5, ("la", "me"): -0.25}
"""What continued pre-training changes: "la" is likelier after "li" by a half."""
STOPS: Scores = {("li", "<|end|>"): 2.0}
"""What the instruct model adds to its base: it ends after "li". With CPT's 1.5 for "la", at
strength s the end has 2 s, so an answer stops when s is above 0.75, and not below."""


def head(*changes: Scores) -> NDArray[np.float32]:
    """The head of the sum of changes, [next, token]."""
    found = np.zeros((len(WORDS), WIDTH), dtype=np.float32)
    for change in changes:
        for (token, following), score in change.items():
            found[WORDS.index(following), WORDS.index(token)] += score
    return found


def make_toy(folder: Path, *changes: Scores, template: bool = True) -> Path:
    """Write a model of one Llama block; returns its folder."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        unk_token="<unk>",
        additional_special_tokens=["<|turn|>", "<|answer|>"],
        chat_template=TEMPLATE if template else None,
    )
    fast.save_pretrained(folder)
    block = "model.layers.0."
    tensors = {
        "model.embed_tokens.weight": np.eye(len(WORDS), WIDTH, dtype=np.float32),
        "model.norm.weight": np.ones(WIDTH, dtype=np.float32),
        "lm_head.weight": head(*changes),
        f"{block}input_layernorm.weight": np.ones(WIDTH, dtype=np.float32),
        f"{block}post_attention_layernorm.weight": np.ones(WIDTH, dtype=np.float32),
    }
    for name in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o"):
        tensors[f"{block}{name}_proj.weight"] = np.zeros((WIDTH, WIDTH), dtype=np.float32)
    for name in ("mlp.gate", "mlp.up", "mlp.down"):
        tensors[f"{block}{name}_proj.weight"] = np.zeros((WIDTH, WIDTH), dtype=np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(WORDS),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": WIDTH,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "eos_token_id": WORDS.index("<|end|>"),
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
