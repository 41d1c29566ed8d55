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

What is written is collected first, and then written tensor by tensor, so that a save takes no
memory for a second model. Nothing here flushes to the disk: the caller commits the whole checkpoint
folder at once.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
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
from cptstudio.lm.tensor_types import IN_FILES, NAMES
from cptstudio.lm.tensor_writing import (
    TYPES,
    Copies,
    Numbers,
    Unwritten,
    host_numbers,
    main_type,
    memory_is_apart,
    of_file,
    unwritten,
    write_tensors,
)
from cptstudio.run_files import FileRecord
from cptstudio.weight_files import Tensor, read_tensors

SHARD_SIZE = 5 * 10**9
"""Bytes of tensors in one weight file, at most, as Hugging Face's tools split them."""

ADAPTER_WEIGHTS = "adapters.safetensors"
ADAPTER_CONFIG = "adapter_config.json"

ADAPTER_NOTE = "README.md"
_ADAPTER_NOTE = """The adapter in this folder was trained on {base}

Newer transformers versions write that model's config.json in a format that mlx-lm reads only in
part: it lacks {fields}. CPT Studio reads it correctly. `mlx_lm.load(base, adapter_path=...)` and
mlx-lm's other programs may refuse the base, or silently compute a different model. For those, merge
base and adapter with `cpt-studio merge`: the merged folder has both formats.
"""

_COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.tiktoken", "*.model", "*.jsonl", "*.py")
_MORE_TEMPLATES = "additional_chat_templates"
"""Where transformers keeps chat templates beside the default one, such as for tools."""
# Files of a model folder that describe its weights or its training, not its tokenizer.
_OWN_FILES = frozenset(
    {
        "config.json", "model.safetensors.index.json", "hf_quant_config.json",
        "adapter_config.json", "manifest.json",
    }
)  # fmt: skip
_COMPANION_SIZE_LIMIT = 256 * 1024 * 1024


@dataclass(frozen=True)
class CollectedWeights:
    """A model or an adapter that is to be written.

    Attributes:
        layout: "model" for a complete model folder, "adapter" for files beside the base.
        exact: the files hold the trained parameters bit for bit, so that training can go on
            from them; otherwise the training state must hold `trainable_parameters(model)`.
        base_names: the tensors are named as in the base model's files, for other programs;
            False when they are named as in mlx-lm.
        weights: tensors by the name of their file.
        texts: the other files that are written, by name.
        copies: files of the base that are copied.
        computed: MLX computes tensors when they are written, so that only the thread of the
            training may write them. Otherwise all that changes with the next step is held.
    """

    layout: Literal["model", "adapter"]
    exact: bool
    base_names: bool
    weights: Mapping[str, dict[str, Unwritten]]
    texts: Mapping[str, str]
    copies: tuple[Path, ...] = ()
    computed: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files in the folder."""
        return (*self.texts, *self.weights, *(_companion_name(file) for file in self.copies))

    def write(
        self, folder: Path, going_on: Callable[[], None] = lambda: None
    ) -> dict[str, FileRecord]:
        """Write all into an existing folder; files of the same names are overwritten.

        Args:
            going_on: called again and again; what it raises ends the writing.

        Returns:
            Size and SHA-256 of the files with weights, by name.
        """
        records = {}
        for name, tensors in self.weights.items():
            (folder / name).unlink(missing_ok=True)
            records[name] = write_tensors(folder / name, tensors, going_on)
        for name, text in self.texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        for file in self.copies:
            target = folder / _companion_name(file)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
        return records


def collect_weights(
    loaded: LoadedModel, method: AppliedMethod, *, held: Copies | None = None
) -> CollectedWeights:
    """Return what a save of a model, or of its adapter, writes.

    Args:
        method: what `apply_method` returned for it.
        held: what has been copied for it already; None where all is written at once, by this
            thread, and nothing is computed meanwhile.

    A complete model's tensors get the types of the base's; adapters are written as they are.
    """
    if method.kind != "full" and not method.train_embeddings:
        return _collect_adapter(loaded, method, held)
    if method.kind == "full":
        parameters = named_parameters(loaded.model)
        collected = _collect_model(loaded, parameters, computed=False, held=held)
        return replace(collected, exact=stored_exactly(loaded))
    parameters = fused_parameters(loaded.model, wider_values(loaded))
    return _collect_model(loaded, parameters, computed=True)


def stored_exactly(loaded: LoadedModel) -> bool:
    """Return whether the base's types hold the trained parameters of full training bit for bit."""
    return all(tensor.dtype == "F32" for tensor in read_tensors(loaded.path).values()) and all(
        loaded.stored_types.get(name) == value.dtype
        for name, value in trainable_parameters(loaded.model).items()
    )


