"""Numbers of a config.json that no model has are refused before a library believes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.errors import UserError
from cptstudio.lm.description import describe_model, is_quantized
from cptstudio.lm.loading import load_for_inference, load_for_training, load_network
from cptstudio.model_bounds import check_numbers

BILLION = 10**9


@pytest.fixture
def model(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("cptstudio") / "data" / "demo-base") as source:
        return Path(shutil.copytree(source, tmp_path / "model"))


def change(model: Path, **fields: Any) -> None:
    file = model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize(
    "reader",
    [
        describe_model,
        is_quantized,
        identify_tokenizer,
        load_tokenizer,
        load_for_inference,
        load_for_training,
        load_network,
    ],
)
def test_a_billion_layers_are_refused_by_whoever_reads_the_folder(
    model: Path, reader: Callable[[Path], object]
) -> None:
    change(model, num_hidden_layers=BILLION)
    with pytest.raises(UserError) as caught:
        reader(model)
    assert caught.value.message.startswith(
        f"{model / 'config.json'}: num_hidden_layers is 1,000,000,000, more than any model has "
    )


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"n_layer": 2001}, "n_layer is 2,001"),
        ({"text_config": {"num_hidden_layers": BILLION}}, "num_hidden_layers"),
        ({"vision_config": {"depth": BILLION}}, "depth"),
        ({"parts": [{"num_nextn_predict_layers": BILLION}]}, "num_nextn_predict_layers"),
        ({"num_hidden_layers": 1e30}, "num_hidden_layers is 1e\\+30"),
        ({"num_hidden_layers": float("nan")}, "num_hidden_layers is nan"),
        ({"num_loops": BILLION}, "num_loops"),
        ({"num_attention_heads": BILLION}, "num_attention_heads"),
        ({"n_routed_experts": BILLION}, "n_routed_experts"),
        ({"vocab_size": BILLION}, "vocab_size"),
        ({"hidden_size": BILLION}, "hidden_size"),
        ({"moe_intermediate_size": BILLION}, "moe_intermediate_size"),
        ({"q_lora_rank": BILLION}, "q_lora_rank"),
        ({"lora_parameters": {"rank": BILLION}}, "rank"),
        ({"num_layers": 2000, "num_experts": 60_000}, "the number of all layers' experts"),
    ],
)
def test_numbers_that_no_model_has(config: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"^here: {named}"):
        check_numbers(config, "here")


def test_an_adapter_of_a_billion_ranks_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({"num_layers": 1, "lora_parameters": {"rank": BILLION}}))
    with pytest.raises(UserError, match=r"adapter_config\.json: rank is 1,000,000,000"):
        load_for_inference(model, tmp_path / "adapter")


def test_numbers_of_large_models_are_left_alone() -> None:
    for config in (
        {"num_hidden_layers": 126, "hidden_size": 16384, "intermediate_size": 53248},
        {"num_hidden_layers": 61, "n_routed_experts": 384, "vocab_size": 163840},
        {"max_position_embeddings": 10_485_760, "sliding_window": 10**12, "vocab_size": 262_208},
        {"num_key_value_heads": None, "first_k_dense_replace": 9999, "layer_types": ["full"] * 64},
        {"tie_word_embeddings": True, "rope_theta": 1e9, "num_layers": 1000},
    ):
        check_numbers(config, "here")
