"""Tiny real runs: a toy model, a corpus of some kilobytes, steps of a few milliseconds."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from cptstudio.corpus.build import build_corpus
from cptstudio.lm.identity import model_hash
from cptstudio.run_files import CorpusRecord, RunConfig
from cptstudio.settings import parse_settings
from cptstudio.workspace import Workspace
from tests.toy_models import _tokenizer_json, text_sample

_HIDDEN, _INNER, _HEADS, _KEY_HEADS, _VOCABULARY = 32, 64, 4, 2, 512


def write_toy_model(folder: Path) -> Path:
    """A one-block Llama with random weights, written without importing torch (seconds)."""
    folder.mkdir(parents=True)
    head = _HIDDEN // _HEADS
    shapes = {
        "model.embed_tokens.weight": (_VOCABULARY, _HIDDEN),
        "model.layers.0.input_layernorm.weight": (_HIDDEN,),
        "model.layers.0.post_attention_layernorm.weight": (_HIDDEN,),
        "model.layers.0.self_attn.q_proj.weight": (_HIDDEN, _HIDDEN),
        "model.layers.0.self_attn.k_proj.weight": (_KEY_HEADS * head, _HIDDEN),
        "model.layers.0.self_attn.v_proj.weight": (_KEY_HEADS * head, _HIDDEN),
        "model.layers.0.self_attn.o_proj.weight": (_HIDDEN, _HIDDEN),
        "model.layers.0.mlp.gate_proj.weight": (_INNER, _HIDDEN),
        "model.layers.0.mlp.up_proj.weight": (_INNER, _HIDDEN),
        "model.layers.0.mlp.down_proj.weight": (_HIDDEN, _INNER),
        "model.norm.weight": (_HIDDEN,),
    }
    random = np.random.default_rng(0)
    weights = {
        name: (random.normal(0, 0.02, shape) + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes.items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _HIDDEN,
        "intermediate_size": _INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KEY_HEADS,
        "vocab_size": _VOCABULARY,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 0,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(_tokenizer_json(with_begin_token=True))
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|endoftext|>",
        "model_max_length": 128,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def make_toy_parts(base: Path) -> dict[str, Any]:
    """Make model and corpus below `base`; returns what configurations need to name them."""
    model = write_toy_model(base / "model")
    sources = base / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(text_sample()):
        for start in range(0, min(len(text), 30_000), 1500):
            (sources / f"{number}-{start}.txt").write_text(text[start : start + 1500])
    corpus = build_corpus(base / "corpora" / "toy", [sources], model_path=model).corpus
    store = corpus.token_store()
    parts = {
        "model_path": str(model),
        "model_hash": model_hash(model),
        "corpus": {
            "name": "toy",
            "path": str(corpus.path),
            "fingerprint": store.fingerprint,
            "tokenizer_hash": corpus.tokenizer_hashes()[0],
        },
    }
    (base / "parts.json").write_text(json.dumps(parts))
    return parts


def toy_config(parts: dict[str, Any], name: str, steps: int, **changes: Any) -> RunConfig:
    """A resolved configuration that trains `steps` steps, with a checkpoint every tenth.

    `changes` are groups of settings, such as checkpoints={"every": "5 steps"}.
    """
    tree: dict[str, Any] = {
        "model": {"path": parts["model_path"]},
        "data": {"corpora": [{"name": "toy"}], "replay_share": 0.0, "sequence_length": 32},
        "length": f"{steps} steps",
        "method": {"kind": "full"},
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {"warmup": "2 steps"},
        "batch": {"size": 2},
        "evaluation": {"every": f"{steps} steps", "max_tokens": 200},
        "checkpoints": {"every": "10 steps"},
        "compute": {"threads": 1, "fast_blas": False, "compile": False},
    }
    for group, values in changes.items():
        tree[group] = tree[group] | values if isinstance(values, dict) else values
    return RunConfig(
        name=name,
        created=time.time(),
        settings=parse_settings(tree),
        model_path=parts["model_path"],
        model_hash=parts["model_hash"],
        corpora=(CorpusRecord(**parts["corpus"]),),
        versions={"python": platform.python_version()},
        machine={"system": platform.system()},
    )


def new_workspace(base: Path) -> Workspace:
    """An empty workspace; nothing of it exists yet."""
    return Workspace(base / "workspace")
