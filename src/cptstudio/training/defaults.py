"""Values chosen for the user where nothing is set: rate, method, context and the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from cptstudio.lengths import Length
from cptstudio.lm.description import ModelDescription
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.lm.weight_formats import can_be_compiled
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.settings import DEFAULT_RANK, MethodName, MethodSettings, Settings, TrainingSettings
from cptstudio.training.machine import Machine
from cptstudio.training.resources import compute_dtype
from cptstudio.training.sizing import Cut, Freedom, Gauge, contexts, groups
from cptstudio.training.training_data import RunLength

_Group = TypeVar("_Group", bound=Settings)

DEFAULT_CONTEXT = 2048
DEFAULT_REPLAY_SHARE = 0.05
LARGEST_FULL_MODEL = 1_500_000_000
NAMES: Final = {"full": "full", "lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA"}
"""Methods as people write them."""

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


@dataclass(frozen=True)
class Choice:
    """A value that was chosen, and why.

    Attributes:
        field: dotted name of the setting.
        value: in words.
        reason: a sentence.
    """

    field: str
    value: str
    reason: str


@dataclass(frozen=True)
class Filled:
    """Settings with what was chosen for the user.

    Attributes:
        given: by the user.
        cut: of them, with the estimates of others that were tried.
        fits: whether they were chosen to fit, or already do; else they are the smallest there are.
        nothing_given: nothing that decides about memory was set by the user.
    """

    given: TrainingSettings
    settings: TrainingSettings
    choices: tuple[Choice, ...]
    cut: Cut
    gauge: Gauge
    fits: bool
    nothing_given: bool


def fill_in(
    settings: TrainingSettings,
    model: ModelDescription,
    network: NetworkFacts,
    machine: Machine,
    *,
    given_method: bool = False,
) -> Filled:
    """Return everything that does not depend on the corpora's sizes.

    Args:
        given_method: all of the method is given, by the parent of a fork.
    """
    given = settings
    settings = _filled_apart_from_cut(settings, model, network, machine, given_method)
    data, batch, compute = settings.data, settings.batch, settings.compute
    kinds = _kinds(settings, model, network)
    context = data.sequence_length or min(model.context_limit or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    rows, accumulation = batch.cut
    wanted = Cut(kinds[0], context, rows, accumulation, bool(compute.gradient_checkpointing))
    shorter = [context] if data.sequence_length else list(contexts(context))
    free = Freedom(
        rows=batch.size is None and batch.gradient_accumulation_steps is None,
        accumulation=batch.gradient_accumulation_steps is None,
        checkpointing=compute.gradient_checkpointing is None,
    )
    # Where the choice is free, full training takes its whole rows or is not chosen.
    ways = [(kind, [context] if kind != kinds[-1] else shorter) for kind in kinds]
    gauge = Gauge(model, network, settings, machine)
    tried = groups(wanted, ways, free)
    cut = gauge.first_fitting(tried, machine.room)
    fits = cut is not None
    if cut is None:
        # Where the rows are the user's, they are the reason, and all else stays as it would be.
        cut = gauge.smallest(tried) if free.rows else tried[0][0]
    filled = _rates_filled(cut.applied(settings), network)
    if cut.kind == "full":
        method = _changed(filled.method, targets=given.method.targets)
        filled = _changed(filled, method=method)
    return Filled(
        given=given,
        settings=filled,
        choices=tuple(_choices(given, filled, wanted, cut, gauge)),
        cut=cut,
        gauge=gauge,
        fits=fits,
        nothing_given=len(shorter) > 1
        and free == Freedom(True, True, True)
        and given.method.kind is None,
    )


def _filled_apart_from_cut(
    settings: TrainingSettings,
    model: ModelDescription,
    network: NetworkFacts,
    machine: Machine,
    given_method: bool,
) -> TrainingSettings:
    has_replay = any(use.role == "replay" for use in settings.data.corpora)
    compiled = machine.accelerator != "cpu" and can_be_compiled(model.model_type)
    dtype = compute_dtype(settings, machine)
    method = settings.method
    if not given_method:
        method = with_adapters_chosen(method, network)
    return _changed(
        settings,
        data=_filled(settings.data, replay_share=DEFAULT_REPLAY_SHARE if has_replay else 0.0),
        compute=_filled(
            _changed(settings.compute, dtype=dtype), compile=compiled, threads=machine.cores
        ),
        method=_filled(method, alpha=2.0 * method.adapter_rank),
    )


def with_adapters_chosen(method: MethodSettings, network: NetworkFacts) -> MethodSettings:
    """Return a method with a rank, and without adapters on experts that were not named."""
    return _filled(method, rank=DEFAULT_RANK, targets=targets_without_experts(network))


def _kinds(
    settings: TrainingSettings, model: ModelDescription, network: NetworkFacts
) -> list[MethodName]:
    """The methods to choose from, the preferred one first."""
    if settings.method.kind is not None:
        return [settings.method.kind]
    if model.full_training_obstacle is not None:
        return ["qlora" if model.quantization else "lora"]
    return ["lora"] if network.parameters > LARGEST_FULL_MODEL else ["full", "lora"]


def targets_without_experts(network: NetworkFacts) -> tuple[str, ...] | None:
    """Return the layers that get adapters where a mixture has experts; None: all of them."""
    experts = {layer.path for layer in network.linears if len(layer.shape) > 2}
    dense = dict.fromkeys(layer.path for layer in network.linears if layer.path not in experts)
    return tuple(dense) if experts and dense else None


def _rates_filled(settings: TrainingSettings, network: NetworkFacts) -> TrainingSettings:
    kind = settings.method.kind or "full"
    usual = default_learning_rate(network.parameters, kind, settings.optimizer.name)
    optimizer = _filled(settings.optimizer, learning_rate=usual)
    rate = optimizer.learning_rate or 0.0
    embeddings = rate if kind == "full" else float(f"{rate / 10:.1e}")
    method = _filled(settings.method, embedding_learning_rate=embeddings)
    return _changed(settings, optimizer=optimizer, method=method)


# --- reasons --------------------------------------------------------------------------------


def _choices(
    given: TrainingSettings, filled: TrainingSettings, wanted: Cut, cut: Cut, gauge: Gauge
) -> Iterator[Choice]:
    """What was chosen of what decides about memory and learning, each with its reason."""
    method = filled.method
    if given.method.kind is None:
        yield Choice("method.kind", NAMES[cut.kind], _about_method(wanted, cut, gauge))
    if given.method.rank is None and cut.kind != "full":
        reason = "Enough for most texts. A higher rank learns more and needs more memory."
        yield Choice("method.rank", str(method.rank), reason)
    if given.method.targets is None and method.targets is not None:
        experts = [one.path for one in gauge.network.linears if len(one.shape) > 2]
        yield Choice(
            "method.targets",
            "all but the experts",
            f"Adapters on experts take several times the memory. To train them, too, name them: "
            f"{', '.join(dict.fromkeys(experts))}.",
        )
    if given.data.sequence_length is None:
        yield Choice("data.sequence_length", f"{cut.context:,}", _about_context(wanted, cut, gauge))
    if given.batch.size is None and given.batch.gradient_accumulation_steps is None:
        yield Choice(
            "batch.size", f"{cut.rows:,} x {cut.accumulation:,}", _about_rows(wanted, cut, gauge)
        )
    if given.compute.gradient_checkpointing is None:
        value = "on" if cut.checkpointing else "off"
        reason = "Not needed: the run fits without it."
        if cut.checkpointing:
            without = gauge.words(replace(cut, checkpointing=False))
            reason = f"About 1.3 times the time. Without it a step would need {without}."
        yield Choice("compute.gradient_checkpointing", value, reason)
    if given.optimizer.learning_rate is None:
        how = "" if cut.kind == "full" else ", ten times as high for adapters"
        size = count_in_words(gauge.network.parameters)
        yield Choice(
            "optimizer.learning_rate",
            f"{filled.optimizer.learning_rate:.1e}",
            f"Usual for {size} parameters and {filled.optimizer.name}{how}.",
        )


def _about_method(wanted: Cut, cut: Cut, gauge: Gauge) -> str:
    bits = gauge.model.quantization and gauge.model.quantization.bits
    if cut.kind == "qlora":
        packed = f"The base is stored with {bits} bits" if bits else "The base is quantized"
        return f"{packed}, so LoRA adapters are trained on it."
    if cut.kind == "full":
        return "The whole model fits with its gradients and the optimizer's state."
    if wanted.kind == "full":
        whole = gauge.words(replace(wanted, rows=1, accumulation=1, checkpointing=True))
        return f"Full training would need {whole}, with 1 row at once and gradient checkpointing."
    size = count_in_words(gauge.network.parameters)
    return f"Full training is chosen up to 1.5 billion parameters; this model has {size}."


def _about_context(wanted: Cut, cut: Cut, gauge: Gauge) -> str:
    limit = gauge.model.context_limit
    if cut.context < wanted.context:
        longer = 2 * cut.context
        times = max(1, cut.accumulation * cut.rows * cut.context // (cut.rows * longer))
        more = gauge.words(replace(cut, context=longer, accumulation=times))
        return f"With {longer:,} a step would need {more}."
    if limit is not None and cut.context == limit:
        return "The model's limit."
    return (
        f"Usual{f'; the model can read {limit:,}' if limit else ''}. Longer rows need more memory."
    )


def _about_rows(wanted: Cut, cut: Cut, gauge: Gauge) -> str:
    tokens = f"An update sees {cut.update_tokens:,} tokens"
    if cut.rows == wanted.rows:
        return f"{tokens}."
    times = max(1, cut.rows * cut.accumulation // wanted.rows)
    before = gauge.words(replace(cut, rows=wanted.rows, accumulation=times))
    return (
        f"{tokens}, as with more rows at once. With {wanted.rows:,} at once a step would need "
        f"{before}."
    )


def count_in_words(parameters: float) -> str:
    """Return a number of parameters as people write it, such as "8.0 billion"."""
    if parameters < 1e9:
        return f"{parameters / 1e6:,.0f} million"
    return f"{parameters / 1e9:,.1f} billion"


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
