"""A model that transformers saved is loaded as its makers meant it: the same log-probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from cptstudio.lm.loading import load_for_inference
from tests.shared_architectures import (
    TOKENS,
    VOCABULARY_SIZE,
    save_shared_architecture,
    transformers_log_probabilities,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TOLERANCE = 1e-3

# Each kind of RoPE and each family once.
QUICK = ("llama", "glm4", "apertus", "qwen3_moe", "ernie4_5_moe", "cohere2", "phi", "gemma4_text")


def log_probabilities(model: Any, tokens: list[int]) -> np.ndarray:
    output = model(mx.array([tokens]))
    logits = getattr(output, "logits", output)[0].astype(mx.float32)
    return np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))


def tokens() -> list[int]:
    return [int(t) for t in np.random.default_rng(0).integers(4, VOCABULARY_SIZE, TOKENS)]


@pytest.mark.parametrize("name", QUICK)
def test_log_probabilities_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    saved = save_shared_architecture(name, tmp_path)
    expected = transformers_log_probabilities(saved, tokens())
    loaded = load_for_inference(tmp_path, compute_dtype=mx.float32)
    assert np.abs(log_probabilities(loaded.model, tokens()) - expected).max() < TOLERANCE
