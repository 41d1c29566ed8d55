"""LoRA adapters with random weights, in mlx-lm's own layout."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import mlx_lm
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

RANK = 4


def make_toy_adapter(base: Path, folder: Path, seed: int) -> Path:
    """Write an adapter that changes what the base says; returns its folder."""
    model, _ = mlx_lm.load(str(base))
    settings = {"rank": RANK, "scale": 4.0, "dropout": 0.0}
    layers = len(model.layers)
    model.freeze()
    linear_to_lora_layers(model, layers, settings)
    keys = mx.random.split(mx.random.key(seed), 1000)
    factors = {
        name: mx.random.normal(value.shape, key=keys[number]) * 0.2
        for number, (name, value) in enumerate(tree_flatten(model.trainable_parameters()))
    }
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), factors)
    described = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": settings}
    (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
