"""Which parameters are trained: all of them, or low-rank adapters.

LoRA (Hu et al., arXiv 2106.09685) and DoRA (Liu et al., arXiv 2402.09353) use mlx-lm's own
layers, so that `mlx_lm.load(base, adapter_path=...)` reads what is trained here.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedEmbedding, QuantizedLinear
from mlx.utils import tree_unflatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear, LoRASwitchLinear
from mlx_lm.utils import dequantize_model

from cptstudio.lm.embeddings import embedding_modules, embedding_parameters
from cptstudio.lm.loading import LoadedModel, wider_values
from cptstudio.lm.network_facts import check_layers, check_targets, is_meant, no_layer_for
from cptstudio.lm.parameter_kinds import Treatment, constants, parameter_kinds, treatments
from cptstudio.lm.parameters import (
    named_modules,
    named_parameters,
    set_parameters,
    trainable_parameters,
    unpacked_sizes,
)
from cptstudio.run_files import ParameterRule
from cptstudio.settings import MethodSettings

_LINEAR = (Linear, QuantizedLinear)
_EXPERTS = (SwitchLinear, QuantizedSwitchLinear)


@dataclass(frozen=True)
class AppliedMethod:
    """The parameters that were made trainable.

    Attributes:
        trainable: number of trained parameters.
        total: number of parameters of the model without adapters, packed ones unpacked.
        targets: paths of the modules that carry an adapter; empty for "full".
        embeddings: names of the parameters of the embedding and the output head that are
            trained. Only they may get a learning rate of their own.
        adapter_config: adapter_config.json for mlx-lm; None for "full".
        notes: what a user should know, such as modules left out, a sentence each.
        treatments: how an optimizer updates each trained parameter, by name.
    """

    kind: Literal["full", "lora", "dora"]
    trainable: int
    total: int
    targets: tuple[str, ...]
    embeddings: frozenset[str]
    adapter_config: Mapping[str, Any] | None
    notes: tuple[str, ...]
    treatments: Mapping[str, Treatment]

    @property
    def train_embeddings(self) -> bool:
        """Return whether whole embeddings are trained beside adapters."""
        return self.kind != "full" and bool(self.embeddings)


def apply_method(
    loaded: LoadedModel,
    settings: MethodSettings,
    *,
    layers: int | None = None,
    seed: int = 0,
    rule: ParameterRule = "kinds",
) -> AppliedMethod:
    """Freeze and unfreeze, or put adapters on, a freshly loaded model, in place.

    Args:
        loaded: from `load_for_training` with the same kind of method.
        settings: kind must be set. `targets` are matched against module paths inside a block
            ("self_attn.q_proj") or their last part ("q_proj").
        layers: overrides settings.layers.
        seed: the adapters' first values are a pure function of it and of the module's path.
        rule: what is trained and how, see `lm.parameter_kinds`; runs keep theirs.

    Raises:
        UserError: the settings do not fit this model.
    """
    assert settings.kind is not None, "the planner resolves the method before training"
    if settings.kind == "full":
        return _apply_full(loaded, rule)
    return _apply_adapters(loaded, settings, layers or settings.layers, seed, rule)


# --- full ------------------------------------------------------------------------------------


def _apply_full(loaded: LoadedModel, rule: ParameterRule) -> AppliedMethod:
    model = loaded.model
    model.unfreeze()
    modules = named_modules(model)
    for name in constants(parameter_kinds(model), rule):
        owner, _, leaf = name.rpartition(".")
        modules[owner].freeze(keys=leaf, recurse=False)
    trained = trainable_parameters(model)
    embeddings = embedding_parameters(model, rule)
    return AppliedMethod(
        kind="full",
        trainable=sum(value.size for value in trained.values()),
        total=sum(unpacked_sizes(model).values()),
        targets=(),
        embeddings=frozenset(embeddings & trained.keys()),
        adapter_config=None,
        notes=(),
        treatments=treatments(parameter_kinds(model), trained, rule, embeddings),
    )


# --- adapters --------------------------------------------------------------------------------


def _apply_adapters(
    loaded: LoadedModel, settings: MethodSettings, last: int | None, seed: int, rule: ParameterRule
) -> AppliedMethod:
    model: Any = loaded.model
    total = sum(unpacked_sizes(model).values())
    model.freeze()
    blocks = len(model.layers)
    check_layers(loaded.path, last, blocks)
    chosen, notes = _choose_targets(loaded, settings, blocks - (last or blocks))
    rank = settings.adapter_rank
    scale = (2.0 * rank if settings.alpha is None else settings.alpha) / rank
    _replace_by_adapters(model, chosen, settings, scale, seed)
    embeddings: frozenset[str] = frozenset()
    if settings.train_embeddings:
        embeddings = _unfreeze_embeddings(loaded, rule)
    trained = trainable_parameters(model)
    return AppliedMethod(
        kind="dora" if settings.way == "dora" else "lora",
        trainable=sum(value.size for value in trained.values()),
        total=total,
        targets=tuple(chosen),
        embeddings=embeddings,
        adapter_config={
            "fine_tune_type": settings.way,
            "num_layers": last or blocks,
            "lora_parameters": {
                "rank": rank,
                "scale": scale,
                "dropout": settings.dropout,
                "keys": _short_keys(model, chosen, last or blocks),
            },
            "model": str(loaded.path),
        },
        notes=tuple(notes),
        treatments=treatments(parameter_kinds(model), trained, rule, embeddings),
    )


def block_prefixes(model: Any) -> list[str]:
    """Return the paths of the model's blocks, such as "model.layers.0", in order."""
    paths = {id(module): path for path, module in model.named_modules()}
    return [paths[id(block)] for block in model.layers]


