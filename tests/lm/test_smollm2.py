"""A real small model, SmolLM2-135M as transformers 5 saves it: scored, trained and written right.

`CPT_STUDIO_SMOLLM2` names its folder: config.json with `rope_parameters` and no `rope_theta`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.lm.loading import LoadedModel, load_for_inference
from tests.lm.small_runs import prepare, text_batch, train
from tests.lm.test_same_as_transformers import log_probabilities, read_by_transformers, text
from tests.saved_weights import save_weights
from tests.toy_models import text_sample

FOLDER = os.environ.get("CPT_STUDIO_SMOLLM2", "")
TOLERANCE = 1e-3
TOKENS = 192

pytestmark = [
    pytest.mark.slow,
    pytest.mark.bench,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not FOLDER, reason="CPT_STUDIO_SMOLLM2 names no folder of SmolLM2"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def bits_per_byte(loaded: LoadedModel) -> float:
    tokens = loaded.tokenizer.encode(text_sample()[0])[:TOKENS]
    scores = log_probabilities(loaded.model, tokens)[:-1]
    nats = -scores[np.arange(len(tokens) - 1), tokens[1:]].sum()
    written = len(loaded.tokenizer.decode(tokens[1:]).encode())
    return float(nats / np.log(2) / written)


def test_it_scores_as_with_the_former_names(tmp_path: Path) -> None:
    base = Path(FOLDER)
    config: dict[str, Any] = json.loads((base / "config.json").read_text())
    assert "rope_theta" not in config
    shutil.copytree(base, tmp_path / "former")
    former = config | {"rope_theta": config["rope_parameters"]["rope_theta"]}
    del former["rope_parameters"]
    (tmp_path / "former" / "config.json").write_text(json.dumps(former))
    present = bits_per_byte(load_for_inference(base, compute_dtype=mx.float32))
    again = bits_per_byte(load_for_inference(tmp_path / "former", compute_dtype=mx.float32))
    print(f"bits per byte: {present:.4f}, with rope_theta at the top level {again:.4f}")
    assert present == again


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_its_checkpoints_are_read_alike(tmp_path: Path, kind: str) -> None:
    base = Path(FOLDER)
    loaded, method = prepare(base, kind=kind, train_embeddings=kind == "lora")
    train(loaded.model, text_batch(base), steps=2, rate=1e-4)
    before = bits_per_byte(load_for_inference(base, compute_dtype=mx.float32))
    assert save_weights(tmp_path, loaded, method).layout == "model"
    # The files are bfloat16, as the base's are; all three compute with them in float32.
    ours = load_for_inference(tmp_path, compute_dtype=mx.float32)
    again, _ = mlx_lm.load(str(tmp_path))
    again.set_dtype(mx.float32)
    expected = log_probabilities(ours.model, text())
    for theirs in (log_probabilities(again, text()), read_by_transformers(tmp_path)):
        assert np.abs(theirs - expected).max() < TOLERANCE
    print(f"bits per byte: {before:.4f}, trained ({kind}) {bits_per_byte(ours):.4f}")
