"""The model that all tools train: a Qwen3 of 13.8M parameters with random weights.

It is a real model folder (configuration, weights, tokenizer) as transformers publishes them. The
tokenizer is a byte-level BPE of 8,192 pieces trained on the documents. For the larger
vocabularies only the model's embedding grows, as in published models whose embedding has more
rows than the tokenizer has pieces: so the token sequences are the same for all of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import ByteLevelBPETokenizer

TOKENIZER_PIECES = 8192
END_OF_TEXT = "<|endoftext|>"
HIDDEN = 320
LAYERS = 8
HEADS = 5
HEAD_SIZE = 64
INNER = 1024


def configuration(vocabulary: int) -> dict[str, object]:
    """config.json of the model."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_SIZE,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 0,
        "torch_dtype": "float32",
    }


def weights(vocabulary: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random float32 weights under transformers' names; matrices are [out, in], norms one."""
    generator = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        values = generator.standard_normal((rows, columns), dtype=np.float32)
        return values * np.float32(0.02)

    width = HEADS * HEAD_SIZE
    tensors = {
        "model.embed_tokens.weight": matrix(vocabulary, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, dtype=np.float32),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = np.ones(HIDDEN, dtype=np.float32)
        for name in ("q_norm", "k_norm"):
            tensors[f"{prefix}self_attn.{name}.weight"] = np.ones(HEAD_SIZE, dtype=np.float32)
        for name in ("q_proj", "k_proj", "v_proj"):
            tensors[f"{prefix}self_attn.{name}.weight"] = matrix(width, HIDDEN)
        tensors[f"{prefix}self_attn.o_proj.weight"] = matrix(HIDDEN, width)
        for name in ("gate_proj", "up_proj"):
            tensors[f"{prefix}mlp.{name}.weight"] = matrix(INNER, HIDDEN)
        tensors[f"{prefix}mlp.down_proj.weight"] = matrix(HIDDEN, INNER)
    return tensors


def train_tokenizer(documents: list[str]) -> ByteLevelBPETokenizer:
    """A byte-level BPE of `TOKENIZER_PIECES` pieces; its first piece ends a document."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        documents,
        vocab_size=TOKENIZER_PIECES,
        special_tokens=[END_OF_TEXT],
        show_progress=False,
    )
    return tokenizer


def write_model(folder: Path, tokenizer: ByteLevelBPETokenizer, vocabulary: int) -> None:
    """Write the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration(vocabulary), indent=2))
    save_file(weights(vocabulary), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": END_OF_TEXT,
                "pad_token": END_OF_TEXT,
                "model_max_length": 4096,
            }
        )
    )


def training_operations(method: str, vocabulary: int, context: int, rank: int) -> float:
    """Floating-point operations that one target token of a full row needs in training.

    Products only: forward 2 per weight, backward 2 for the input's gradient and 2 for the
    weight's (a frozen weight needs no gradient of its own). Attention counts the causal half
    of the square, which is all that a row needs.
    """
    block = 4 * HIDDEN * HEADS * HEAD_SIZE + 3 * HIDDEN * INNER
    base = LAYERS * block
    head = vocabulary * HIDDEN
    attention = 6 * LAYERS * HEADS * HEAD_SIZE * context
    if method == "full":
        return 6 * (base + head) + attention
    per_block = 4 * (HIDDEN + HEADS * HEAD_SIZE) + 3 * (HIDDEN + INNER)
    adapters = LAYERS * rank * per_block
    return 4 * (base + head) + 6 * adapters + attention
