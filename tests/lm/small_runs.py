"""Helpers of this room's tests: real optimisation steps on real text, and comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers
import numpy as np
from tokenizers import Tokenizer

from cptstudio.lm.loading import LoadedModel, load_for_training
from cptstudio.lm.methods import AppliedMethod, apply_method
from cptstudio.lm.parameters import named_parameters
from cptstudio.settings import MethodSettings
from tests.toy_models import text_sample


def text_batch(folder: Path, rows: int = 4, length: int = 25) -> mx.array:
    """Token ids of real text, int32 [rows, length]."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text_sample()[0], add_special_tokens=False).ids
    return mx.array(np.array(ids[: rows * length], dtype=np.int32).reshape(rows, length))


def prepare(folder: Path, seed: int = 0, **method: Any) -> tuple[LoadedModel, AppliedMethod]:
    """Load a model and apply a method given by its settings."""
    settings = MethodSettings(**{"rank": 4, **method})
    assert settings.kind is not None
    loaded = load_for_training(folder, method=settings.kind)
    return loaded, apply_method(loaded, settings, seed=seed)


def train(model: Any, batch: mx.array, steps: int = 6, rate: float = 1e-2) -> list[float]:
    """Optimise on one batch; returns the loss before each step and after the last."""

    def loss(model: Any, batch: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:], reduction="mean")

    optimizer = mlx.optimizers.AdamW(rate, bias_correction=True)
    step = nn.value_and_grad(model, loss)
    losses = []
    model.train()
    for _ in range(steps):
        value, gradients = step(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        losses.append(value.item())
    model.eval()
    losses.append(loss(model, batch).item())
    return losses


def logits(model: Any, batch: mx.array) -> np.ndarray:
    """Logits of a batch as float32."""
    return np.array(model(batch).astype(mx.float32))


def assert_same_parameters(left: Any, right: Any) -> None:
    """Both networks have the same parameters, bit for bit."""
    a, b = named_parameters(left), named_parameters(right)
    assert a.keys() == b.keys()
    different = [name for name in a if not mx.array_equal(a[name], b[name]).item()]
    assert different == []
