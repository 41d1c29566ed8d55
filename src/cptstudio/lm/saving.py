"""Writing a model so that mlx-lm, and where possible transformers, load it as it lies.

What is written for which method:

- full: a complete model folder.
- lora, dora: adapters.safetensors and adapter_config.json, for
  `mlx_lm.load(base, adapter_path=...)`.
- lora, dora with trained embeddings: a complete model folder with the adapters fused in,
  because mlx-lm's adapter files cannot hold embeddings.

A complete folder has the tensor names of the base model's own files, so that whatever reads
the base reads the result. Where mlx-lm's loading has no exact inverse, and for bases that were
quantized by mlx-lm, it has mlx-lm's names instead. Each tensor has the type that the base's files
store it in (`lm.tensor_types`).

Nothing here flushes to the disk: the caller commits the whole checkpoint folder at once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
from mlx.nn.layers.base import Module

from cptstudio.durable import dump_json
from cptstudio.lm.description import read_model_config
from cptstudio.lm.loading import ADAPTER_LEAVES, LoadedModel, load_network, wider_values
from cptstudio.lm.methods import AppliedMethod, unpacked
from cptstudio.lm.model_config import additions, normalized
from cptstudio.lm.parameter_kinds import constants, parameter_kinds
from cptstudio.lm.parameters import named_parameters, set_parameters, trainable_parameters
from cptstudio.lm.tensor_layout import TensorLayout
from cptstudio.lm.tensor_types import NAMES, as_stored, main_type
from cptstudio.weight_files import read_tensors, weight_files

SHARD_SIZE = 5 * 10**9
"""Bytes of tensors in one weight file, at most, as Hugging Face's tools split them."""

ADAPTER_WEIGHTS = "adapters.safetensors"
ADAPTER_CONFIG = "adapter_config.json"

ADAPTER_NOTE = "README.md"
_ADAPTER_NOTE = """The adapter in this folder was trained on {base}

Newer transformers write the config.json of that model in a form that mlx-lm reads in part: it
lacks {fields}. CPT Studio reads it as it is meant. `mlx_lm.load(base, adapter_path=...)` and
mlx-lm's other programs may refuse the base, or compute another model without saying so. For those,
save the sum of base and adapter with `cpt-studio merge`: that folder holds both forms.
"""

_METADATA = {"format": "mlx"}
_COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.tiktoken", "*.model", "*.jsonl", "*.py")
# Files of a model folder that describe its weights or its training, not its tokenizer.
_OWN_FILES = frozenset(
    {
        "config.json", "model.safetensors.index.json", "hf_quant_config.json",
        "adapter_config.json", "manifest.json",
    }
)  # fmt: skip
_COMPANION_SIZE_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True)
class SavedWeights:
    """What `save_weights` wrote.

    Attributes:
        layout: "model" for a complete model folder, "adapter" for files beside the base.
        exact: the files hold the trained parameters bit for bit, so that training can go on
            from them; otherwise the training state must hold `trainable_parameters(model)`.
        files: names in the folder.
        base_names: the tensors are named as in the base model's files, for other programs;
            False when they are named as in mlx-lm.
    """

    layout: Literal["model", "adapter"]
    exact: bool
    files: tuple[str, ...]
    base_names: bool


def save_weights(folder: Path, loaded: LoadedModel, method: AppliedMethod) -> SavedWeights:
    """Write the model, or its adapter, into an existing folder.

    Args:
        folder: where; files of the same names are overwritten.
        method: what `apply_method` returned for it.

    A complete model's tensors get the types of the base's; adapters are written as they are.
    """
    if method.kind != "full" and not method.train_embeddings:
        return _save_adapter(folder, loaded, method)
    exact = method.kind == "full" and stored_exactly(loaded)
    if method.kind == "full":
        parameters = named_parameters(loaded.model)
    else:
        parameters = fused_parameters(loaded.model, wider_values(loaded))
    files, base_names = save_model_folder(folder, loaded, parameters)
    return SavedWeights("model", exact, files, base_names)


def stored_exactly(loaded: LoadedModel) -> bool:
    """Whether the base's types hold the trained parameters of full training bit for bit."""
    return all(tensor.dtype == "F32" for tensor in read_tensors(loaded.path).values()) and all(
        loaded.stored_types.get(name) == value.dtype
        for name, value in trainable_parameters(loaded.model).items()
    )


