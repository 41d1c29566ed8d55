"""Full, LoRA and DoRA train, save and reload for each architecture, as other programs read it."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.lm.saving import ADAPTER_NOTE, load_weights
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import assert_same_parameters, logits, prepare, text_batch, train
from tests.saved_weights import save_weights
from tests.toy_models import ARCHITECTURES, import_torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def transformers_logits(folder: Path, batch: mx.array) -> np.ndarray:
    from transformers import AutoModelForCausalLM

    torch = import_torch()
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    with torch.no_grad():
        return model(torch.tensor(np.array(batch))).logits.float().numpy()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_training_reloads_in_mlx_lm_and_transformers(
    toy_folder: ToyFolder, tmp_path: Path, name: str
) -> None:
    base = toy_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind="full")
    assert method.trainable == method.total
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.3
    expected = logits(loaded.model, batch)

    saved = save_weights(tmp_path, loaded, method)
    assert saved.layout == "model" and saved.exact and saved.base_names

    again, _ = mlx_lm.load(str(tmp_path))
    np.testing.assert_array_equal(logits(again, batch), expected)
    np.testing.assert_allclose(transformers_logits(tmp_path, batch), expected, atol=1e-4)

    fresh, fresh_method = prepare(base, kind="full")
    load_weights(tmp_path, fresh, fresh_method)
    assert_same_parameters(fresh.model, loaded.model)


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_adapters_reload_in_mlx_lm(
    toy_folder: ToyFolder, tmp_path: Path, name: str, kind: str
) -> None:
    base = toy_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind=kind)
    assert 0 < method.trainable < method.total
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.01
    expected = logits(loaded.model, batch)

    saved = save_weights(tmp_path, loaded, method)
    assert saved.layout == "adapter" and saved.exact
    assert set(saved.files) - {ADAPTER_NOTE} == {"adapters.safetensors", "adapter_config.json"}

    again, _ = mlx_lm.load(str(base), adapter_path=str(tmp_path))
    np.testing.assert_array_equal(logits(again, batch), expected)

    fresh, fresh_method = prepare(base, kind=kind, seed=1)
    load_weights(tmp_path, fresh, fresh_method)
    assert_same_parameters(fresh.model, loaded.model)


@pytest.mark.parametrize("name", ["llama", "llama-tied", "gemma3", "qwen3_moe", "mamba"])
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_with_trained_embeddings_are_saved_as_a_whole_model(
    toy_folder: ToyFolder, tmp_path: Path, name: str, kind: str
) -> None:
    base = toy_folder(name)
    batch = text_batch(base)
    loaded, method = prepare(base, kind=kind, train_embeddings=True)
    assert len(method.embeddings) == (2 if name in ("llama", "qwen3_moe") else 1)
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.3
    expected = logits(loaded.model, batch)

    saved = save_weights(tmp_path, loaded, method)
    assert saved.layout == "model" and not saved.exact

    again, _ = mlx_lm.load(str(tmp_path))
    np.testing.assert_allclose(logits(again, batch), expected, atol=2e-5)
    np.testing.assert_allclose(transformers_logits(tmp_path, batch), expected, atol=1e-4)
