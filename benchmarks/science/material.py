"""What the experiments are made of: two corpora, a byte-level tokenizer, a random model.

Everything comes from the running Python: its documentation is the general text, its library's
source without that documentation the domain (see `cptstudio.demo`).
"""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from cptstudio import demo
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.workspace import Workspace

DOMAIN = demo.DOMAIN
GENERAL = demo.GENERAL
CONTEXT = 128
END_OF_TEXT = "<|endoftext|>"
VOCABULARY = 257
SMALLEST_DOCUMENT = 200
HELD_OUT = BuildSettings(validation=0.02, test=0.06)
HIDDEN = 96
LAYERS = 4
HEADS = 3
INNER = 224
ARCHITECTURE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": HIDDEN // HEADS,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": VOCABULARY - 1,
    "torch_dtype": "float32",
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte of UTF-8, and one that ends a document."""
    # With the alphabet as its whole vocabulary and no merges, BPE leaves single bytes.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: number for number, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END_OF_TEXT, model_max_length=CONTEXT
    )


def random_weights(seed: int) -> dict[str, NDArray[np.float32]]:
    """Small normal weights (GPT-2's initialisation) under transformers' names, [out, in]."""
    generator = np.random.default_rng(seed)
    to_residual = 0.02 / np.sqrt(2 * LAYERS)

    def matrix(rows: int, columns: int, scale: float = 0.02) -> NDArray[np.float32]:
        values = generator.standard_normal((rows, columns), dtype=np.float32)
        return values * np.float32(scale)

    tensors = {
        "model.embed_tokens.weight": matrix(VOCABULARY, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, dtype=np.float32),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = np.ones(HIDDEN, dtype=np.float32)
        for name in ("q_norm", "k_norm"):
            tensors[f"{prefix}self_attn.{name}.weight"] = np.ones(HIDDEN // HEADS, dtype=np.float32)
        for name in ("q_proj", "k_proj", "v_proj"):
            tensors[f"{prefix}self_attn.{name}.weight"] = matrix(HIDDEN, HIDDEN)
        tensors[f"{prefix}self_attn.o_proj.weight"] = matrix(HIDDEN, HIDDEN, to_residual)
        for name in ("gate_proj", "up_proj"):
            tensors[f"{prefix}mlp.{name}.weight"] = matrix(INNER, HIDDEN)
        tensors[f"{prefix}mlp.down_proj.weight"] = matrix(HIDDEN, INNER, to_residual)
    return tensors


def make_random_model(folder: Path, seed: int) -> Path:
    """Write a model folder with random weights, unless it is there; returns it."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_tokenizer().save_pretrained(folder)
        save_file(random_weights(seed), folder / "model.safetensors", metadata={"format": "pt"})
        text = json.dumps(ARCHITECTURE, indent=2) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
    return folder


def make_corpora(
    workspace: Workspace, model: Path, documents: int | None = None
) -> dict[str, Corpus]:
    """The general and the domain corpus, tokenised for the model; kept when they are there.

    Args:
        workspace: where they and their sources are put.
        model: its tokenizer is used.
        documents: take the first so many of each only.
    """
    for name, texts in ((GENERAL, demo.documentation()), (DOMAIN, demo.source_code())):
        if name in workspace.corpus_names():
            continue
        folder = workspace.make(workspace.root / "sources" / name)
        for file_name, text in islice(texts, documents):
            if len(text) >= SMALLEST_DOCUMENT:
                (folder / file_name).write_text(text, encoding="utf-8")
        build_corpus(workspace.corpus(name), [folder], HELD_OUT, model)
    return {name: open_corpus(workspace.corpus(name)) for name in (GENERAL, DOMAIN)}


def make_little_corpus(
    workspace: Workspace, model: Path, domain: Corpus, seed: int, text_bytes: int
) -> str:
    """A corpus of about so many bytes of the domain's training side; returns its name.

    Which documents it has is decided by a hash of their text and the seed. What does not fit
    any more is passed over, so that all of them are whole.
    """
    name = f"little-{text_bytes}-{seed}"
    if name in workspace.corpus_names():
        return name
    store = domain.token_store()
    documents = domain.documents
    texts = [
        documents.text(int(store.documents[position])) for position in store.documents_of("train")
    ]
    documents.close()
    texts.sort(key=lambda text: hashlib.sha256(f"{seed}\n{text}".encode()).digest())
    folder = workspace.make(workspace.root / "sources" / name)
    left = text_bytes
    for number, text in enumerate(texts):
        size = len(text.encode())
        if size <= left:
            (folder / f"{number:05d}.py").write_text(text, encoding="utf-8", newline="")
            left -= size
    build_corpus(workspace.corpus(name), [folder], BuildSettings(validation=0, test=0), model)
    return name