def load_weights(folder: Path, loaded: LoadedModel, method: AppliedMethod) -> None:
    """Put the parameters of an exact checkpoint back into a model prepared the same way.

    Args:
        folder: where `save_weights` returned `exact`.
        loaded: loaded from the same base, with the same method applied.
        method: what `apply_method` returned for it.
    """
    if method.kind != "full":
        restore_trainable(loaded.model, _load_arrays([folder / ADAPTER_WEIGHTS]))
        return
    # It is renamed as for the base, whatever names the files have.
    saved, _ = load_network(folder, trust_remote_code=bool(loaded.config.get("model_file")))
    wanted = trainable_parameters(loaded.model).keys() | constants(
        parameter_kinds(loaded.model), "kinds"
    )
    values = named_parameters(saved)
    restore_trainable(loaded.model, {name: values[name] for name in values if name in wanted})


def restore_trainable(model: Module, weights: Mapping[str, mx.array]) -> None:
    """Set every trained parameter, bit for bit.

    Weights of a run of before may hold constants, which were trained then: they are set, too.

    Raises:
        ValueError: the names, shapes or types are not those of the trained parameters.
    """
    expected = trainable_parameters(model)
    frozen = {
        name: weights[name]
        for name in constants(parameter_kinds(model), "kinds")
        if name in weights and name not in expected
    }
    if expected.keys() != weights.keys() - frozen.keys():
        different = sorted(expected.keys() ^ weights.keys())
        raise ValueError(
            f"{len(different)} parameters do not fit the model, among them {different[0]}"
        )
    for name, value in weights.items():
        if name in expected and value.dtype != expected[name].dtype:
            raise ValueError(f"{name} is {value.dtype}, not {expected[name].dtype}")
    set_parameters(model, weights)
    mx.eval(trainable_parameters(model))


def _load_arrays(files: list[Path]) -> dict[str, mx.array]:
    arrays: dict[str, mx.array] = {}
    for file in files:
        arrays |= mx.load(str(file))  # type: ignore[arg-type]
    return arrays


# --- adapters --------------------------------------------------------------------------------


