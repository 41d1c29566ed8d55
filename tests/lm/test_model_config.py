"""Two forms of one configuration: both are written, and contradictions are refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cptstudio.errors import UserError
from cptstudio.lm.model_config import additions, normalized

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
}
GEMMA: dict[str, Any] = {
    "model_type": "gemma3_text",
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}


def test_the_former_names_are_added() -> None:
    assert additions(LLAMA, "config.json") == {"rope_theta": 500_000.0}
    added = additions(GEMMA, "config.json")
    assert added["rope_theta"] == 1e6 and added["rope_local_base_freq"] == 1e4
    assert added["rope_scaling"]["type"] == "linear" and added["sliding_window_pattern"] == 2


@pytest.mark.parametrize("config", [LLAMA, GEMMA])
def test_what_is_given_stays_and_a_second_time_adds_nothing(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    whole = normalized(config, "config.json")
    assert config == before
    assert normalized(whole, "config.json") == whole
    assert additions(whole, "config.json") == {}


@pytest.mark.parametrize(
    ("config", "changes", "words"),
    [
        (LLAMA, {"rope_theta": 10_000.0}, ["rope_theta", "10000.0", "500000.0"]),
        (GEMMA, {"rope_local_base_freq": 9e3}, ["rope_local_base_freq", "9000.0", "10000.0"]),
        (GEMMA, {"sliding_window_pattern": 6}, ["sliding_window_pattern", "6", "2"]),
        (
            LLAMA,
            {"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2.0}},
            ["rope_scaling.type", "'linear'", "'yarn'"],
        ),
        (
            LLAMA,
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
            ["rope_scaling.rope_type", "'linear'", "'default'"],
        ),
        (LLAMA, {"model_type": "gpt_neox", "rotary_emb_base": 10}, ["rotary_emb_base", "10"]),
        (
            LLAMA,
            {
                "model_type": "qwen3_moe",
                "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e6},
            },
            ["'yarn'", "qwen3_moe"],
        ),
        (LLAMA, {"model_type": "jamba", "num_experts": 16}, ["num_experts", "16"]),
        (GEMMA, {"model_type": "olmo3"}, ["1000000.0", "10000.0"]),
    ],
)
def test_contradictions_are_refused_by_both_values(
    config: dict[str, Any], changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        normalized(config | changes, "config.json")
    for word in ["config.json", *words]:
        assert word in caught.value.message
