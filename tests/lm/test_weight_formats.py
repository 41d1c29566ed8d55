"""What mlx-lm cannot read or train is said before anything is loaded, with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest
from mlx.utils import tree_flatten

from benchmarks.real_sizes.folders import Shapes, write_folder
from cptstudio.errors import UserError
from cptstudio.lm.description import describe_model, is_quantized
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.loading import load_for_inference, load_for_training
from cptstudio.lm.methods import apply_method
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.weight_formats import why_untrainable
from cptstudio.runs.preflight import count_parameters
from cptstudio.settings import MethodSettings
from cptstudio.weight_files import read_tensors
from tests.lm.conftest import ToyFolder
from tests.lm.small_runs import text_batch
from tests.toy_models import make_toy_model

_MODEL = "model.layers.0.mlp.up_proj"


def packed(
    toy_folder: ToyFolder, target: Path, settings: dict[str, Any] | None, **tensors: mx.array
) -> Path:
    """A toy whose config.json names a packing, with more tensors or others in its file."""
    shutil.copytree(toy_folder("llama"), target)
    file = target / "config.json"
    config = json.loads(file.read_text())
    if settings is not None:
        config["quantization_config"] = settings
    file.write_text(json.dumps(config))
    arrays = mx.load(str(target / "model.safetensors"))
    arrays |= {f"{_MODEL}.{leaf}": value for leaf, value in tensors.items()}
    mx.save_safetensors(str(target / "model.safetensors"), arrays, metadata={"format": "pt"})
    return target


_BYTES = mx.zeros((64, 32), dtype=mx.uint8)
_WORDS = mx.zeros((32, 8), dtype=mx.int32)
_GROUPS = mx.ones((1, 64), dtype=mx.float16)
CASES: dict[str, tuple[dict[str, Any] | None, dict[str, mx.array], str, int | None]] = {
    "bitsandbytes, 4 bits": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False},
        {"weight": _BYTES},
        "packed by bitsandbytes, which mlx-lm cannot read",
        4,
    ),
    "bitsandbytes, 8 bits": (
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {},
        "packed by bitsandbytes, which mlx-lm cannot read",
        8,
    ),
    "hqq": ({"quant_method": "hqq"}, {}, "packed by hqq, which", None),
    "no method": ({"bits": 4}, {}, "which mlx-lm cannot read", 4),
    "GPTQ without packed weights": (
        {"quant_method": "gptq", "bits": 4},
        {},
        "no file contains",
        4,
    ),
    "AWQ without packed weights": ({"quant_method": "awq", "bits": 4}, {}, "no file contains", 4),
    "GPTQ with g_idx": (
        {"quant_method": "gptq", "bits": 4},
        {"qweight": _WORDS, "g_idx": mx.zeros((64,), dtype=mx.int32)},
        "g_idx",
        4,
    ),
    "GPTQ packed along inputs": (
        {"quant_method": "gptq", "bits": 4},
        {"qweight": mx.zeros((4, 64), dtype=mx.int32), "scales": _GROUPS},
        "packed along its inputs",
        4,
    ),
    "AWQ with 8 bits": ({"quant_method": "awq", "bits": 8}, {"qweight": _WORDS}, "has 8", 8),
    "AWQ without scales": ({"quant_method": "awq", "bits": 4}, {"qweight": _WORDS}, "no scales", 4),
    "compressed-tensors of floats": (
        {
            "quant_method": "compressed-tensors",
            "format": "float-quantized",
            "config_groups": {"group_0": {"weights": {"num_bits": 8}}},
        },
        {},
        "'float-quantized'",
        8,
    ),
    "ModelOpt fp8": ({"quant_method": "modelopt", "quant_algo": "FP8"}, {}, "as FP8, not", 8),
    "fp8": ({"quant_method": "fp8"}, {}, "does not unpack for 'llama'", 8),
    "bytes without a word": (None, {"weight": _BYTES}, f"{_MODEL}.weight is stored as U8", None),
}


@pytest.mark.parametrize("case", CASES)
def test_what_mlx_lm_cannot_read_is_named(toy_folder: ToyFolder, tmp_path: Path, case: str) -> None:
    settings, tensors, said, bits = CASES[case]
    folder = packed(toy_folder, tmp_path / "model", settings, **tensors)
    description = describe_model(folder)
    assert description.obstacle is not None and said in description.obstacle
    assert (description.quantization.bits if description.quantization else None) == bits
    for load in (load_for_training, load_for_inference):
        with pytest.raises(UserError, match="cannot be read") as refused:
            load(folder, **({"method": "lora"} if load is load_for_training else {}))
        assert said in refused.value.message


def test_what_mlx_lm_reads_is_not_refused(
    toy_folder: ToyFolder, quantized_folder: ToyFolder, tmp_path: Path
) -> None:
    for folder in (toy_folder("llama"), quantized_folder("llama")):
        assert describe_model(folder).obstacle is None
    # As AutoAWQ packs: [inputs, outputs / 8], scales [groups, outputs].
    settings = {"quant_method": "awq", "bits": 4, "group_size": 32}
    awq = packed(toy_folder, tmp_path / "awq", settings, qweight=_WORDS, scales=_GROUPS)
    assert describe_model(awq).obstacle is None
    separate = packed(toy_folder, tmp_path / "modelopt", None)
    (separate / "hf_quant_config.json").write_text(
        json.dumps({"quantization": {"quant_algo": "NVFP4", "group_size": 16}})
    )
    found = is_quantized(separate)
    assert found is not None and (found.method, found.bits, found.group_size) == ("modelopt", 4, 16)
    with pytest.raises(UserError, match="cannot be trained in full"):
        load_for_training(separate)


def loss_and_gradients(folder: Path, kind: str = "lora") -> tuple[float, dict[str, mx.array]]:
    """Of adapters on a base, in float32."""
    loaded = load_for_training(folder, method=kind, compute_dtype=mx.float32)
    apply_method(loaded, MethodSettings(kind=kind, rank=4))
    batch = text_batch(folder)
    nats, count, gradients = GradientStep(loaded.model, streams=1, lasting=loaded.lasting)(
        batch[:, :-1], batch[:, 1:]
    )
    mx.eval(nats, gradients)
    return nats.item() / count, dict(tree_flatten(gradients))


def assert_trained_alike(packed_folder: Path, plain: Path, kind: str = "lora") -> None:
    """Adapters on a packed base learn what they learn on the numbers that it stands for."""
    loss, gradients = loss_and_gradients(packed_folder, kind)
    expected, wanted = loss_and_gradients(plain, kind)
    assert loss == pytest.approx(expected, abs=1e-4)
    assert gradients.keys() == wanted.keys()
    for name, value in wanted.items():
        difference = mx.linalg.norm(gradients[name] - value).item()
        assert difference <= 5e-3 * mx.linalg.norm(value).item(), name


def with_weights(base: Path, target: Path, weights: dict[str, mx.array]) -> Path:
    """A base with other numbers, unpacked."""
    shutil.copytree(base, target)
    mx.save_safetensors(str(target / "model.safetensors"), weights, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize(
    ("mode", "group", "bits", "kind"),
    [("mxfp4", 32, 4, "lora"), ("nvfp4", 16, 4, "lora"), ("mxfp8", 32, 8, "dora")],
)
def test_bases_with_scales_of_8_bits_are_trained_by_adapters(
    tmp_path: Path, mode: str, group: int, bits: int, kind: str
) -> None:
    toy = make_toy_model("llama", tmp_path / "toy", hidden_size=64)
    base = tmp_path / "packed"
    mlx_lm.convert(str(toy), str(base), quantize=True, q_mode=mode, q_bits=bits, q_group_size=group)
    stored = mx.load(str(base / "model.safetensors"))
    weights = {}
    for name, value in stored.items():
        path, _, leaf = name.rpartition(".")
        scales = stored.get(f"{path}.scales")
        if leaf == "weight" and scales is not None:
            assert scales.dtype == mx.uint8
            value = mx.dequantize(value, scales, None, group, bits, mode).astype(mx.float32)
        if leaf != "scales":
            weights[name] = value.astype(mx.float32)
    plain = with_weights(toy, tmp_path / "plain", weights)
    assert_trained_alike(base, plain, kind)
    loaded = load_for_training(base, method="lora", compute_dtype=mx.float32)
    own = named_parameters(loaded.model)
    assert {own[name].dtype for name in own if name.endswith("scales")} == {mx.uint8}
    with pytest.raises(UserError, match="cannot be trained in full"):
        load_for_training(base)


def as_awq_packs(weight: np.ndarray, group: int) -> tuple[dict[str, mx.array], mx.array]:
    """A matrix [outputs, inputs] as AutoAWQ's GEMM packs it, and the numbers it stands for."""
    inputs = weight.T.reshape(-1, group, weight.shape[0])
    low, high = inputs.min(1), inputs.max(1)
    scales = ((high - low) / 15).astype(np.float16).astype(np.float32)
    zeros = np.clip(np.round(-low / scales), 0, 15)
    codes = np.clip(np.round(inputs / scales[:, None] + zeros[:, None]), 0, 15)
    numbers = ((codes - zeros[:, None]) * scales[:, None]).reshape(-1, weight.shape[0]).T

    def words(values: np.ndarray) -> mx.array:
        eights = values.astype(np.uint32).reshape(-1, weight.shape[0] // 8, 8)
        packed_ones = np.zeros(eights.shape[:2], np.uint32)
        for place, column in enumerate((0, 2, 4, 6, 1, 3, 5, 7)):
            packed_ones |= eights[:, :, column] << (4 * place)
        return mx.array(packed_ones.view(np.int32))

    tensors = {
        "qweight": words(codes.reshape(-1, weight.shape[0])),
        "qzeros": words(zeros),
        "scales": mx.array(scales).astype(mx.float16),
    }
    return tensors, mx.array(numbers.astype(np.float32))


def test_a_base_that_awq_packed_is_trained_by_adapters(tmp_path: Path) -> None:
    toy = make_toy_model("llama", tmp_path / "toy", hidden_size=64)
    stored, weights, base = {}, {}, tmp_path / "awq"
    for name, value in mx.load(str(toy / "model.safetensors")).items():
        if "proj" not in name:
            stored[name] = weights[name] = value
            continue
        tensors, weights[name] = as_awq_packs(np.array(value), 32)
        path = name.removesuffix(".weight")
        stored |= {f"{path}.{leaf}": one for leaf, one in tensors.items()}
    plain = with_weights(toy, tmp_path / "plain", weights)
    with_weights(toy, base, stored)
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
    }  # fmt: skip
    (base / "config.json").write_text(json.dumps(config))
    assert_trained_alike(base, plain)