def load_weights(folder: Path, loaded: LoadedModel, method: AppliedMethod) -> None:
    """Put the parameters of an exact checkpoint back into a model prepared the same way.

    Args:
        folder: where weights were saved that are `exact`.
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


def _collect_adapter(
    loaded: LoadedModel, method: AppliedMethod, held: Copies | None
) -> CollectedWeights:
    text = dump_json(dict(method.adapter_config or {}), indent=2)
    texts = {ADAPTER_CONFIG: text + "\n"}
    differing = sorted(additions(read_model_config(loaded.path), loaded.path / "config.json"))
    if differing:
        # mlx-lm reads an adapter's base by itself, so nothing in this folder can put it right.
        note = _ADAPTER_NOTE.format(base=loaded.path, fields=", ".join(differing))
        texts[ADAPTER_NOTE] = note
    weights = {ADAPTER_WEIGHTS: collect_arrays(trainable_parameters(loaded.model), held=held)}
    return CollectedWeights("adapter", True, True, weights, texts)


def collect_arrays(
    arrays: Mapping[str, mx.array], *, held: Copies | None = None
) -> dict[str, Unwritten]:
    """Return arrays of a network or an optimizer as they are now, to be written as they are.

    Args:
        held: as for `collect_weights`.
    """
    mx.eval(list(arrays.values()))
    makers = _makers(arrays, held)
    return {name: replace(unwritten(arrays[name]), numbers=makers[name]) for name in arrays}


def _makers(
    arrays: Mapping[str, mx.array], held: Copies | None
) -> dict[str, Callable[[], Numbers]]:
    """Return what gives the numbers of computed arrays, by name."""
    if not memory_is_apart():
        # Taken now: whoever writes them may be another thread, for which MLX must not compute.
        return {name: partial(_given, host_numbers(value)) for name, value in arrays.items()}
    if held is not None:
        return {name: partial(host_numbers, copy) for name, copy in held.of(arrays).items()}
    return {name: partial(_numbers_of_copy, value) for name, value in arrays.items()}


def _given(numbers: Numbers) -> Numbers:
    return numbers


def _numbers_of_copy(value: mx.array) -> Numbers:
    return host_numbers(Copies().of({"": value})[""])


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
    collected = _collect_model(loaded, parameters, computed=True, shard_size=shard_size)
    collected.write(folder)
    return collected.files, collected.base_names


def collect_folder(
    loaded: LoadedModel,
    parameters: Mapping[str, mx.array],
    *,
    dtype: mx.Dtype | None = None,
    packing: Mapping[str, Any] | None = None,
) -> CollectedWeights:
    """Return what a complete model folder of lazy parameters is; each is computed once, and let go.

    Args:
        loaded: the model whose architecture, configuration and tokenizer it has.
        parameters: all parameters, as mlx-lm names them.
        dtype: of what the base stores in its main type; what it stores wider stays as wide. None
            for the base's types.
        packing: how weights among the parameters are packed, as mlx-lm's config.json says it.
    """
    return _collect_model(loaded, parameters, computed=True, dtype=dtype, packing=packing)


def _collect_model(
    loaded: LoadedModel,
    parameters: Mapping[str, mx.array],
    *,
    computed: bool,
    held: Copies | None = None,
    shard_size: int = SHARD_SIZE,
    dtype: mx.Dtype | None = None,
    packing: Mapping[str, Any] | None = None,
) -> CollectedWeights:
    layout = loaded.layout if packing is None else None
    values = _Values(parameters, layout, computed, held)
    if layout is None:
        types = _in_type(loaded.stored_types, dtype)
        tensors = {
            name: _as_stored(value, types.get(name), values.maker(name))
            for name, value in parameters.items()
        }
    else:
        files = read_tensors(loaded.path)
        stored = {name: IN_FILES.get(one.dtype) for name, one in files.items()}
        types = _in_type({name: one for name, one in stored.items() if one is not None}, dtype)
        tensors = {
            name: _as_stored(
                parameters[layout.parameters_of(name)[0]],
                types.get(name),
                values.maker(name),
                shape,
            )
            for name, shape in layout.shapes.items()
        }
        tensors |= _untouched(loaded.path, files, layout)
    main = main_type(tensors)
    config = _clean_config(
        loaded.path, next((NAMES[one] for one in NAMES if TYPES[one] == main), None)
    )
    if packing is not None:
        # Packed folders hold the language model alone, as mlx-lm writes them.
        config.pop("vision_config", None)
        config["quantization"] = config["quantization_config"] = dict(packing)
    texts = {"config.json": json.dumps(config, indent=2, sort_keys=True) + "\n"}
    weights, index = _shards(tensors, shard_size)
    if index is not None:
        texts["model.safetensors.index.json"] = index
    copies = tuple(_companions(loaded.path))
    return CollectedWeights("model", False, layout is not None, weights, texts, copies, computed)


def _in_type(types: Mapping[str, mx.Dtype], dtype: mx.Dtype | None) -> Mapping[str, mx.Dtype]:
    """Return the types of tensors when those of the most common one get another."""
    if dtype is None or not types:
        return types
    if dtype == mx.float32:
        return dict.fromkeys(types, dtype)
    main = Counter(types.values()).most_common(1)[0][0]
    return {name: dtype if own == main else own for name, own in types.items()}


class _Values:
    """A network's parameters, from which the tensors of a folder are made one at a time.

    Args:
        layout: how they become tensors; None where they are written as they are.
        computed: they are lazy, and each is let go once nothing more is made of it; otherwise
            they are taken as they are now.
        held: as for `collect_weights`.
    """

    def __init__(
        self,
        parameters: Mapping[str, mx.array],
        layout: TensorLayout | None,
        computed: bool,
        held: Copies | None,
    ) -> None:
        self._layout = layout
        self._makers: dict[str, Callable[[], Numbers]]
        if computed:
            self._makers = {name: partial(host_numbers, one) for name, one in parameters.items()}
        else:
            mx.eval(list(parameters.values()))
            self._makers = _makers(parameters, held)
        self._there: dict[str, Numbers] = {}
        made = layout.shapes if layout is not None else parameters
        self._uses = Counter(source for name in made for source in self._sources(name))

    def _sources(self, name: str) -> tuple[str, ...]:
        return (name,) if self._layout is None else self._layout.parameters_of(name)

    def maker(self, name: str) -> Callable[[], Numbers]:
        """Return what makes the numbers of one tensor."""
        return lambda: self._numbers(name)

    def _numbers(self, name: str) -> Numbers:
        sources = self._sources(name)
        for source in sources:
            if source not in self._there:
                self._there[source] = self._makers.pop(source)()
        numbers: Numbers = (
            self._there[name] if self._layout is None else self._layout.restored(name, self._there)
        )
        self._uses.subtract(sources)
        for source in set(sources):
            if not self._uses[source]:
                del self._there[source]
        return numbers


def _as_stored(
    value: mx.array,
    dtype: mx.Dtype | None,
    maker: Callable[[], Numbers],
    shape: tuple[int, ...] | None = None,
) -> Unwritten:
    """Return a tensor in the type of a base's files.

    Args:
        value: a parameter that it is made of, or that it is.
        dtype: of that tensor there; None where it is not told.
    """
    floating = mx.issubdtype(value.dtype, mx.floating)
    plain = unwritten(value, dtype if floating else None)
    if shape is None:
        return replace(plain, numbers=maker)
    size = math.prod(shape) * (dtype if dtype is not None and floating else value.dtype).size
    return replace(plain, shape=shape, bytes=size, numbers=maker)


def _untouched(
    folder: Path, files: Mapping[str, Tensor], layout: TensorLayout
) -> dict[str, Unwritten]:
    """Tensors of the base that its network in mlx-lm does not have, such as an image encoder."""
    # A head that is dropped is a copy of the embedding; rotary tables are computed anew.
    superfluous = ("lm_head.weight", "inv_freq", ".masked_bias", ".attention.bias")
    return {
        name: of_file(folder, files[name])
        for name in layout.dropped
        if not name.endswith(superfluous)
    }


def _shards(
    tensors: Mapping[str, Unwritten], shard_size: int
) -> tuple[dict[str, dict[str, Unwritten]], str | None]:
    """Share tensors out over files; returns the files, and the index where there are several."""
    shards: list[dict[str, Unwritten]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.bytes > shard_size:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.bytes
    if len(shards) == 1:
        return {"model.safetensors": shards[0]}, None
    count = len(shards)
    named = {
        f"model-{number:05d}-of-{count:05d}.safetensors": shard
        for number, shard in enumerate(shards, start=1)
    }
    total = sum(tensor.bytes for tensor in tensors.values())
    weight_map = {name: file for file, shard in named.items() for name in shard}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return named, json.dumps(index, indent=2) + "\n"


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


def _companions(base: Path) -> Iterator[Path]:
    """Yield the files of a base that belong to its tokenizer and its chat."""
    for pattern in (*_COMPANIONS, f"{_MORE_TEMPLATES}/*.jinja"):
        for file in sorted(base.glob(pattern)):
            if file.name in _OWN_FILES or not file.is_file():
                continue
            if file.stat().st_size <= _COMPANION_SIZE_LIMIT:
                yield file


def _companion_name(file: Path) -> str:
    """Its path in a model folder."""
    of_templates = file.parent.name == _MORE_TEMPLATES
    return f"{_MORE_TEMPLATES}/{file.name}" if of_templates else file.name
