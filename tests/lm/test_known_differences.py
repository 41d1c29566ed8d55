"""What mlx-lm computes otherwise is told where it holds, and what it once computed is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cptstudio.lm.former_reading import differences
from cptstudio.lm.known_differences import known_differences

LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0],
    "long_factor": [2.0],
    "original_max_position_embeddings": 4096,
}
LAYERS: dict[str, Any] = {"num_hidden_layers": 28}


@pytest.mark.parametrize(
    ("config", "context", "word"),
    [
        ({"model_type": "mistral", "sliding_window": 512}, 513, "512 tokens"),
        ({"model_type": "mistral", "sliding_window": 512}, 512, None),
        ({"model_type": "mistral"}, 8192, "4,096"),  # What is not written has its default.
        ({"model_type": "mistral", "sliding_window": None}, 8192, None),
        ({"model_type": "mistral", "layer_types": ["sliding_attention"]}, 8192, None),
        ({"model_type": "mixtral"}, 8192, None),
        ({"model_type": "phi3", "sliding_window": 2047}, 2048, "2,047"),
        ({"model_type": "gemma2"}, None, "4,096"),
        ({"model_type": "qwen2", "sliding_window": 64}, 128, None),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True}, 128, "64"),
        (LAYERS | {"model_type": "qwen2", "use_sliding_window": True}, 8192, None),
        ({"model_type": "gemma", "hidden_act": "gelu"}, 8, "tanh form of the GELU"),
        ({"model_type": "starcoder2"}, 8, "tanh form of the GELU"),
        ({"model_type": "starcoder2", "hidden_act": "gelu"}, 8, None),
        ({"model_type": "gpt_neox"}, 8, "exact form of the GELU"),
        ({"model_type": "nanochat"}, 8, "rms_norm_eps"),
        ({"model_type": "nanochat", "rms_norm_eps": 1e-5}, 8, None),
        ({"model_type": "phi3", "rope_scaling": LONG}, 8, "LongRoPE"),
        ({"model_type": "llama"}, 10**6, None),
        ({"model_type": "llava", "text_config": {"model_type": "mistral"}}, 8192, "4,096"),
    ],
)
def test_it_is_told_where_it_holds(
    config: dict[str, Any], context: int | None, word: str | None
) -> None:
    found = known_differences(config, context)
    assert len(found) == (word is not None)
    assert word is None or word in found[0]


SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 512,
    "max_position_embeddings": 8192,
}
YARN = {"factor": 4.0, "original_max_position_embeddings": 512, "rope_theta": 10_000.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"rope_parameters": {"rope_theta": 5e5}}, ["rope_theta 10,000 in place of 500,000.0"]),
        ({"rope_theta": 5e5, "rope_parameters": {"rope_theta": 5e5}}, []),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, []),
        ({"rope_theta": 5e5}, []),
        (
            {"rope_parameters": YARN | {"rope_type": "yarn"}},
            ["rope_scaling nothing in place of {'rope_type': 'yarn'"],
        ),
        ({"rope_scaling": YARN | {"type": "yarn"}}, []),
        ({"rope_scaling": YARN | {"rope_type": "yarn"}}, []),
        ({"model_type": "phi3", "rope_scaling": LONG, "rope_theta": 1e4}, ["LongRoPE's factors"]),
        # No run has a base that mlx-lm did not load: its ModelArgs ask for rope_theta.
        ({"model_type": "qwen3", "head_dim": 16, "rope_parameters": {"rope_theta": 5e5}}, []),
    ],
)
def test_what_a_run_of_before_was_trained_as(
    config: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    whole = {"model_type": "llama"} | SIZES | config
    (tmp_path / "config.json").write_text(json.dumps(whole), encoding="utf-8")
    found = differences(tmp_path, 64)
    assert len(found) == len(expected)
    assert all(said.startswith(start) for said, start in zip(found, expected, strict=True)), found
