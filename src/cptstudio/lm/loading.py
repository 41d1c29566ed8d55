"""Loading a model folder for training or for inference.

Training keeps every trained parameter in float32 ("master weights"): in bfloat16, with 8 bits
of mantissa, an update smaller than 1/256 of its weight is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import psutil
from mlx.nn.layers.base import Module
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import _get_classes, dequantize_model, load_model, load_tokenizer

from cptstudio.durable import check_plain_files
from cptstudio.errors import UserError
from cptstudio.lm.compilation import keep_kernels_of_cuda
from cptstudio.lm.description import (
    Quantization,
    full_training_obstacle,
    is_quantized,
    read_embedding_rows,
    read_model_config,
    why_unreadable,
)
from cptstudio.lm.finite import check_weights
from cptstudio.lm.long_rope import put_long_rope
from cptstudio.lm.model_config import additions
from cptstudio.lm.model_weights import with_own_names
from cptstudio.lm.parameters import (
    named_modules,
    named_parameters,
    set_parameters,
    trainable_parameters,
)
from cptstudio.lm.tensor_layout import TensorLayout, measure_layout
from cptstudio.lm.tensor_types import NAMES, lasting_parameters, narrowed, stored_types
from cptstudio.lm.weight_formats import why_untrainable
from cptstudio.model_bounds import check_model_folder
from cptstudio.weight_files import check_present

# SystemExit: mlx-lm's OLMo ends the process where its own library is not installed.
_LOADING_ERRORS = (
    ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, OSError, SystemExit,
)  # fmt: skip

ADAPTER_LEAVES = ("lora_a", "lora_b", "m")
"""Parameters of mlx-lm's adapters; no network has others of these names."""

_LACKING = re.compile(r"missing \d+ required positional arguments?: (.*)")
"""How Python says that an architecture's settings lack some."""

_READ_AT_ONCE = 256 * 1024 * 1024
"""Bytes of weights between two words about how far their reading is."""

MethodKind = Literal["full", "lora", "dora"]


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and where it came from.

    Attributes:
        model: the network; its parameters are named as in mlx-lm.
        tokenizer: mlx-lm's wrapper around the Hugging Face tokenizer.
        config: config.json as mlx-lm understood it.
        quantization: how its weights are packed, or None.
        stored_types: of its parameters in its files, by mlx-lm's names, unpacked.
        lasting: parameters that a narrower computation leaves in the type they are stored in.
        unpacked: packed weights of the files are in memory unpacked.
    """

    model: Module
    tokenizer: Any
    config: dict[str, Any]
    path: Path
    quantization: Quantization | None
    stored_types: Mapping[str, mx.Dtype] = field(default_factory=dict)
    lasting: frozenset[str] = frozenset()
    unpacked: bool = False

    @property
    def quantized(self) -> bool:
        """Return whether its weights are packed."""
        return self.quantization is not None

    @cached_property
    def embedding_rows(self) -> int | None:
        """Token ids below it have rows; None where that cannot be told. See `lm.vocabulary`."""
        return read_embedding_rows(self.path)

    @cached_property
    def layout(self) -> TensorLayout | None:
        """How its files become its parameters; None where that cannot be undone exactly."""
        return None if self.quantized else measure_layout(self.model, self.config, self.path)


def default_compute_dtype() -> mx.Dtype:
    """bfloat16 on a GPU; float32 on a CPU, where bfloat16 products are 9 times slower."""
    return mx.bfloat16 if mx.default_device().type == mx.DeviceType.gpu else mx.float32


def load_for_training(
    path: Path,
    *,
    method: MethodKind = "full",
    compute_dtype: mx.Dtype | None = None,
    trust_remote_code: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedModel:
    """Load a model so that `lm.methods.apply_method` can make parts of it trainable.

    Args:
        method: with "full" all parameters become float32 masters; with "lora" and "dora" they
            stay frozen and take the compute type.
        compute_dtype: type of the frozen parameters; None for `default_compute_dtype()`.
        progress: told the bytes of weights that are in memory, and that there are.

    Raises:
        UserError: the model cannot be loaded, or cannot be trained by this method. The check
            for a quantized base comes before any weight is read.
    """
    quantization = is_quantized(path)
    check_trainable(path, quantization)
    if method == "full":
        obstacle = full_training_obstacle(quantization)
        if obstacle is not None:
            raise UserError(f"{path} cannot be trained in full: {obstacle}")
    loaded = _load(path, quantization, trust_remote_code, progress)
    dtype = mx.float32 if method == "full" else compute_dtype or default_compute_dtype()
    cast_floating(loaded.model, dtype, loaded.lasting)
    return loaded


def check_trainable(path: Path, quantization: Quantization | None) -> None:
    """Raise a UserError where no part of the model in a folder can be trained on this machine."""
    on_gpu = mx.default_device().type == mx.DeviceType.gpu
    accelerator = "cpu" if not on_gpu else "metal" if mx.metal.is_available() else "cuda"
    packed = quantization.method if quantization else None
    reason = why_untrainable(read_model_config(path)["model_type"], packed, accelerator)
    if reason is not None:
        raise UserError(f"The model in {path} cannot be trained: {reason}")


def load_for_inference(
    path: Path,
    adapter_path: Path | None = None,
    *,
    compute_dtype: mx.Dtype | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a model, with an adapter when one is given, ready to be evaluated.

    Args:
        adapter_path: a folder with adapters.safetensors and adapter_config.json.
        compute_dtype: cast all floating parameters to it; None keeps the stored types on a
            GPU and casts to float32 on a CPU, where packed weights are unpacked if they fit.
    """
    loaded = _load(path, is_quantized(path), trust_remote_code)
    if compute_dtype is None and default_compute_dtype() == mx.float32:
        compute_dtype = mx.float32
    if compute_dtype is not None:
        cast_floating(loaded.model, compute_dtype, loaded.lasting)
    if _worth_unpacking(loaded):
        dequantize_model(loaded.model)
        cast_floating(loaded.model, mx.float32, ())
        loaded = replace(loaded, unpacked=True)
    if adapter_path is not None:
        put_adapter(loaded.model, path, adapter_path, compute_dtype)
    loaded.model.eval()
    return loaded


