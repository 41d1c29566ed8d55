"""Weighted sums of models, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.errors import UserError
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.saving import save_model_folder
from tests.lm.conftest import ToyFolder
from tests.toy_adapters import make_toy_adapter


def arrays(model) -> dict[str, np.ndarray]:
    return {
        name: np.array(value.astype(mx.float32)) for name, value in named_parameters(model).items()
    }


@pytest.mark.parametrize("name", ["qwen3", "llama-tied", "gemma2"])
@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0, -0.5])
def test_a_merge_is_the_weighted_sum_of_every_tensor(
    toy_folder: ToyFolder, name: str, weight: float
) -> None:
    folders = [toy_folder(name), toy_folder(name, seed=1)]
    first, second = (arrays(mlx_lm.load(str(folder))[0]) for folder in folders)
    merged = merge([Part(folders[0], None, 1 - weight), Part(folders[1], None, weight)])
    found = arrays(merged.model)
    assert found.keys() == first.keys()
    for tensor, value in found.items():
        expected = (1 - weight) * first[tensor] + weight * second[tensor]
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_a_saved_merge_loads_everywhere(toy_folder: ToyFolder, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folders = [toy_folder("qwen3"), toy_folder("qwen3", seed=1)]
    merged = merge([Part(folder, None, 0.5) for folder in folders])
    save_model_folder(tmp_path, merged, named_parameters(merged.model))
    model, tokenizer = mlx_lm.load(str(tmp_path))
    tokens = tokenizer.encode("import os")
    expected = np.array(merged.model(mx.array([tokens])))
    np.testing.assert_array_equal(np.array(model(mx.array([tokens]))), expected)
    import torch

    other = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        logits = other(torch.tensor([tokens])).logits.numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_an_adapter_is_fused_before_it_is_summed(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("qwen3")
    adapter = make_toy_adapter(base, tmp_path / "adapter", 1)
    whole = merge([Part(base, None, 0.0), Part(base, adapter, 1.0)])
    adapted, tokenizer = mlx_lm.load(str(base), adapter_path=str(adapter))
    tokens = mx.array([tokenizer.encode("def main():")])
    np.testing.assert_allclose(
        np.array(whole.model(tokens)), np.array(adapted(tokens)), rtol=1e-3, atol=1e-4
    )


def test_a_difference_added_gives_the_instruct_model_back(toy_folder: ToyFolder) -> None:
    base, instruct = toy_folder("llama"), toy_folder("llama", seed=1)
    merged = merge([Part(base, None, 1.0), Part(instruct, None, 1.0), Part(base, None, -1.0)])
    wanted = arrays(mlx_lm.load(str(instruct))[0])
    for name, value in arrays(merged.model).items():
        np.testing.assert_allclose(value, wanted[name], atol=1e-6)


def test_models_of_different_bases_are_refused_by_name(
    toy_folder: ToyFolder, quantized_folder: ToyFolder
) -> None:
    with pytest.raises(UserError, match=r"does not match .* has shape"):
        merge([Part(toy_folder("qwen3"), None, 0.5), Part(toy_folder("gemma3"), None, 0.5)])
    with pytest.raises(UserError, match="quantized"):
        merge([Part(quantized_folder("llama"), None, 1.0)])