def _save_adapter(folder: Path, loaded: LoadedModel, method: AppliedMethod) -> SavedWeights:
    weights = trainable_parameters(loaded.model)
    mx.save_safetensors(str(folder / ADAPTER_WEIGHTS), weights, metadata=_METADATA)
    text = dump_json(dict(method.adapter_config or {}), indent=2)
    (folder / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")
    files = [ADAPTER_WEIGHTS, ADAPTER_CONFIG]
    differing = sorted(additions(read_model_config(loaded.path), loaded.path / "config.json"))
    if differing:
        # mlx-lm reads an adapter's base by itself, so nothing in this folder can put it right.
        note = _ADAPTER_NOTE.format(base=loaded.path, fields=", ".join(differing))
        (folder / ADAPTER_NOTE).write_text(note, encoding="utf-8")
        files.append(ADAPTER_NOTE)
    return SavedWeights("adapter", True, tuple(files), True)


def fused_parameters(
    model: Any, wider: Mapping[str, mx.array] | None = None
) -> dict[str, mx.array]:
    """Parameters of the plain network that computes what a network with adapters computes.

    Packed weights are unpacked, and sums are made in float32. The network itself is left as it is;
    the result is lazy, and belongs to no network, so it needs no memory before it is written.

    Args:
        wider: values in place of the network's own.
    """
    present = named_parameters(model)
    own = {
        name: value
        for name, value in present.items()
        if value.dtype in NAMES and name.rpartition(".")[2] not in ADAPTER_LEAVES
    }
    set_parameters(
        model,
        {name: (wider or {}).get(name, value).astype(mx.float32) for name, value in own.items()},
    )
    try:
        return _fused(model)
    finally:
        set_parameters(model, own)


def _fused(model: Any) -> dict[str, mx.array]:
    fused: dict[str, Any] = {}
    for path, module in model.named_modules():
        if hasattr(module, "fuse"):
            fused[path] = module.fuse(dequantize=True)
        elif hasattr(module, "bits") and hasattr(module, "scales"):
            fused[path] = unpacked(module)
    # The adapters' own inner layers are parts of what they were fused into.
    tops = [path for path in fused if path.rpartition(".")[0] not in fused]
    parameters = {
        name: value
        for name, value in named_parameters(model).items()
        if not any(name.startswith(path + ".") for path in tops)
    }
    for path in tops:
        for leaf, value in named_parameters(fused[path]).items():
            parameters[f"{path}.{leaf}"] = value
    return parameters


# --- complete model folders ------------------------------------------------------------------


def save_model_folder(
    folder: Path,
    loaded: LoadedModel,
    parameters: Mapping[str, mx.array],
    *,
    shard_size: int = SHARD_SIZE,
) -> tuple[tuple[str, ...], bool]:
    """Write a complete model folder: config.json, weights, and the base's tokenizer files.

    Args:
        loaded: the model whose architecture, configuration and tokenizer it has.
        parameters: all parameters, as mlx-lm names them, unpacked.
        shard_size: largest sum of tensor bytes in one file.

    Returns:
        The names of the files, and whether the tensors are named as in the base's files.
    """
    layout = loaded.layout
    if layout is None:
        tensors = as_stored(parameters, None, loaded.stored_types)
    else:
        files_tensors = read_tensors(loaded.path)
        tensors = as_stored(layout.restore(parameters), files_tensors, loaded.stored_types)
        tensors |= _untouched(loaded, layout)
    written = main_type(tensors)
    files = _write_shards(folder, tensors, shard_size)
    config = _clean_config(loaded.path, NAMES.get(written) if written else None)
    (folder / "config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    return ("config.json", *files, *_copy_companions(loaded.path, folder)), layout is not None


def _untouched(loaded: LoadedModel, layout: TensorLayout) -> dict[str, mx.array]:
    """Tensors of the base that its network in mlx-lm does not have, such as an image encoder."""
    # A head that is dropped is a copy of the embedding; rotary tables are computed anew.
    superfluous = ("lm_head.weight", "inv_freq", ".masked_bias", ".attention.bias")
    wanted = {name for name in layout.dropped if not name.endswith(superfluous)}
    if not wanted:
        return {}
    arrays = _load_arrays(weight_files(loaded.path))
    return {name: arrays[name] for name in wanted}


def _write_shards(folder: Path, tensors: dict[str, mx.array], shard_size: int) -> tuple[str, ...]:
    shards: list[dict[str, mx.array]] = [{}]
    size = 0
    for name, value in tensors.items():
        if shards[-1] and size + value.nbytes > shard_size:
            shards.append({})
            size = 0
        shards[-1][name] = value
        size += value.nbytes
    total = sum(value.nbytes for value in tensors.values())
    tensors.clear()
    weight_map: dict[str, str] = {}
    names = []
    for number, shard in enumerate(shards, start=1):
        name = "model.safetensors"
        if len(shards) > 1:
            name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        mx.save_safetensors(str(folder / name), shard, metadata=_METADATA)
        weight_map |= dict.fromkeys(shard, name)
        names.append(name)
        shard.clear()
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        text = json.dumps(index, indent=2)
        (folder / "model.safetensors.index.json").write_text(text + "\n", encoding="utf-8")
        names.append("model.safetensors.index.json")
    return tuple(names)


def _clean_config(base: Path, dtype: str | None) -> dict[str, Any]:
    """The base's config.json without what no longer holds, with the type that does."""
    # Under the former names and the present ones, so that old and new readers agree.
    config = normalized(read_model_config(base), base / "config.json")
    for key in ("_name_or_path", "quantization", "quantization_config", "torch_dtype", "dtype"):
        config.pop(key, None)
    inner = config.get("text_config")
    if isinstance(inner, dict):
        for key in ("quantization_config", "torch_dtype", "dtype"):
            inner.pop(key, None)
    if dtype is not None:
        # transformers before version 5 reads torch_dtype, later versions read dtype.
        config["torch_dtype"] = dtype
        config["dtype"] = dtype
    return config


def _copy_companions(base: Path, folder: Path) -> tuple[str, ...]:
    copied = []
    for pattern in _COMPANIONS:
        for file in sorted(base.glob(pattern)):
            if file.name in _OWN_FILES or not file.is_file():
                continue
            if file.stat().st_size <= _COMPANION_SIZE_LIMIT:
                shutil.copyfile(file, folder / file.name)
                copied.append(file.name)
    return tuple(copied)
