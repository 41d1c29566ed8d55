"""Values chosen for the user where nothing is set: rate, method, context and the rest."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from cptstudio.lengths import Length
from cptstudio.lm.attention_blocks import LONG_CONTEXT
from cptstudio.lm.description import ModelDescription
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.lm.weight_formats import can_be_compiled
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.settings import Settings, TrainingSettings
from cptstudio.training.machine import Machine
from cptstudio.training.resources import compute_dtype, estimate_memory
from cptstudio.training.training_data import RunLength

_Group = TypeVar("_Group", bound=Settings)

DEFAULT_CONTEXT = 2048
DEFAULT_REPLAY_SHARE = 0.05
LARGEST_FULL_MODEL = 1_500_000_000
MEMORY_PART = 0.75
"""Part of the memory that a run may plan to use; the system and other programs need the rest."""

_SMALL, _SMALL_RATE = 1e9, 1e-4
_LARGE, _LARGE_RATE = 7e9, 2e-5
_LOWEST_RATE = 5e-6
_ADAPTER_FACTOR = 10.0


def default_learning_rate(parameters: int, kind: str, optimizer: str) -> float:
    """Peak rate: 1e-4 up to 1B parameters, 2e-5 at 7B, between them along a power law.

    Low-rank adapters take ten times that, and an optimizer its factor of it. Two digits.
    """
    slope = math.log(_LARGE_RATE / _SMALL_RATE) / math.log(_LARGE / _SMALL)
    rate = _SMALL_RATE * max(1.0, parameters / _SMALL) ** slope
    rate = max(rate, _LOWEST_RATE)
    if kind != "full":
        rate *= _ADAPTER_FACTOR
    return float(f"{rate * OPTIMIZERS[optimizer].rate_factor:.1e}")


def fill_in(
    settings: TrainingSettings, model: ModelDescription, network: NetworkFacts, machine: Machine
) -> TrainingSettings:
    """Everything that does not depend on the corpora's sizes."""
    data, compute, method = settings.data, settings.compute, settings.method
    has_replay = any(use.role == "replay" for use in data.corpora)
    compiled = machine.accelerator != "cpu" and can_be_compiled(model.model_type)
    usual_context = min(model.context_limit or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    context = data.context_length or usual_context
    settings = _changed(
        settings,
        data=_filled(
            data,
            context_length=usual_context,
            replay_share=DEFAULT_REPLAY_SHARE if has_replay else 0.0,
        ),
        compute=_filled(
            _changed(compute, dtype=compute_dtype(settings, machine)),
            compile=compiled,
            long_attention=context >= LONG_CONTEXT,
            threads=machine.cores,
        ),
    )
    kind = method.kind or _default_kind(settings, model, network, machine)
    usual = default_learning_rate(network.parameters, kind, settings.optimizer.name)
    optimizer = _filled(settings.optimizer, learning_rate=usual)
    rate = optimizer.learning_rate or 0.0
    method = _filled(
        method,
        kind=kind,
        alpha=2.0 * method.rank,
        embedding_learning_rate=rate if kind == "full" else float(f"{rate / 10:.1e}"),
    )
    return _changed(settings, optimizer=optimizer, method=method)


def _default_kind(
    settings: TrainingSettings, model: ModelDescription, network: NetworkFacts, machine: Machine
) -> str:
    if model.full_training_obstacle is not None or network.parameters > LARGEST_FULL_MODEL:
        return "lora"
    full = _changed(settings, method=_changed(settings.method, kind="full"))
    needed = estimate_memory(model, network, full, machine).total
    return "full" if needed <= MEMORY_PART * machine.available else "lora"


def fill_in_lengths(settings: TrainingSettings, length: RunLength) -> TrainingSettings:
    """Warm-up and intervals, in steps, once the run's length is known."""
    save_every = Length(length.save_every, "steps")
    return _changed(
        settings,
        schedule=_filled(settings.schedule, warmup=Length(max(1, length.warmup), "steps")),
        evaluation=_filled(
            settings.evaluation,
            every=Length(length.evaluate_every, "steps"),
            max_tokens=length.evaluation_tokens,
        ),
        checkpoints=_filled(settings.checkpoints, every=save_every),
    )


def _filled(group: _Group, **defaults: Any) -> _Group:
    """A group with these values where it has none."""
    return _changed(
        group, **{name: one for name, one in defaults.items() if getattr(group, name) is None}
    )


def _changed(group: _Group, **values: Any) -> _Group:
    return group.model_copy(update=values)
