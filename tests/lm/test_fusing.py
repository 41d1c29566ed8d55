"""A fused model is its base plus its adapter, for every kind of adapter and base."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.errors import UserError
from cptstudio.lm.fusing import fuse
from cptstudio.lm.packing import pack
from cptstudio.lm.packings import Packing
from cptstudio.weight_files import read_tensors
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import logits, prepare, text_batch, train
from tests.saved_weights import save_weights

CASES = [
    ("llama", "lora", False, False),
    ("qwen3", "dora", False, False),
    ("llama-tied", "lora", True, False),
    ("qwen3_moe", "lora", False, False),
    ("qwen3_moe", "lora", False, True),
    ("llama", "lora", False, True),
    ("llama", "dora", False, True),
    ("llama-tied", "dora", True, True),
]


def trained(base: Path, folder: Path, kind: str, embeddings: bool):
    """Some steps of training, saved into a folder; returns the network."""
    loaded, method = prepare(base, kind=kind, train_embeddings=embeddings)
    train(loaded.model, text_batch(base), steps=2)
    folder.mkdir()
    save_weights(folder, loaded, method)
    loaded.model.eval()
    return loaded.model


def written(folder: Path, collected) -> Path:
    folder.mkdir()
    collected.write(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "embeddings", "packed"), CASES)
def test_fused_equals_base_plus_adapter(
    toy_folder: ToyFolder,
    quantized_folder: ToyFolder,
    tmp_path: Path,
    name: str,
    kind: str,
    embeddings: bool,
    packed: bool,
) -> None:
    base = (quantized_folder if packed else toy_folder)(name)
    network = trained(base, tmp_path / "saved", kind, embeddings)
    # A checkpoint with trained embeddings is complete already.
    source = (tmp_path / "saved", None) if embeddings else (base, tmp_path / "saved")
    folder = written(tmp_path / "fused", fuse(*source).collected())
    again, _ = mlx_lm.load(str(folder))
    batch = text_batch(base)
    expected = logits(network, batch)
    assert not np.allclose(logits(mlx_lm.load(str(base))[0], batch), expected, atol=1e-3)
    np.testing.assert_allclose(logits(again, batch), expected, atol=1e-5)
    if not packed:
        assert read_tensors(folder).keys() == read_tensors(base).keys()


@pytest.mark.slow
def test_a_fused_model_may_have_another_type(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama", dtype="bfloat16")
    trained(base, tmp_path / "saved", "lora", False)
    fused = fuse(base, tmp_path / "saved")
    own, wide = fused.collected(), fuse(base, tmp_path / "saved").collected("float32")
    assert {t.dtype for t in read_tensors(written(tmp_path / "own", own)).values()} == {"BF16"}
    tensors = read_tensors(written(tmp_path / "wide", wide))
    assert {tensor.dtype for tensor in tensors.values()} == {"F32"}
    # What bfloat16 would have rounded away is there.
    weight = mx.load(str(tmp_path / "wide" / "model.safetensors"))[
        "model.layers.0.mlp.up_proj.weight"
    ]
    assert not mx.array_equal(weight, weight.astype(mx.bfloat16).astype(mx.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    "packing",
    [
        {"bits": 8, "group_size": 32},
        {"mode": "mxfp4"},
        {"mode": "nvfp4"},
        {"recipe": "mixed_3_6", "group_size": 32},
    ],
    ids=["8-bit", "mxfp4", "nvfp4", "mixed"],
)
def test_mlx_lm_loads_what_is_packed(toy_folder: ToyFolder, tmp_path: Path, packing: dict) -> None:
    base = toy_folder("llama")
    network = trained(base, tmp_path / "saved", "lora", False)
    packed = pack(fuse(base, tmp_path / "saved"), Packing(**packing))
    again, _ = mlx_lm.load(str(written(tmp_path / "packed", packed.collected)))
    assert packed.bits_per_weight < 11
    assert packed.left == []
    batch = text_batch(base)
    far = np.abs(logits(again, batch) - logits(network, batch)).max()
    assert 0 < far < (0.1 if packing.get("bits") == 8 else 10)


@pytest.mark.slow
def test_what_cannot_be_fused_is_refused(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama")
    trained(base, tmp_path / "saved", "lora", False)
    with pytest.raises(UserError, match="does not fit"):
        fuse(toy_folder("gpt_neox"), tmp_path / "saved")
    with pytest.raises(UserError, match="is not the model that"):
        fuse(base, tmp_path / "saved", onto=toy_folder("llama-tied"))
    with pytest.raises(UserError, match="does not exist"):
        fuse(tmp_path / "gone", tmp_path / "saved")
    with pytest.raises(UserError, match="no multiples"):
        pack(fuse(base, tmp_path / "saved"), Packing(group_size=128))
    file = tmp_path / "saved" / "adapters.safetensors"
    grown = mx.load(str(file)) | {"model.embed_tokens.weight": mx.zeros((600, 32))}
    mx.save_safetensors(str(file), grown)
    with pytest.raises(UserError, match="vocabulary or another whole layer was changed"):
        fuse(base, tmp_path / "saved")
