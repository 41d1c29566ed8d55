"""Changes that make a run fit, each with the memory after it. Imports no MLX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.lm.config_section import language_model
from cptstudio.lm.description import ModelDescription, read_model_config
from cptstudio.lm.network_facts import NetworkFacts, Storage
from cptstudio.settings import MethodName, TrainingSettings, parse_settings
from cptstudio.training.defaults import NAMES, Filled, count_in_words
from cptstudio.training.known_machines import smallest_with
from cptstudio.training.sizing import Cut, Freedom, Gauge, contexts, groups

PACKED_BITS: Final = 4
_GROUP = 64
"""Weights that share a scale and a bias of 16 bits, as mlx_lm.convert packs them."""
_SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")
"""What a packed copy of a model has in common with it."""
_FREE = Freedom(rows=True, accumulation=True, checkpointing=True)


@dataclass(frozen=True)
class Step:
    """A change.

    Attributes:
        title: what it does.
        note: what it costs.
        changes: new values by the settings' dotted names; empty where something has to be made
            first, as the note says.
        memory_bytes: that a step of the run takes after it and those before it.
    """

    title: str
    note: str
    changes: dict[str, Any]
    memory_bytes: int


@dataclass(frozen=True)
class WayToFit:
    """The steps to a run that fits, or to the smallest one that does not either.

    Attributes:
        changes: new values of all steps by the settings' dotted names, and of what was left open
            and would be chosen otherwise beside them.
        fits: after all steps.
        sentence: where it does not fit even then: what would be needed.
    """

    steps: tuple[Step, ...]
    changes: dict[str, Any]
    fits: bool
    sentence: str | None

    @property
    def ready(self) -> bool:
        """Return whether the changes alone make it fit; else something has to be made first."""
        return self.fits and all(step.changes for step in self.steps)

    def applied(self, given: TrainingSettings) -> TrainingSettings:
        """Return a user's settings with all changes."""
        tree = given.model_dump(mode="json", exclude_unset=True)
        for name, value in self.changes.items():
            group, _, key = name.rpartition(".")
            tree.setdefault(group, {})[key] = value
        return parse_settings(tree)


def way_to_fit(filled: Filled, base_models: Path) -> WayToFit:
    """Find the steps that make a run fit.

    Args:
        filled: the run as it is.
        base_models: where a packed copy of the model may be.
    """
    now, gauge = filled.cut, filled.gauge
    room = gauge.machine.room
    kind = filled.settings.method.kind or "full"
    to_lora: list[MethodName] = [] if kind in ("lora", "qlora") else ["lora"]
    lengths = list(contexts(now.context))
    unpacked = groups(now, [(one, lengths) for one in (kind, *to_lora)], _FREE)
    found = gauge.first_fitting(unpacked, room)
    if found is not None:
        return _way(filled, found, tuple(_steps(now, found, gauge)), None)
    smallest, last = gauge.smallest(unpacked), gauge
    if gauge.model.quantization is None:
        packed = Gauge(gauge.model, packed_facts(gauge.network), gauge.settings, gauge.machine)
        with_4_bits = groups(now, [("qlora", lengths)], _FREE)
        found = packed.first_fitting(with_4_bits, room)
        smallest, last = found or packed.smallest(with_4_bits), packed
    steps = tuple(_steps(now, replace(smallest, kind=to_lora[0] if to_lora else kind), gauge))
    if last is not gauge:
        steps = (*steps, _packed_step(gauge.model, base_models, last.needed(smallest)))
    return _way(filled, smallest, steps, None if found else what_would_do(last, smallest))


def _way(filled: Filled, cut: Cut, steps: tuple[Step, ...], sentence: str | None) -> WayToFit:
    """The steps, with all of what they lead to that the user has not set to that."""
    given = filled.given
    whole = {
        "method.kind": (given.method.kind, cut.kind),
        "data.sequence_length": (given.data.sequence_length, cut.context),
        "batch.size": (given.batch.size, cut.rows),
        "batch.gradient_accumulation_steps": (
            given.batch.gradient_accumulation_steps,
            cut.accumulation,
        ),
        "compute.gradient_checkpointing": (
            given.compute.gradient_checkpointing,
            cut.checkpointing,
        ),
    }
    changes: dict[str, Any] = {
        name: then for name, (before, then) in whole.items() if before != then
    }
    for step in steps:
        changes |= {name: one for name, one in step.changes.items() if name == "model.path"}
    return WayToFit(steps, changes, sentence is None, sentence)


