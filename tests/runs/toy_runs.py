"""Tiny real runs: a toy model, a corpus of some kilobytes, steps of a few milliseconds."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any

from cptstudio.corpus.build import build_corpus
from cptstudio.lm.description import model_hash
from cptstudio.run_files import CorpusRecord, RunConfig
from cptstudio.settings import parse_settings
from cptstudio.workspace import Workspace
from tests.toy_models import make_toy_model, text_sample


def make_toy_parts(base: Path) -> dict[str, Any]:
    """Make model and corpus below `base`; returns what configurations need to name them."""
    model = make_toy_model("llama-tied", base / "model", num_hidden_layers=1)
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
        "data": {"corpora": [{"name": "toy"}], "replay_share": 0.0, "context_length": 32},
        "length": f"{steps} steps",
        "method": {"kind": "full"},
        "optimizer": {"learning_rate": 1e-3},
        "schedule": {"warmup": "2 steps"},
        "batch": {"rows": 2},
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
