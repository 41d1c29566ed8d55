"""A model folder's description, from config.json and the headers of its weight files.

Nothing here loads weights or imports MLX, so the web server may use it. Files are opened
through links, because the Hugging Face cache keeps snapshots as links to its blobs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio.durable import integer, read_foreign_json
from cptstudio.errors import UserError
from cptstudio.lm import weight_formats
from cptstudio.lm.config_section import language_model
from cptstudio.lm.model_config import normalized
from cptstudio.lm.vocabulary import embedding_rows
from cptstudio.model_bounds import check_numbers
from cptstudio.weight_files import Tensor, check_present, read_tensors

_LIMIT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
_SCALES = ("scales", "biases", "global_scale", "qzeros", "g_idx")
"""What stands beside packed weights and is none."""
_FLOATS = {
    "F64": "float64",
    "F32": "float32",
    "BF16": "bfloat16",
    "F16": "float16",
    "F8_E4M3": "float8_e4m3",
    "F8_E5M2": "float8_e5m2",
}


@dataclass(frozen=True)
class Quantization:
    """How a model's weights are packed.

    Attributes:
        bits: of one weight; None where the configuration does not say.
        group_size: weights that share a scale; None where the configuration does not say.
        method: "mlx" for a model quantized by mlx-lm, otherwise the configuration's name
            for it, such as "awq" or "fp8".
    """

    bits: int | None
    group_size: int | None
    method: str


@dataclass(frozen=True)
class ModelDescription:
    """A model's description, made without loading it.

    Attributes:
        model_type: the architecture's name in mlx-lm and transformers, such as "qwen3".
        parameters: number of weights in its files, packed ones unpacked; what mlx-lm loads of
            them may be less, see `lm.network_reader`.
        bytes: size of the weight files' tensors.
        dtype: of most of the unpacked weights, such as "bfloat16".
        quantization: None when the weights are not packed.
        vocabulary_size: as the configuration says; None where it does not.
        embedding_rows: token ids below it have rows in embedding and head, by the shapes of the
            weights; None where neither these nor the configuration tell.
        context_limit: tokens the model was made for; None for a model without a limit.
        has_chat_template: the tokenizer brings one.
        needs_remote_code: the model brings Python code that mlx-lm would have to run.
        full_training_obstacle: why every parameter cannot be trained, and what to do; None
            when nothing is in the way.
        obstacle: why mlx-lm cannot read its weights, and what to do; None when nothing is known.
    """

    path: Path
    model_type: str
    architectures: tuple[str, ...]
    parameters: int
    bytes: int
    dtype: str
    quantization: Quantization | None
    vocabulary_size: int | None
    embedding_rows: int | None
    context_limit: int | None
    has_chat_template: bool
    needs_remote_code: bool
    full_training_obstacle: str | None
    obstacle: str | None


def describe_model(path: Path) -> ModelDescription:
    """Describe the model in a folder.

    Raises:
        UserError: the folder holds no model that can be used; the message says why.
    """
    config = normalized(read_model_config(path), path / "config.json")
    tensors = read_tensors(path)
    text = language_model(config)
    quantization = _quantization(config, path)
    limits = (text[key] for key in _LIMIT_KEYS if isinstance(text.get(key), int))
    return ModelDescription(
        path=path,
        model_type=config["model_type"],
        architectures=_names(config.get("architectures")),
        parameters=_count_parameters(config, tensors),
        bytes=sum(tensor.bytes for tensor in tensors.values()),
        dtype=_main_dtype(tensors),
        quantization=quantization,
        vocabulary_size=integer(text.get("vocab_size")),
        embedding_rows=_embedding_rows(config, tensors),
        context_limit=next(limits, None),
        has_chat_template=_has_chat_template(path),
        needs_remote_code=config.get("model_file") is not None,
        full_training_obstacle=full_training_obstacle(quantization),
        obstacle=_obstacle(path, config, tensors),
    )


def why_unreadable(path: Path) -> str | None:
    """Why mlx-lm cannot read the weights of the model in a folder; None when nothing is known."""
    return _obstacle(path, read_model_config(path), read_tensors(path))


def _obstacle(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str | None:
    if isinstance(config.get("quantization"), dict):
        return None
    settings = _foreign_quantization(config, path)
    return weight_formats.why_unreadable(config["model_type"], settings, tensors)


def read_embedding_rows(path: Path) -> int | None:
    """Return how many token ids the model in a folder has rows for; see `ModelDescription`.

    Raises:
        UserError: as for `describe_model`.
    """
    return _embedding_rows(read_model_config(path), read_tensors(path))


def _embedding_rows(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int | None:
    said = integer(language_model(config).get("vocab_size"))
    return embedding_rows({name: tensor.shape for name, tensor in tensors.items()}, said)


def full_training_obstacle(quantization: Quantization | None) -> str | None:
    """Return why a model packed like this cannot be trained in full, and what to do instead."""
    if quantization is None:
        return None
    bits = f"{quantization.bits}-bit " if quantization.bits else ""
    return (
        f"its weights are {bits}quantized ({quantization.method}), and packed weights "
        "have no gradients. Use LoRA or DoRA, or dequantize it first with "
        "`mlx_lm.convert --hf-path MODEL --mlx-path NEW_FOLDER -d` and train the result "
        "in full."
    )


def is_quantized(path: Path) -> Quantization | None:
    """Return how the model in a folder is packed, from config.json alone."""
    return _quantization(read_model_config(path), path)


# --- config.json -----------------------------------------------------------------------------


def read_model_config(path: Path) -> dict[str, Any]:
    """Read config.json of a model folder as it is written.

    The literals NaN and Infinity are accepted: published configurations contain them.

    Raises:
        UserError: there is no such folder or file, it is not a model's configuration, or its
            numbers are no model's.
    """
    check_present(path)
    if not path.is_dir():
        raise UserError(f"{path} is not a folder, so it cannot be a model.")
    file = path / "config.json"
    try:
        config = read_foreign_json(file)
    except FileNotFoundError:
        if (path / "adapter_config.json").exists():
            raise UserError(
                f"{path} contains an adapter (adapter_config.json), not a full model. Use "
                "the folder of its base model instead."
            ) from None
        raise UserError(
            f"{path} has no config.json, so it is not a model folder in Hugging Face or "
            "mlx-lm format."
        ) from None
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}). Download the model again.") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError(f"{file} has no model_type, so it does not describe a language model.")
    check_numbers(config, file)
    return config


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(str(item) for item in value)
    return ()


def _quantization(config: Mapping[str, Any], path: Path) -> Quantization | None:
    own = config.get("quantization")
    if isinstance(own, dict):
        return Quantization(integer(own.get("bits")), integer(own.get("group_size")), "mlx")
    foreign = _foreign_quantization(config, path)
    if foreign is None:
        return None
    inner = foreign.get("quantization")
    sizes = inner if isinstance(inner, dict) else foreign
    method = foreign.get("quant_method")
    return Quantization(
        weight_formats.bits_of({**foreign, **sizes}),
        integer(sizes.get("group_size")),
        method if isinstance(method, str) else "unknown",
    )


def _foreign_quantization(config: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """How another tool than mlx-lm packed the weights, where mlx-lm looks for it."""
    for place in (config, language_model(config)):
        settings = place.get("quantization_config")
        if isinstance(settings, dict):
            return settings
    try:
        separate = read_foreign_json(path / "hf_quant_config.json")
    except (FileNotFoundError, ValueError, UserError):
        return None
    if not isinstance(separate, dict):
        return None
    return {"quant_method": "modelopt", **separate}


def _has_chat_template(path: Path) -> bool:
    if (path / "chat_template.jinja").exists() or (path / "chat_template.json").exists():
        return True
    try:
        settings = read_foreign_json(path / "tokenizer_config.json")
    except (FileNotFoundError, ValueError, UserError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))


def _count_parameters(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> int:
    table = config.get("quantization")
    table = table if isinstance(table, dict) else {}
    total = 0
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        count = math.prod(tensor.shape)
        if f"{module}.scales" in tensors:
            if leaf == "qweight":
                # GPTQ and AWQ: eight numbers of 4 bits, the only ones that mlx-lm reads.
                count *= 8
            elif leaf == "weight" and tensor.dtype == "U32":
                own = table.get(module)
                group = (own if isinstance(own, dict) else table).get("group_size")
                # Each scale stands for one group of weights.
                count = math.prod(tensors[f"{module}.scales"].shape) * (integer(group) or 64)
            elif leaf in _SCALES:
                continue
        elif leaf.endswith("_blocks"):
            # MXFP4: two numbers a byte, and a tensor of their scales beside.
            count *= 2
        elif f"{name.removesuffix('_scales')}_blocks" in tensors:
            continue
        total += count
    return total


def _main_dtype(tensors: Mapping[str, Tensor]) -> str:
    sizes: dict[str, int] = {}
    for tensor in tensors.values():
        if tensor.dtype in _FLOATS:
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.bytes
    return _FLOATS[max(sizes, key=lambda dtype: sizes[dtype])] if sizes else "unknown"


# --- where a model is ------------------------------------------------------------------------


def resolve_model(name: str, base_models: Path) -> Path:
    """Return the folder of a model that the user named.

    Args:
        name: a folder, the name of a folder under `base_models`, or the id of a model in the
            local Hugging Face cache, such as "Qwen/Qwen3-0.6B-Base". Nothing is downloaded.
        base_models: the workspace's models/base/.

    Raises:
        UserError: there is none of these.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return local.resolve()
    if "/" not in name and (base_models / name).is_dir():
        return (base_models / name).resolve()
    cached = _in_hugging_face_cache(name)
    if cached is not None:
        return cached
    there = sorted(entry.name for entry in base_models.glob("*") if entry.is_dir())
    raise UserError(
        f"There is no model {name!r}: it is not a folder, not in {base_models}, and not "
        "in the Hugging Face cache. "
        + (f"Models in models/base/: {', '.join(there)}." if there else "Download it first.")
    )


def _in_hugging_face_cache(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None