def test_what_has_no_gradient_is_not_trained(toy_folder: ToyFolder, tmp_path: Path) -> None:
    assert why_untrainable("llama", None, "metal") is None
    assert why_untrainable("llama", "mxfp4", "cpu") is None
    for model_type in ("rwkv7", "deepseek_v41"):
        assert why_untrainable(model_type, None, "cpu") is None
        assert "no gradient" in str(why_untrainable(model_type, None, "metal"))
    for accelerator in ("metal", "cuda", "cpu"):
        assert "kernels without a gradient" in str(why_untrainable("muse_spark", None, accelerator))
    for method in ("full", "lora", "dora"):
        folder = packed(toy_folder, tmp_path / method, {"quant_method": "bitnet"})
        with pytest.raises(UserError, match="cannot be trained: its ternary weights"):
            load_for_training(folder, method=method)


def test_packed_weights_are_counted_unpacked_in_every_form(tmp_path: Path) -> None:
    """MXFP4 as gpt-oss is published, AWQ, and mlx-lm's own, by the headers alone."""
    experts = "model.layers.0.mlp.experts.down_proj"
    layer = "model.layers.0.self_attn.q_proj"
    shapes: Shapes = {
        f"{experts}_blocks": ("U8", (4, 64, 3, 16)),
        f"{experts}_scales": ("U8", (4, 64, 3)),
        f"{experts}_bias": ("BF16", (4, 64)),
        f"{layer}.qweight": ("U32", (128, 16)),
        f"{layer}.qzeros": ("U32", (1, 16)),
        f"{layer}.scales": ("F16", (1, 128)),
        "model.embed_tokens.weight": ("U32", (512, 8)),
        "model.embed_tokens.scales": ("F16", (512, 1)),
        "model.embed_tokens.biases": ("F16", (512, 1)),
    }
    config = {"model_type": "llama", "quantization": {"bits": 4, "group_size": 64}}
    write_folder(tmp_path / "model", config, shapes)
    found = describe_model(tmp_path / "model").parameters
    assert found == 4 * 64 * 96 + 4 * 64 + 128 * 128 + 512 * 64


