"""Formats of packed weights: which ones mlx-lm can read, and which ones can be trained.

Read from config.json and the headers of the weight files, without MLX. Each sentence says why, so
that it can stand behind "The model in PATH cannot be used: ".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cptstudio.durable import integer

if TYPE_CHECKING:
    from cptstudio.weight_files import Tensor

READ_BY_MLX_LM = frozenset(
    {"mxfp4", "mxfp8", "fp8", "compressed-tensors", "modelopt", "awq", "gptq", "bitnet"}
)
"""Values of quant_method that mlx-lm 0.32's `load_model` knows."""

_UNPACK_FP8 = frozenset(
    {
        "deepseek_v3", "deepseek_v32", "glm_moe_dsa", "joyai_llm_flash", "kimi_k2", "kimi_k25",
        "mimo_v2_flash", "minimax", "minimax_m2", "minimax_m3_vl", "ministral3", "mistral3",
        "mistral4",
    }
)  # fmt: skip
"""Architectures whose `sanitize` in mlx-lm multiplies fp8 weights with their scales."""

_COMPRESSED = ("nvfp4-pack-quantized", "mxfp4-pack-quantized", "pack-quantized")
_BITS = {"mxfp4": 4, "mxfp8": 8, "fp8": 8, "fbgemm_fp8": 8, "bitnet": 2}
_NAMES = {"bitsandbytes": "bitsandbytes", "gptq": "GPTQ", "awq": "AWQ"}

# Architectures whose layers have no gradient, by the condition under which they have none.
_NO_GRADIENT = {
    "bitnet": "its ternary weights are packed in layers that mlx-lm can run but not train",
    "prism_hadamard_qwen35": "its packed layers can be run by mlx-lm but not trained",
    "muse_spark": "mlx-lm has its attention and experts only as Mac kernels without a gradient",
}
_NO_GRADIENT_ON_METAL = {
    "rwkv7": "mlx-lm computes its recurrence on a Mac's GPU with a kernel that has no gradient",
    "deepseek_v41": "mlx-lm mixes its streams on a Mac's GPU with a kernel that has no gradient",
}

_NOT_COMPILED = frozenset({"dbrx"})
"""Architectures that look at numbers while they compute, which `mx.compile` does not allow."""

_ORIGINAL = (
    "Use the original model. If it has to be small, quantize it with `mlx_lm.convert "
    "--hf-path MODEL --mlx-path NEW_FOLDER -q`."
)


def bits_of(settings: Mapping[str, Any]) -> int | None:
    """Return the bits of a weight, by a configuration that another tool than mlx-lm wrote."""
    said = integer(settings.get("bits"))
    if said is not None:
        return said
    if settings.get("load_in_4bit") or settings.get("_load_in_4bit"):
        return 4
    if settings.get("load_in_8bit") or settings.get("_load_in_8bit"):
        return 8
    algorithm = str(settings.get("quant_algo", ""))
    if algorithm:
        return 4 if "4" in algorithm else 8
    groups = settings.get("config_groups")
    if isinstance(groups, dict) and groups:
        weights = next(iter(groups.values()))
        weights = weights.get("weights") if isinstance(weights, dict) else None
        count = weights.get("num_bits") if isinstance(weights, dict) else None
        return count if isinstance(count, int) else None
    return _BITS.get(str(settings.get("quant_method")))


def why_unreadable(
    model_type: str, settings: Mapping[str, Any] | None, tensors: Mapping[str, Tensor]
) -> str | None:
    """Return why mlx-lm cannot read weights packed like this; None where nothing is known.

    Args:
        settings: its quantization_config, or None; mlx-lm's own packing is not asked about.
    """
    if settings is None:
        return _unnamed_packing(model_type, tensors)
    method = str(settings.get("quant_method"))
    name = _NAMES.get(method, method)
    if method not in READ_BY_MLX_LM:
        return f"its weights are packed by {name}, which mlx-lm cannot read. {_ORIGINAL}"
    if method in ("awq", "gptq"):
        return _awq_obstacle(name, settings, tensors)
    if method == "compressed-tensors" and settings.get("format") not in _COMPRESSED:
        kind = settings.get("format")
        return (
            f"its weights are in the compressed-tensors format {kind!r}, but mlx-lm reads "
            f"only {', '.join(_COMPRESSED)}. {_ORIGINAL}"
        )
    if method == "modelopt":
        inner = settings.get("quantization")
        algorithm = (inner if isinstance(inner, dict) else settings).get("quant_algo")
        if algorithm != "NVFP4":
            return f"its weights are packed by ModelOpt as {algorithm}, not NVFP4. {_ORIGINAL}"
    if method == "fp8":
        blocks = [32, 32]
        native = settings.get("scale_fmt") == "ue8m0"
        native = native and list(settings.get("weight_block_size") or ()) == blocks
        if not native and model_type not in _UNPACK_FP8:
            return (
                f"its weights are fp8, which mlx-lm does not unpack for {model_type!r}. {_ORIGINAL}"
            )
    return None


def _unnamed_packing(model_type: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Weights of 8 bits without a word about them would be taken for numbers as they lie."""
    if model_type in ("bitnet", "gpt_oss"):
        return None
    for name, tensor in tensors.items():
        packed = name.endswith("weight") and tensor.dtype in ("I8", "U8")
        if packed or tensor.dtype.startswith("F8"):
            return (
                f"{name} is stored as {tensor.dtype}, and config.json does not say how to unpack "
                f"it. {_ORIGINAL}"
            )
    return None


def _awq_obstacle(
    name: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> str | None:
    bits = settings.get("bits", 4)
    if bits != 4:
        return f"mlx-lm reads {name} with 4 bits, but this model has {bits}. {_ORIGINAL}"
    packed = {
        key[: -len(".qweight")]: one for key, one in tensors.items() if key.endswith(".qweight")
    }
    if not packed:
        return (
            f"config.json says that its weights are packed by {name}, but no file "
            "contains packed weights (.qweight). Download the model again."
        )
    if any(key.endswith(".g_idx") for key in tensors):
        return f"mlx-lm cannot read {name} weights in groups by activation (g_idx). {_ORIGINAL}"
    for path, weight in packed.items():
        scales = tensors.get(f"{path}.scales")
        if scales is None:
            return f"{path}.qweight has no scales. Download the model again."
        # AutoAWQ packs along the outputs. GPTQ packs along the inputs, and mlx-lm would not notice.
        if len(weight.shape) != 2 or weight.shape[1] * 8 != scales.shape[-1]:
            return (
                f"{path}.qweight is packed along its inputs, which mlx-lm cannot read. {_ORIGINAL}"
            )
    return None


def why_untrainable(model_type: str, method: str | None, accelerator: str) -> str | None:
    """Return why no part of a model can be trained; None where nothing is known against it.

    Args:
        method: how its weights are packed, see `Quantization`; None where they are not.
        accelerator: "metal", "cuda" or "cpu".
    """
    reason = _NO_GRADIENT["bitnet"] if method == "bitnet" else _NO_GRADIENT.get(model_type)
    if reason is None and accelerator == "metal":
        reason = _NO_GRADIENT_ON_METAL.get(model_type)
    return None if reason is None else f"{reason}. Choose another base model."


def can_be_compiled(model_type: str) -> bool:
    """Return whether a training step of a model can be compiled."""
    return model_type not in _NOT_COMPILED