def adapter_candidates(model: Any, first_block: int) -> dict[str, tuple[str, Module]]:
    """Linear modules inside the blocks: whole path -> (path inside the block, module)."""
    found: dict[str, tuple[str, Module]] = {}
    for prefix, block in list(zip(block_prefixes(model), model.layers, strict=True))[first_block:]:
        for path, module in block.named_modules():
            if isinstance(module, (*_LINEAR, *_EXPERTS)) or hasattr(module, "to_lora"):
                found[f"{prefix}.{path}"] = (path, module)
    return found


def _choose_targets(
    loaded: LoadedModel, settings: MethodSettings, first_block: int
) -> tuple[dict[str, Module], list[str]]:
    model: Any = loaded.model
    candidates = adapter_candidates(model, first_block)
    notes: list[str] = []
    chosen = {path: module for path, (_, module) in candidates.items()}
    if settings.targets is not None:
        check_targets(loaded.path, settings.targets, {inner for inner, _ in candidates.values()})
        chosen = {
            path: module
            for path, (inner, module) in candidates.items()
            if any(is_meant(inner, target) for target in settings.targets)
        }
    if settings.kind == "dora":
        unfit = [path for path, module in chosen.items() if not takes_dora(module)]
        if unfit:
            notes.append(
                f"{len(unfit)} expert layers stay frozen because mlx-lm has no DoRA for "
                "them. LoRA would train them too."
            )
        chosen = {path: module for path, module in chosen.items() if path not in unfit}
    if not chosen:
        raise no_layer_for(loaded.path, settings.kind or "lora")
    order = list(candidates)
    return {path: chosen[path] for path in sorted(chosen, key=order.index)}, notes


def _short_keys(model: Any, chosen: Iterable[str], last: int) -> list[str]:
    """Keys for mlx-lm: paths inside a block when these mean the same, else whole paths."""
    prefixes = block_prefixes(model)[-last:]
    targets = set(chosen)
    inner = {
        path[len(prefix) + 1 :]
        for prefix in prefixes
        for path in targets
        if path.startswith(prefix + ".")
    }
    meant = {
        f"{prefix}.{path}"
        for prefix, block in zip(prefixes, model.layers[-last:], strict=True)
        for path, _ in block.named_modules()
        if path in inner
    }
    return sorted(inner) if meant == targets else sorted(targets)


def _replace_by_adapters(
    model: Any, chosen: Mapping[str, Module], settings: MethodSettings, scale: float, seed: int
) -> None:
    layers: list[tuple[str, Any]] = []
    for path, module in chosen.items():
        layer = new_adapter(module, settings, scale)
        factors = {
            name: _initial_factor(value.shape, module, f"{path}.{name}", seed)
            for name, value in named_parameters(layer).items()
            if name.startswith("lora_a")
        }
        set_parameters(layer, factors)
        layers.append((path, layer))
    model.update_modules(tree_unflatten(layers))


def takes_dora(module: Module) -> bool:
    """Return whether mlx-lm has a dora layer for a linear layer."""
    return isinstance(module, _LINEAR)


def new_adapter(module: Any, settings: MethodSettings, scale: float) -> Any:
    """Return the layer that carries lora or dora on a linear layer of a frozen network."""
    arguments: dict[str, Any] = {
        "r": settings.adapter_rank,
        "scale": scale,
        "dropout": settings.dropout,
    }
    if settings.kind == "dora":
        return DoRALinear.from_base(module, **arguments)
    if hasattr(module, "to_lora"):
        return module.to_lora(**arguments)
    if isinstance(module, _EXPERTS):
        return LoRASwitchLinear.from_base(module, **arguments)
    return LoRALinear.from_base(module, **arguments)


def _initial_factor(shape: tuple[int, ...], module: Any, name: str, seed: int) -> mx.array:
    # The first factor is the same for a module whichever others carry adapters, and drawing it
    # leaves the global random state alone.
    inputs = shape[-1] if isinstance(module, _EXPERTS) else shape[-2]
    bound = 1 / math.sqrt(inputs)
    key = mx.random.key((seed << 32) | zlib.crc32(name.encode()))
    return mx.random.uniform(-bound, bound, shape, key=key)


# --- embeddings ------------------------------------------------------------------------------


def unpacked(module: Module) -> Module:
    """Return a packed layer or embedding as mlx-lm unpacks it."""
    holder: Any = Module()  # type: ignore[no-untyped-call]
    holder["part"] = module
    dequantize_model(holder)
    part: Module = holder["part"]
    return part


def _unfreeze_embeddings(loaded: LoadedModel, rule: ParameterRule) -> frozenset[str]:
    model: Any = loaded.model
    modules = embedding_modules(model, rule)
    for path, module in modules.items():
        if isinstance(module, (QuantizedEmbedding, QuantizedLinear)):
            model.update_modules(tree_unflatten([(path, unpacked(module))]))
    names = embedding_parameters(model, rule)
    # Masters begin with what the base stores, not with what is left of it in the compute type.
    values = named_parameters(model) | wider_values(loaded)
    set_parameters(model, {name: values[name].astype(mx.float32) for name in names})
    mx.eval(named_parameters(model))
    for module in embedding_modules(model, rule).values():
        module.unfreeze(recurse=False)
    return frozenset(names)
