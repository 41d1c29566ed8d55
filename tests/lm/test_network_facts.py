"""What a plan counts in a network is what training makes of it, for every architecture."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from safetensors.numpy import save_file

from cptstudio.errors import UserError
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.methods import apply_method
from cptstudio.lm.network_facts import NetworkFacts, Storage
from cptstudio.lm.network_program import count
from cptstudio.lm.network_reader import read_network
from cptstudio.lm.parameters import named_parameters
from cptstudio.settings import MethodSettings
from tests.lm import networks
from tests.toy_models import make_toy_model

# One of each way to be built; `make bench` takes all.
ALWAYS = {
    "afm7", "deepseek_v3", "falcon_h1", "gemma3", "gemma3n", "gpt2", "gpt_oss", "jamba",
    "kimi_linear", "llama", "mamba", "nemotron_h", "qwen3_moe", "qwen3_next", "rwkv7",
}  # fmt: skip
ARCHITECTURES = [
    pytest.param(name, marks=pytest.mark.slow if name in ALWAYS else pytest.mark.bench)
    for name in networks.names()
    if name not in networks.NOT_BUILT
]
METHODS = (
    {"kind": "full"},
    {"kind": "lora", "rank": 3},
    {"kind": "dora", "rank": 2},
    {"kind": "lora", "rank": 2, "layers": 1, "train_embeddings": True},
)


def trained(architecture: str, settings: MethodSettings, bits: int | None = None) -> int | str:
    """How many numbers are trained, or the beginning of why nothing can be."""
    model = networks.build.__wrapped__(architecture)
    if bits is not None:
        nn.quantize(model, group_size=32, bits=bits)
    try:
        return apply_method(LoadedModel(model, None, {}, Path("toy"), None), settings).trainable
    except UserError as error:
        return str(error)[:9]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_counted_is_what_is_trained(architecture: str) -> None:
    facts = count(networks.build.__wrapped__(architecture))
    for given in METHODS:
        settings = MethodSettings.model_validate(given)
        expected = trained(architecture, settings)
        found = facts.trained(settings).total
        assert found == expected or expected == "The model", given


def test_packed_networks_are_counted_unpacked_and_stored_packed() -> None:
    model = networks.build.__wrapped__("qwen3_moe")
    plain = count(model)
    nn.quantize(model, group_size=32, bits=4)
    packed = count(model)
    assert (packed.kinds["matrix"], packed.tables) == (plain.kinds["matrix"], plain.tables)
    assert packed.storage.bytes() == sum(one.nbytes for one in named_parameters(model).values())
    for given in METHODS[1:]:
        settings = MethodSettings.model_validate(given)
        assert packed.trained(settings) == plain.trained(settings)
        assert packed.trained(settings).total == trained("qwen3_moe", settings, bits=4)
    mixed = count_mixed()
    assert mixed.parameters == plain.parameters
    assert packed.storage.bytes() < mixed.storage.bytes() < plain.storage.bytes()


def count_mixed() -> NetworkFacts:
    """Layers of 8 bits among those of 4."""

    def how(path: str, module: nn.Module) -> bool | dict[str, object]:
        if not hasattr(module, "to_quantized"):
            return False
        return {"group_size": 32, "bits": 8 if "down_proj" in path else 4, "mode": "affine"}

    model = networks.build.__wrapped__("qwen3_moe")
    nn.quantize(model, class_predicate=how)
    return count(model)


def test_experts_that_dora_leaves_frozen_are_counted() -> None:
    facts = count(networks.build.__wrapped__("qwen3_moe"))
    dora = MethodSettings.model_validate({"kind": "dora"})
    experts = MethodSettings.model_validate({"kind": "dora", "targets": ["switch_mlp.up_proj"]})
    assert facts.without_dora(dora) == 3 * facts.without_dora(experts) > 0
    (found,) = facts.problems_of(Path("toy"), experts)
    assert found.field == "method.kind" and "no linear layer that supports dora" in found.sentence
    assert facts.problems_of(Path("toy"), dora) == ()


def test_bytes_follow_the_type_of_the_computation() -> None:
    one = Storage(100, {"bfloat16": 10, "float32": 4}, {"float32": 3})
    assert one.bytes() == 100 + 20 + 16
    assert one.bytes("float32") == 100 + 4 * 14
    assert one.bytes("bfloat16") == 100 + 20 + 2 + 12


def test_parts_that_the_network_does_not_use_are_told(tmp_path: Path) -> None:
    """A vision tower beside the language model, as Gemma 3 and others are published."""
    folder = make_toy_model("qwen3", tmp_path / "toy")
    plain = read_network(folder)
    assert plain.left_out == {}
    weights = mx.load(str(folder / "model.safetensors"))
    assert isinstance(weights, dict)
    values = {f"language_model.{name}": np.array(value) for name, value in weights.items()}
    values["vision_tower.patch.weight"] = np.zeros((4, 3), np.float32)
    config = json.loads((folder / "config.json").read_text())
    outer = {"model_type": "qwen3_vl", "text_config": config, "vision_config": {}}
    save_file(values, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(outer))
    seen = read_network(folder)
    assert seen.parameters == plain.parameters and seen.left_out == {"vision_tower": 48}


def test_a_folder_that_mlx_lm_cannot_load_is_told_in_words(tmp_path: Path) -> None:
    folder = make_toy_model("llama", tmp_path / "toy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    for _ in range(2):
        with pytest.raises(UserError, match="mlx-lm cannot load the"):
            read_network(folder)
    (folder / "config.json").write_text(json.dumps(config))
    assert read_network(folder).parameters == sum(
        value.size for value in mx.load(str(folder / "model.safetensors")).values()
    )
