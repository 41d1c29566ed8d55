"""Describing and loading model folders, sound and broken ones."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import psutil
import pytest

from cptstudio.errors import UserError
from cptstudio.lm import compilation, identity
from cptstudio.lm.description import describe_model, resolve_model
from cptstudio.lm.identity import KeptHashes, model_files
from cptstudio.lm.loading import (
    default_compute_dtype,
    load_for_inference,
    load_for_training,
)
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.sharing import with_adapter
from cptstudio.lm.vocabulary import template_ids_beyond, token_texts
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import logits, prepare, text_batch, train
from tests.saved_weights import save_weights
from tests.toy_models import ARCHITECTURES, CONTEXT_LIMIT, VOCABULARY_SIZE


def copy_of(folder: Path, target: Path, **config: object) -> Path:
    """A copy of a model folder with some settings changed (None removes one)."""
    shutil.copytree(folder, target)
    path = target / "config.json"
    settings = json.loads(path.read_text()) | config
    path.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    return target


# --- description -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_description_agrees_with_the_loaded_model(toy_folder: ToyFolder, name: str) -> None:
    folder = toy_folder(name)
    description = describe_model(folder)
    loaded = load_for_training(folder)
    sizes = [value.size for value in named_parameters(loaded.model).values()]
    assert description.parameters == sum(sizes)
    assert description.model_type == loaded.config["model_type"]
    assert description.vocabulary_size == VOCABULARY_SIZE
    assert description.quantization is None
    assert description.full_training_obstacle is None
    assert description.dtype == "float32"
    limits = (None,) if name in ("mamba", "recurrent_gemma") else (CONTEXT_LIMIT,)
    assert description.context_limit in limits


def test_a_quantized_model_is_described_unpacked(
    toy_folder: ToyFolder, quantized_folder: ToyFolder
) -> None:
    plain, packed = (describe_model(f("qwen3_moe")) for f in (toy_folder, quantized_folder))
    assert packed.parameters == plain.parameters
    assert packed.bytes < plain.bytes / 2
    assert packed.quantization is not None
    assert (packed.quantization.bits, packed.quantization.group_size) == (4, 32)
    assert packed.full_training_obstacle is not None
    assert "mlx_lm.convert" in packed.full_training_obstacle


def test_types_and_chat_template_are_seen(toy_folder: ToyFolder, tmp_path: Path) -> None:
    folder = copy_of(toy_folder("qwen3", dtype="bfloat16"), tmp_path / "m")
    assert describe_model(folder).dtype == "bfloat16"
    assert not describe_model(folder).has_chat_template
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert describe_model(folder).has_chat_template


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
def test_a_deep_or_endless_file_beside_a_model_breaks_nothing(
    toy_folder: ToyFolder, tmp_path: Path, content: str
) -> None:
    folder = copy_of(toy_folder("llama"), tmp_path / "m")
    described = describe_model(folder)
    for name in (
        "hf_quant_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        (folder / name).write_text(content)
    assert describe_model(folder) == described
    assert token_texts(folder, {1}) == {} and template_ids_beyond(folder, 1) == []
    (folder / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"is not valid JSON \((nested|a number of 5000 digits)"):
        describe_model(folder)


def test_describing_imports_no_mlx() -> None:
    code = (
        "import sys, cptstudio.lm.description\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(bool(roots & {'mlx', 'mlx_lm', 'torch'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_hash_follows_the_content(toy_folder: ToyFolder, tmp_path: Path) -> None:
    folder = toy_folder("llama")
    same = copy_of(folder, tmp_path / "same")
    shutil.copyfile(folder / "config.json", same / "config.json")
    assert identity.model_hash(same) == identity.model_hash(folder)
    other = toy_folder("llama", seed=1)
    assert identity.model_hash(other) != identity.model_hash(folder)


def test_the_hashes_of_a_large_model_are_kept_until_a_file_changes(
    toy_folder: ToyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of(toy_folder("llama"), tmp_path / "model")
    kept, read = KeptHashes(tmp_path / "kept"), []

    def asked(again: bool = False) -> dict[str, str]:
        read.clear()
        return model_files(
            folder, kept, again=again, progress=lambda done, total: read.append((done, total))
        )

    whole = sum((folder / name).stat().st_size for name in ("config.json", "model.safetensors"))
    assert asked() == asked() == model_files(folder)
    assert read[-1] == (whole, whole) and kept.of(folder) is None, "a small one is read each time"
    monkeypatch.setattr(identity, "SMALL_MODEL", 1000)
    assert identity.read_is_long(folder)
    assert asked() == model_files(folder) and read
    assert asked() == kept.of(folder) == model_files(folder) and not read
    assert asked(again=True) == model_files(folder) and read
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    assert kept.of(folder) is None
    assert asked() == model_files(folder) == kept.of(folder)
    (note,) = kept.folder.iterdir()
    note.write_text("{}")
    assert asked() == model_files(folder) and read, "a damaged note is as good as none"
    note.unlink()
    kept.folder.rmdir()
    kept.folder.write_text("in the way")
    assert asked() == model_files(folder), "where nothing can be kept, it is read"


def test_broken_folders_get_a_sentence(toy_folder: ToyFolder, tmp_path: Path) -> None:
    good = toy_folder("llama")

    def broken(name: str) -> Path:
        return copy_of(good, tmp_path / name)

    no_config = broken("no-config")
    (no_config / "config.json").unlink()
    bad_json = broken("bad-json")
    (bad_json / "config.json").write_text("{")
    no_type = copy_of(good, tmp_path / "no-type", model_type=None)
    no_weights = broken("no-weights")
    (no_weights / "model.safetensors").unlink()
    pickle = broken("pickle")
    (pickle / "model.safetensors").rename(pickle / "pytorch_model.bin")
    cut = broken("cut")
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[:-100])
    cut_header = broken("cut-header")
    (cut_header / "model.safetensors").write_bytes(data[:50])
    tiny = broken("tiny")
    (tiny / "model.safetensors").write_bytes(b"abc")
    other = broken("other-format")
    (other / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(200) + b"\xff" * 8)
    huge = broken("huge-header")
    (huge / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + bytes(100))
    odd_header = broken("odd-header")
    (odd_header / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]")
    shard_missing = broken("shard-missing")
    (shard_missing / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}})
    )
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")

    for folder, words in {
        tmp_path / "nowhere": "does not exist",
        no_config: "no config.json",
        bad_json: "not valid JSON",
        no_type: "model_type",
        no_weights: "no weights",
        pickle: "pickle",
        cut: "100 bytes are missing",
        cut_header: "in its header",
        tiny: "truncated",
        other: "in its header",
        huge: "not a safetensors file",
        odd_header: "damaged header",
        shard_missing: "model-2.safetensors",
        adapter: "adapter",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            describe_model(folder)
        assert str(folder) in caught.value.message
        with pytest.raises(UserError):
            load_for_training(folder)


# --- where a model is ------------------------------------------------------------------------


def test_models_are_found_by_folder_name_and_cache_id(
    toy_folder: ToyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy_folder("llama")
    base_models = tmp_path / "models" / "base"
    base_models.mkdir(parents=True)
    assert resolve_model(str(folder), base_models) == folder.resolve()
    copy_of(folder, base_models / "small")
    assert resolve_model("small", base_models) == (base_models / "small").resolve()

    cache = tmp_path / "cache"
    commit = "0" * 40
    snapshot = cache / "models--someone--some-model" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    copy_of(folder, snapshot)
    (cache / "models--someone--some-model" / "refs").mkdir()
    (cache / "models--someone--some-model" / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    found = resolve_model("someone/some-model", base_models)
    assert describe_model(found).model_type == "llama"

    for name in ("someone/other-model", "missing", "a/b/c", "not a name"):
        with pytest.raises(UserError, match="small"):
            resolve_model(name, base_models)


def test_a_cache_of_links_can_be_read(toy_folder: ToyFolder, tmp_path: Path) -> None:
    for file in toy_folder("llama").iterdir():
        (tmp_path / file.name).symlink_to(file)
    assert describe_model(tmp_path).model_type == "llama"
    assert load_for_training(tmp_path).config["model_type"] == "llama"


# --- loading ---------------------------------------------------------------------------------


def test_full_training_gets_float32_masters(toy_folder: ToyFolder) -> None:
    loaded = load_for_training(toy_folder("llama", dtype="bfloat16"))
    assert {value.dtype for value in named_parameters(loaded.model).values()} == {mx.float32}


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_a_frozen_base_takes_the_compute_type(toy_folder: ToyFolder, dtype: mx.Dtype) -> None:
    folder = toy_folder("llama", dtype="float16")
    loaded = load_for_training(folder, method="lora", compute_dtype=dtype)
    assert {value.dtype for value in named_parameters(loaded.model).values()} == {dtype}


def test_the_compute_type_fits_the_device() -> None:
    on_gpu = mx.default_device() == mx.Device(mx.gpu)
    assert default_compute_dtype() == (mx.bfloat16 if on_gpu else mx.float32)


def test_full_on_a_quantized_base_is_refused_before_weights_are_read(
    quantized_folder: ToyFolder, tmp_path: Path
) -> None:
    shutil.copy(quantized_folder("llama") / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"4-bit quantized.*LoRA.*mlx_lm\.convert"):
        load_for_training(tmp_path, method="full")


def test_a_dequantized_base_can_be_trained_in_full(
    quantized_folder: ToyFolder, tmp_path: Path
) -> None:
    import mlx_lm

    mlx_lm.convert(str(quantized_folder("llama")), str(tmp_path / "plain"), dequantize=True)
    loaded, method = prepare(tmp_path / "plain", kind="full")
    batch = text_batch(tmp_path / "plain")
    losses = train(loaded.model, batch)
    assert losses[-1] < losses[0] - 0.3
    (tmp_path / "saved").mkdir()
    assert save_weights(tmp_path / "saved", loaded, method).exact


def test_code_of_the_model_does_not_run_unasked(toy_folder: ToyFolder, tmp_path: Path) -> None:
    folder = copy_of(toy_folder("llama"), tmp_path / "m", model_file="net.py")
    (folder / "net.py").write_text("raise SystemExit('ran')")
    assert describe_model(folder).needs_remote_code
    with pytest.raises(UserError, match=r"net\.py.*trust_remote_code"):
        load_for_training(folder)


def test_code_of_the_model_runs_when_trusted(toy_folder: ToyFolder, tmp_path: Path) -> None:
    folder = copy_of(toy_folder("llama"), tmp_path / "m", model_file="net.py")
    (folder / "net.py").write_text("from mlx_lm.models.llama import Model, ModelArgs\n")
    loaded = load_for_training(folder, trust_remote_code=True)
    assert named_parameters(loaded.model)


def test_unknown_and_unfitting_models_get_a_sentence(toy_folder: ToyFolder, tmp_path: Path) -> None:
    unknown = copy_of(toy_folder("llama"), tmp_path / "unknown", model_type="nonesuch")
    with pytest.raises(UserError, match="nonesuch"):
        load_for_training(unknown)
    # mlx-lm's OLMo ends the process where its own library is missing.
    needy = copy_of(toy_folder("llama"), tmp_path / "needy", model_type="olmo")
    with pytest.raises(UserError, match="'olmo'"):
        load_for_training(needy)
    unfitting = copy_of(toy_folder("llama"), tmp_path / "unfitting", num_hidden_layers=5)
    with pytest.raises(UserError, match="Missing"):
        load_for_training(unfitting)
    no_tokenizer = copy_of(toy_folder("llama"), tmp_path / "no-tokenizer")
    for file in no_tokenizer.glob("token*"):
        file.unlink()
    with pytest.raises(UserError, match="tokenizer"):
        load_for_training(no_tokenizer)


def test_inference_with_and_without_an_adapter(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama")
    batch = text_batch(base)
    loaded, method = prepare(base, kind="lora")
    train(loaded.model, batch, steps=2)
    save_weights(tmp_path, loaded, method)
    adapted = load_for_inference(base, tmp_path)
    assert not adapted.model.training
    assert (logits(adapted.model, batch) == logits(loaded.model, batch)).all()
    plain = load_for_inference(base)
    assert (logits(plain.model, batch) != logits(loaded.model, batch)).any()
    with pytest.raises(UserError, match="base model it was trained on"):
        load_for_inference(toy_folder("gemma3"), tmp_path)
    with pytest.raises(UserError, match=r"adapter folder .* does not exist"):
        load_for_inference(base, tmp_path / "nowhere")


@pytest.mark.skipif(default_compute_dtype() != mx.float32, reason="GPUs multiply packed weights")
def test_packed_weights_are_unpacked_for_inference_where_memory_allows(
    quantized_folder: ToyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = quantized_folder("llama")
    batch = text_batch(folder)
    loaded, method = prepare(folder, kind="lora")
    train(loaded.model, batch, steps=2)
    save_weights(tmp_path, loaded, method)
    unpacked = load_for_inference(folder)
    shared = with_adapter(unpacked, tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    packed = load_for_inference(folder)
    assert unpacked.unpacked and not packed.unpacked
    assert not any(name.endswith("scales") for name in named_parameters(unpacked.model))
    assert any(name.endswith("scales") for name in named_parameters(packed.model))
    pairs = [(unpacked, packed), (shared, with_adapter(packed, tmp_path))]
    plain, adapted = ([logits(one.model, batch) for one in pair] for pair in pairs)
    np.testing.assert_allclose(*plain, atol=1e-4)
    np.testing.assert_allclose(*adapted, atol=1e-4)
    assert np.abs(adapted[0] - plain[0]).max() > 1e-2


def test_kernels_of_cuda_are_kept_where_only_the_user_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MLX_PTX_CACHE_DIR", "")  # So that it is put back afterwards.
    monkeypatch.delenv("MLX_PTX_CACHE_DIR")
    compilation.keep_kernels_of_cuda()
    assert "MLX_PTX_CACHE_DIR" not in os.environ  # Nothing is chosen for other devices.
    monkeypatch.setattr(compilation, "memory_is_apart", lambda: True)
    compilation.keep_kernels_of_cuda()
    chosen = Path(os.environ["MLX_PTX_CACHE_DIR"])
    assert chosen.is_dir() and chosen.is_relative_to(tmp_path)
    assert (tmp_path / "cpt-studio" / "kernels").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("MLX_PTX_CACHE_DIR", "/chosen")
    compilation.keep_kernels_of_cuda()
    assert os.environ["MLX_PTX_CACHE_DIR"] == "/chosen"