def _steps(now: Cut, then: Cut, gauge: Gauge) -> Iterator[Step]:
    """From one cut to another, what computes the same first."""
    if then.rows != now.rows:
        times = now.update_tokens // (then.rows * now.context)
        now = replace(now, rows=then.rows, accumulation=times)
        yield Step(
            f"Batch size {then.rows:,}, {times:,} gradient accumulation steps",
            "Updates see the same text.",
            {"batch.size": then.rows, "batch.gradient_accumulation_steps": times},
            gauge.needed(now),
        )
    if then.checkpointing != now.checkpointing:
        now = replace(now, checkpointing=then.checkpointing)
        yield Step(
            "Gradient checkpointing",
            "Same updates in about 1.3 times the time.",
            {"compute.gradient_checkpointing": True},
            gauge.needed(now),
        )
    if then.context != now.context:
        now = replace(now, context=then.context, accumulation=then.accumulation)
        yield Step(
            f"Sequence length {then.context:,}, {then.accumulation:,} gradient accumulation steps",
            "The model sees less of a long document at once. An update keeps its tokens.",
            {
                "data.sequence_length": then.context,
                "batch.gradient_accumulation_steps": then.accumulation,
            },
            gauge.needed(now),
        )
    if then.kind != now.kind:
        before = "full training" if now.kind == "full" else NAMES[now.kind]
        yield Step(
            f"{NAMES[then.kind]} instead of {before}",
            "Trains small adapters; the model itself stays unchanged.",
            {"method.kind": then.kind},
            gauge.needed(then),
        )


def _packed_step(model: ModelDescription, base_models: Path, memory: int) -> Step:
    """The last step: a base of 4 bits, which has to be made first where there is none."""
    title = f"QLoRA: a base of {PACKED_BITS} bits"
    there = packed_copy(model.path, base_models)
    if there is None:
        note = (
            f"There is no {PACKED_BITS}-bit copy of {model.path.name} in models/base/. "
            f"Download one, or create one with `mlx_lm.convert --hf-path {model.path} -q "
            f"--q-bits {PACKED_BITS} --mlx-path "
            f"{base_models / model.path.name}-{PACKED_BITS}bit`."
        )
        return Step(title, note, {}, memory)
    note = f"Trains LoRA adapters on {there.name} instead of {model.path.name}."
    return Step(title, note, {"model.path": there.name, "method.kind": "qlora"}, memory)


def packed_copy(model: Path, base_models: Path) -> Path | None:
    """Return a packed copy of a model among the base models; None where there is none."""
    wanted = _shape(model)
    for folder in sorted(base_models.glob("*")):
        try:
            config = read_model_config(folder)
            if isinstance(config.get("quantization"), dict) and _shape(folder) == wanted:
                return folder
        except (UserError, OSError):
            continue
    return None


def _shape(model: Path) -> list[Any]:
    config: Mapping[str, Any] = language_model(read_model_config(model))
    return [config.get(name) for name in _SHAPE]


def packed_facts(network: NetworkFacts, bits: int = PACKED_BITS) -> NetworkFacts:
    """Return a network's facts as mlx_lm.convert would pack its matrices and tables."""
    layers = sum(len(one.blocks) * math.prod(one.shape) for one in network.linears)
    return replace(
        network,
        storage=_packed(network.storage, layers + network.tables, bits),
        table_storage=_packed(network.table_storage, network.tables, bits),
    )


def _packed(storage: Storage, count: int, bits: int) -> Storage:
    """Storage with so many of its most frequent numbers packed."""
    numbers = dict(storage.numbers)
    main = max(numbers, key=lambda name: numbers[name], default="bfloat16")
    count = min(count, numbers.get(main, 0))
    numbers[main] = numbers.get(main, 0) - count
    scales = 2 * count // _GROUP
    numbers["bfloat16"] = numbers.get("bfloat16", 0) + scales
    return replace(storage, packed=storage.packed + count * bits // 8, numbers=numbers)


def what_would_do(gauge: Gauge, cut: Cut) -> str:
    """Say which machine, or what size of a model, would do where nothing fits.

    Args:
        cut: the smallest there is.
    """
    machine, needed = gauge.machine, gauge.needed(cut)
    bigger = smallest_with(needed, machine)
    where = machine.name or "this machine"
    text = (
        f"Even {_words(cut)} needs about {needed / 1e9:,.1f} GB, and a run can use "
        f"{machine.room / 1e9:,.1f} GB on {where}. "
    )
    if bigger is None:
        text += "No known machine has enough memory. "
    else:
        text += f"The smallest machine it fits on: {bigger.name}. "
    size = gauge.network.parameters * machine.room / needed
    return f"{text}Models up to about {count_in_words(size)} parameters fit on {where}."


def _words(cut: Cut) -> str:
    checkpointing = " with gradient checkpointing" if cut.checkpointing else ""
    return f"{NAMES[cut.kind]} on {_counted(cut.rows)} of {cut.context:,} tokens{checkpointing}"


def _counted(rows: int) -> str:
    return f"{rows:,} {'sequence' if rows == 1 else 'sequences'}"
