"""Which parameters each method trains, and how adapters start."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.errors import UserError
from cptstudio.lm.embeddings import embedding_parameters
from cptstudio.lm.parameters import named_parameters, trainable_parameters
from cptstudio.lm.saving import load_weights
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import assert_same_parameters, logits, prepare, text_batch, train
from tests.saved_weights import save_weights


def test_full_trains_embeddings_norms_head_and_biases(toy_folder: ToyFolder) -> None:
    loaded, method = prepare(toy_folder("starcoder2"), kind="full")
    names = trainable_parameters(loaded.model).keys()
    assert names == named_parameters(loaded.model).keys()
    for part in ("embed_tokens.weight", "norm.weight", "q_proj.bias", "input_layernorm.bias"):
        assert any(name.endswith(part) for name in names)
    assert (
        method.trainable
        == method.total
        == sum(value.size for value in named_parameters(loaded.model).values())
    )


def test_a_router_correction_is_not_trained(toy_folder: ToyFolder) -> None:
    from cptstudio.lm.loading import load_for_training
    from cptstudio.lm.methods import apply_method
    from cptstudio.settings import MethodSettings

    loaded = load_for_training(toy_folder("qwen3_moe"))
    gate = loaded.model.layers[0].mlp.gate
    gate.e_score_correction_bias = mx.zeros((4,))
    apply_method(loaded, MethodSettings(kind="full"))
    assert not any("correction" in name for name in trainable_parameters(loaded.model))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama", {"model.embed_tokens.weight", "lm_head.weight"}),
        ("llama-tied", {"model.embed_tokens.weight"}),
        ("gpt_neox", {"model.embed_in.weight", "model.embed_out.weight"}),
        ("mamba", {"backbone.embeddings.weight"}),
    ],
)
def test_embedding_parameters_are_found_by_structure(
    toy_folder: ToyFolder, name: str, expected: set[str]
) -> None:
    loaded, method = prepare(toy_folder(name), kind="full")
    assert embedding_parameters(loaded.model) == expected
    assert method.embeddings == expected
    assert not method.train_embeddings


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_start_as_the_base_model(toy_folder: ToyFolder, kind: str) -> None:
    base = toy_folder("llama")
    batch = text_batch(base)
    plain, _ = mlx_lm.load(str(base))
    loaded, method = prepare(base, kind=kind)
    np.testing.assert_allclose(logits(loaded.model, batch), logits(plain, batch), atol=1e-6)
    leaves = {name.rpartition(".")[2] for name in trainable_parameters(loaded.model)}
    assert leaves == ({"lora_a", "lora_b"} if kind == "lora" else {"lora_a", "lora_b", "m"})
    assert len(method.targets) == 14


def test_the_start_is_a_function_of_the_seed_alone(toy_folder: ToyFolder) -> None:
    base = toy_folder("qwen3_moe")
    mx.random.seed(1)
    first, _ = prepare(base, kind="lora", seed=7)
    mx.random.seed(2)
    second, _ = prepare(base, kind="lora", seed=7)
    assert_same_parameters(first.model, second.model)
    other, _ = prepare(base, kind="lora", seed=8)
    a, b = trainable_parameters(first.model), trainable_parameters(other.model)
    assert all(not mx.array_equal(a[name], b[name]).item() for name in a if "lora_a" in name)


def test_a_module_starts_the_same_whichever_others_are_adapted(toy_folder: ToyFolder) -> None:
    everything, _ = prepare(toy_folder("llama"), kind="lora")
    some, _ = prepare(toy_folder("llama"), kind="lora", targets=("q_proj",))
    a, b = trainable_parameters(everything.model), trainable_parameters(some.model)
    assert b and all(mx.array_equal(a[name], b[name]).item() for name in b)


def test_different_modules_start_differently(toy_folder: ToyFolder) -> None:
    loaded, _ = prepare(toy_folder("llama"), kind="lora")
    first = loaded.model.layers[0].self_attn.q_proj.lora_a
    second = loaded.model.layers[1].self_attn.q_proj.lora_a
    assert not mx.array_equal(first, second).item()
    bound = 1 / np.sqrt(32)
    assert 0.8 * bound < np.abs(np.array(first)).max() <= bound


@pytest.mark.parametrize("name", ["llama", "qwen3_moe", "recurrent_gemma"])
@pytest.mark.parametrize(
    "settings",
    [
        {"layers": 1},
        {"targets": ("q_proj", "v_proj")},
        {"rank": 2, "alpha": 5.0, "dropout": 0.25, "layers": 1},
    ],
)
def test_adapter_config_reproduces_the_choice(
    toy_folder: ToyFolder, tmp_path: Path, name: str, settings: dict
) -> None:
    base = toy_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind="lora", **settings)
    train(loaded.model, batch, steps=2)
    save_weights(tmp_path, loaded, method)
    again, _ = mlx_lm.load(str(base), adapter_path=str(tmp_path))
    np.testing.assert_array_equal(logits(again, batch), logits(loaded.model, batch))
    adapted = {path for path, module in again.named_modules() if hasattr(module, "lora_a")}
    assert adapted == set(method.targets)
    rank = settings.get("rank", 4)
    layer = next(module for _, module in again.named_modules() if hasattr(module, "lora_a"))
    assert layer.scale == settings.get("alpha", 2 * rank) / rank


def test_dora_leaves_experts_out_and_says_so(toy_folder: ToyFolder) -> None:
    _, method = prepare(toy_folder("mixtral"), kind="dora")
    assert not any("switch_mlp" in target for target in method.targets)
    assert any("expert layers" in note for note in method.notes)
    _, with_lora = prepare(toy_folder("mixtral"), kind="lora")
    assert sum("switch_mlp" in target for target in with_lora.targets) == 6
    assert with_lora.notes == ()


def test_an_unknown_target_is_named_with_the_ones_there_are(toy_folder: ToyFolder) -> None:
    with pytest.raises(UserError, match=r"'query'.*self_attn\.q_proj"):
        prepare(toy_folder("llama"), kind="lora", targets=("query",))


def test_more_layers_than_there_are_is_an_error(toy_folder: ToyFolder) -> None:
    with pytest.raises(UserError, match="has 2 layers"):
        prepare(toy_folder("llama"), kind="lora", layers=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("name", ["llama", "llama-tied", "qwen3_moe"])
def test_quantized_bases_carry_adapters(
    quantized_folder: ToyFolder, tmp_path: Path, name: str, kind: str
) -> None:
    base = quantized_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind=kind)
    assert loaded.quantized
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.01
    save_weights(tmp_path, loaded, method)
    again, _ = mlx_lm.load(str(base), adapter_path=str(tmp_path))
    np.testing.assert_array_equal(logits(again, batch), logits(loaded.model, batch))
    fresh, fresh_method = prepare(base, kind=kind, seed=3)
    load_weights(tmp_path, fresh, fresh_method)
    assert_same_parameters(fresh.model, loaded.model)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("name", ["llama", "llama-tied", "qwen3_moe"])
def test_embeddings_of_a_quantized_base_are_unpacked_and_trained(
    quantized_folder: ToyFolder, tmp_path: Path, name: str, kind: str
) -> None:
    base = quantized_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind=kind, train_embeddings=True)
    assert method.train_embeddings
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.3
    saved = save_weights(tmp_path, loaded, method)
    assert saved.layout == "model"
    again, _, config = mlx_lm.load(str(tmp_path), return_config=True)
    assert "quantization" not in config and "quantization_config" not in config
    np.testing.assert_allclose(logits(again, batch), logits(loaded.model, batch), atol=2e-5)


def test_total_counts_packed_weights_unpacked(
    toy_folder: ToyFolder, quantized_folder: ToyFolder
) -> None:
    _, plain = prepare(toy_folder("qwen3_moe"), kind="lora")
    _, packed = prepare(quantized_folder("qwen3_moe"), kind="lora")
    assert packed.total == plain.total
    assert packed.trainable == plain.trainable
