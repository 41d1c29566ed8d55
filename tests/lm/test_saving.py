"""Model folders as other programs expect them, and the way back into training."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
from mlx.utils import tree_flatten

from cptstudio.lm.description import describe_model
from cptstudio.lm.parameters import named_parameters, trainable_parameters
from cptstudio.lm.saving import fused_parameters, load_weights, restore_trainable, save_model_folder
from cptstudio.weight_files import read_tensors
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import assert_same_parameters, logits, prepare, text_batch, train
from tests.saved_weights import save_weights
from tests.toy_models import ARCHITECTURES, make_toy_image_model


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tensors_have_the_names_and_shapes_of_the_base(
    toy_folder: ToyFolder, tmp_path: Path, name: str
) -> None:
    base = toy_folder(name)
    loaded, method = prepare(base, kind="full")
    save_weights(tmp_path, loaded, method)
    before, after = (
        mx.load(str(base / "model.safetensors")),
        mx.load(str(tmp_path / "model.safetensors")),
    )
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[key], after[key]).item() for key in before)


def test_the_folder_is_complete(toy_folder: ToyFolder, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    base = toy_folder("llama")
    loaded, method = prepare(base, kind="full")
    saved = save_weights(tmp_path, loaded, method)
    assert set(saved.files) == {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(
        saved.files
    )
    text = "def weights(self):\n    return [1, 2]\n"
    here, there = (AutoTokenizer.from_pretrained(path) for path in (tmp_path, base))
    assert here(text).input_ids == there(text).input_ids
    before, after = (json.loads((f / "config.json").read_text()) for f in (base, tmp_path))
    assert after.pop("torch_dtype") == "float32"
    assert after == before
    assert describe_model(tmp_path).parameters == describe_model(base).parameters


def test_a_saved_model_can_be_the_next_base(toy_folder: ToyFolder, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    loaded, method = prepare(toy_folder("mixtral"), kind="full")
    save_weights(first, loaded, method)
    (first / "manifest.json").write_text("{}")
    again, method = prepare(first, kind="full")
    saved = save_weights(second, again, method)
    assert "manifest.json" not in saved.files
    assert read_tensors(first).keys() == read_tensors(second).keys()
    assert_same_parameters(again.model, loaded.model)


def test_tied_heads_are_not_stored(toy_folder: ToyFolder, tmp_path: Path) -> None:
    loaded, method = prepare(toy_folder("llama-tied"), kind="full")
    save_weights(tmp_path, loaded, method)
    assert "lm_head.weight" not in read_tensors(tmp_path)


def test_a_stale_copy_of_a_tied_head_is_not_carried_along(
    toy_folder: ToyFolder, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    loaded, method = prepare(toy_folder("llama-tied"), kind="full")
    base.mkdir()
    save_weights(base, loaded, method)
    tensors = mx.load(str(base / "model.safetensors"))
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    mx.save_safetensors(str(base / "model.safetensors"), tensors, metadata={"format": "pt"})
    loaded, method = prepare(base, kind="full")
    train(loaded.model, text_batch(base), steps=1)
    (tmp_path / "saved").mkdir()
    saved = save_weights(tmp_path / "saved", loaded, method)
    assert saved.base_names
    assert "lm_head.weight" not in read_tensors(tmp_path / "saved")


def test_large_models_are_split_into_shards(toy_folder: ToyFolder, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = toy_folder("qwen3_moe")
    batch = text_batch(base)
    loaded, _ = prepare(base, kind="full")
    files, _ = save_model_folder(
        tmp_path, loaded, named_parameters(loaded.model), shard_size=100_000
    )
    shards = sorted(name for name in files if name.endswith(".safetensors"))
    assert len(shards) > 3
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    assert index["weight_map"].keys() == read_tensors(tmp_path).keys()
    assert index["metadata"]["total_size"] == describe_model(tmp_path).bytes
    again, _ = mlx_lm.load(str(tmp_path))
    np.testing.assert_array_equal(logits(again, batch), logits(loaded.model, batch))
    _, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]


def test_a_narrower_type_is_honest_and_not_exact(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama", dtype="bfloat16")
    batch = text_batch(base)
    loaded, method = prepare(base, kind="full")
    train(loaded.model, batch, steps=2)
    saved = save_weights(tmp_path, loaded, method)
    assert not saved.exact
    assert {tensor.dtype for tensor in read_tensors(tmp_path).values()} == {"BF16"}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["torch_dtype"] == config["dtype"] == "bfloat16"
    again, _ = mlx_lm.load(str(tmp_path))
    np.testing.assert_allclose(logits(again, batch), logits(loaded.model, batch), atol=0.1)


def test_restoring_is_exact_and_checked(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama")
    loaded, _ = prepare(base, kind="dora", train_embeddings=True)
    train(loaded.model, text_batch(base), steps=2)
    mx.save_safetensors(str(tmp_path / "w.safetensors"), trainable_parameters(loaded.model))
    weights = mx.load(str(tmp_path / "w.safetensors"))

    fresh, _ = prepare(base, kind="dora", train_embeddings=True, seed=9)
    restore_trainable(fresh.model, weights)
    assert_same_parameters(fresh.model, loaded.model)

    name = next(iter(weights))
    with pytest.raises(ValueError, match="do not fit"):
        restore_trainable(fresh.model, {k: v for k, v in weights.items() if k != name})
    with pytest.raises(ValueError, match="bfloat16"):
        restore_trainable(fresh.model, weights | {name: weights[name].astype(mx.bfloat16)})
    with pytest.raises(ValueError, match="shape"):
        restore_trainable(fresh.model, weights | {name: weights[name][:1]})


def test_a_checkpoint_of_a_float32_base_is_exact(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("gpt_neox")
    loaded, method = prepare(base, kind="full")
    train(loaded.model, text_batch(base), steps=2, rate=1e-5)
    saved = save_weights(tmp_path, loaded, method)
    assert saved.exact and saved.base_names
    fresh, fresh_method = prepare(base, kind="full")
    load_weights(tmp_path, fresh, fresh_method)
    assert_same_parameters(fresh.model, loaded.model)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_fusing_leaves_the_training_network_alone(toy_folder: ToyFolder, kind: str) -> None:
    loaded, _ = prepare(toy_folder("llama"), kind=kind)
    before = dict(tree_flatten(loaded.model.parameters()))
    fused = fused_parameters(loaded.model)
    plain, _ = prepare(toy_folder("llama"), kind="full")
    assert fused.keys() == named_parameters(plain.model).keys()
    after = dict(tree_flatten(loaded.model.parameters()))
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)


def test_an_image_encoder_is_carried_along(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    base, target = make_toy_image_model(tmp_path / "base"), tmp_path / "saved"
    target.mkdir()
    batch = text_batch(base)
    loaded, method = prepare(base, kind="full")
    train(loaded.model, batch, steps=2)
    assert save_weights(target, loaded, method).base_names
    before, after = (mx.load(str(f / "model.safetensors")) for f in (base, target))
    assert before.keys() == after.keys()
    for name in before:
        same = mx.array_equal(before[name], after[name]).item()
        assert same != name.startswith("language_model."), name
    again, _ = mlx_lm.load(str(target))
    np.testing.assert_array_equal(logits(again, batch), logits(loaded.model, batch))
    _, report = AutoModelForImageTextToText.from_pretrained(target, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