def _worth_unpacking(loaded: LoadedModel) -> bool:
    """Whether packed weights are unpacked: on a CPU, where float32 fits into half of what is free.

    MLX's products with packed weights take one number at a time there: a third as fast as with
    unpacked ones for one row, a hundredth for many. The values are the same, but for rounding.
    """
    if not loaded.quantized or default_compute_dtype() != mx.float32:
        return False
    packed = [module for module in named_modules(loaded.model).values() if "scales" in module]
    unpacked = sum(4 * module.weight.size * 32 // module.bits for module in packed)
    return bool(unpacked <= psutil.virtual_memory().available // 2)


def put_adapter(
    model: Module, path: Path, adapter_path: Path, dtype: mx.Dtype | None = None
) -> None:
    """Put an adapter on a network, in place.

    Args:
        dtype: type that the adapter's factors get; None for their own.

    Raises:
        UserError: the adapter does not fit that base, or is gone.
    """
    check_present(adapter_path, "adapter")
    check_model_folder(adapter_path, "adapter_config.json")
    try:
        load_adapters(model, str(adapter_path))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(
            f"The adapter in {adapter_path} does not fit {path}: {error}. Check that this "
            "is the base model it was trained on."
        ) from error
    factors = {
        name: value
        for name, value in named_parameters(model).items()
        if name.rpartition(".")[2] in ADAPTER_LEAVES
    }
    check_weights(factors, adapter_path)
    if dtype is not None:
        set_parameters(model, narrowed(factors, dtype, ()))


def cast_floating(model: Module, dtype: mx.Dtype, lasting: Collection[str]) -> None:
    """Cast the floating-point parameters of a model in place.

    Args:
        model: without adapters.
        lasting: those that are left alone when narrowing, such as the bias of an expert router.
    """
    set_parameters(model, narrowed(named_parameters(model), dtype, lasting))
    mx.eval(named_parameters(model))


def wider_values(loaded: LoadedModel) -> dict[str, mx.array]:
    """Return the base's own values (lazy) of frozen parameters that were narrowed when loaded."""
    present, trained = named_parameters(loaded.model), trainable_parameters(loaded.model)
    lossy = set()
    for name in present.keys() - trained.keys():
        stored, dtype = loaded.stored_types.get(_plain_name(name)), present[name].dtype
        if stored is not None and dtype in NAMES and dtype not in (stored, mx.float32):
            lossy.add(name)
    if not lossy:
        return {}
    base, _ = load_network(loaded.path, trust_remote_code=bool(loaded.config.get("model_file")))
    values = named_parameters(base)
    return {name: values[_plain_name(name)] for name in lossy if _plain_name(name) in values}


def _plain_name(name: str) -> str:
    # An adapter holds the layer that it was put on as `linear`.
    path, _, leaf = name.rpartition(".")
    return f"{path.removesuffix('.linear')}.{leaf}" if path.endswith(".linear") else name


def _load(
    path: Path,
    quantization: Quantization | None,
    trust_remote_code: bool,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedModel:
    keep_kernels_of_cuda()
    raw = read_model_config(path)
    check_plain_files(path)
    obstacle = why_unreadable(path)
    if obstacle is not None:
        raise UserError(f"The model in {path} cannot be read: {obstacle}")
    if raw.get("model_file") is not None and not trust_remote_code:
        raise UserError(
            f"The model in {path} comes with Python code ({raw['model_file']}) that would "
            "run on this machine. If you trust it, set model.trust_remote_code."
        )
    with _in_words(path, raw["model_type"]):
        model, config = load_network(path, trust_remote_code=trust_remote_code)
        types, lasting = stored_types(model), lasting_parameters(model)
        _read(named_parameters(model), progress)
    check_weights(named_parameters(model), path)
    tokenizer = _load_tokenizer(path, config, trust_remote_code)
    return LoadedModel(model, tokenizer, config, path, quantization, types, lasting)


def _read(weights: dict[str, mx.array], progress: Callable[[int, int], None] | None) -> None:
    """Let lazy weights be read, piece by piece where somebody wants to know how far it is."""
    if progress is not None:
        done, total = 0, sum(value.nbytes for value in weights.values())
        piece: list[mx.array] = []
        for value in weights.values():
            piece.append(value)
            if sum(one.nbytes for one in piece) >= _READ_AT_ONCE:
                mx.eval(piece)
                done += sum(one.nbytes for one in piece)
                piece = []
                progress(done, total)
    mx.eval(weights)


def load_unread(path: Path, *, trust_remote_code: bool = False) -> tuple[Module, dict[str, Any]]:
    """Return what `load_network` returns, to be looked at without its weights.

    Raises:
        UserError: mlx-lm cannot load it; the message says why.
    """
    check_plain_files(path)
    with _in_words(path, read_model_config(path)["model_type"]):
        return load_network(path, trust_remote_code=trust_remote_code)


def unread_for_training(
    path: Path, network: tuple[Module, dict[str, Any]], method: MethodKind, dtype: mx.Dtype
) -> LoadedModel:
    """Return what `load_for_training` returns, with weights unread and without a tokenizer.

    Args:
        network: of `load_unread`.
        dtype: of the computation.
    """
    model, config = network
    types, lasting = stored_types(model), lasting_parameters(model)
    wanted = mx.float32 if method == "full" else dtype
    set_parameters(model, narrowed(named_parameters(model), wanted, lasting))
    return LoadedModel(model, None, config, path, is_quantized(path), types, lasting)


@contextmanager
def _in_words(path: Path, model_type: str) -> Iterator[None]:
    """Say what mlx-lm raises while it loads a model."""
    try:
        yield
    except _LOADING_ERRORS as error:
        reason: object = error
        if isinstance(error, SystemExit):
            reason = "mlx-lm needs another library for it, named in the lines above"
        lacking = _LACKING.search(str(error))
        if lacking is not None:
            reason = f"its config.json lacks {lacking[1]}"
        raise UserError(
            f"mlx-lm cannot load the {model_type!r} model in {path}: {reason}"
        ) from error


def load_network(
    path: Path,
    *,
    trust_remote_code: bool = False,
    classes: Callable[[dict[str, Any]], tuple[Any, type]] | None = None,
) -> tuple[Module, dict[str, Any]]:
    """Return mlx-lm's network of a model folder, its weights unread, and the configuration used.

    Every network comes from here, so that each is built from the normalized configuration and can
    be frozen and unfrozen.

    Args:
        classes: gives the network and its settings for a configuration; None for
            `network_classes`.
    """
    model, config = load_model(
        path,
        lazy=True,
        model_config=additions(read_model_config(path), path / "config.json"),
        get_model_classes=classes or network_classes,
        trust_remote_code=trust_remote_code,
    )
    put_long_rope(model, config)
    complete_modules(model)
    return model, config


def network_classes(config: dict[str, Any]) -> tuple[Any, type]:
    """Return the classes of a network and of its settings, by its configuration."""
    network, arguments = _get_classes(config=config)
    return with_own_names(network, config["model_type"]), arguments


def complete_modules(model: Any) -> None:
    """Give every module of a network what freezing and unfreezing need."""
    # Some networks in mlx-lm (Recurrent Gemma, as of 0.32) never call Module's own __init__, so
    # they cannot be frozen or unfrozen. These are the two attributes that it would have set.
    for module in [model, *model.modules()]:
        vars(module).setdefault("_no_grad", set())
        vars(module).setdefault("_training", False)


def _load_tokenizer(path: Path, config: dict[str, Any], trust_remote_code: bool) -> Any:
    try:
        return load_tokenizer(  # type: ignore[no-untyped-call]
            path, {"trust_remote_code": trust_remote_code}, eos_token_ids=config.get("eos_token_id")
        )
    except _LOADING_ERRORS as error:
        raise UserError(f"Could not load the tokenizer in {path}: {error}") from error