def test_weights_that_lie_beside_are_not_counted(toy_folder: ToyFolder, tmp_path: Path) -> None:
    base = toy_folder("llama")
    count = describe_model(base).parameters
    assert count_parameters(base) == count
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    weights = folder / "model.safetensors"
    for copy in ("consolidated.safetensors", "adapters.safetensors", "original/model.safetensors"):
        (folder / copy).parent.mkdir(exist_ok=True)
        shutil.copy(weights, folder / copy)
    # The same tensors twice in files that mlx-lm reads are there once.
    shutil.copy(weights, folder / "model-00001-of-00001.safetensors")
    assert describe_model(folder).parameters == count_parameters(folder) == count
    assert describe_model(folder).bytes == describe_model(base).bytes


@pytest.mark.parametrize(
    ("named", "there", "said"),
    [
        ("model-00002-of-00002.safetensors", False, "lacks 1 of its weight files"),
        ("consolidated.safetensors", True, "reads only files named model"),
    ],
)
def test_an_index_that_names_other_files_is_told(
    toy_folder: ToyFolder, tmp_path: Path, named: str, there: bool, said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(toy_folder("llama"), folder)
    if there:
        shutil.copy(folder / "model.safetensors", folder / named)
    index = {"weight_map": {"a": "model.safetensors", "b": named}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=said):
        read_tensors(folder)
