"""Which ways of training a model fit a machine, before anything else is chosen. Imports no MLX.

The memory is that of a step with one sequence, by the estimates of every plan. What a plan chooses
on its own may take more, where there is more.
"""

from __future__ import annotations

from cptstudio.lm.description import ModelDescription
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.training.machine import Machine
from cptstudio.training.make_it_fit import packed_facts
from cptstudio.training.recommended_models import SEQUENCE, StepMemory, Way, WayFit, fit_of
from cptstudio.training.resources import compute_dtype, estimate_memory


def ways_to_train(
    model: ModelDescription, network: NetworkFacts, machine: Machine
) -> dict[Way, WayFit]:
    """Return each way that a model has: a packed one has qlora alone, another one all of them.

    For qlora, an unpacked model counts as the copy of 4 bits that has to be made of it first.
    """
    if model.quantization is not None:
        return {"qlora": _fit(model, network, machine, "lora")}
    found: dict[Way, WayFit] = {}
    if model.full_training_obstacle is None:
        found["full"] = _fit(model, network, machine, "full")
    found["lora"] = _fit(model, network, machine, "lora")
    found["qlora"] = _fit(model, packed_facts(network), machine, "lora")
    return found


def _fit(model: ModelDescription, network: NetworkFacts, machine: Machine, kind: str) -> WayFit:
    plain, checkpointing = (
        estimate_memory(model, network, _one_sequence(model, kind, again, machine), machine).total
        for again in (False, True)
    )
    step = StepMemory(plain=plain, checkpointing=min(plain, checkpointing))
    return fit_of(step, machine.room)


def _one_sequence(
    model: ModelDescription, kind: str, again: bool, machine: Machine
) -> TrainingSettings:
    """Return settings of a step with one sequence.

    Args:
        kind: of the method.
        again: with gradient checkpointing.
    """
    settings = parse_settings(
        {
            "model": {"path": str(model.path)},
            "data": {
                "corpora": [{"name": "any"}],
                "sequence_length": min(model.context_limit or SEQUENCE, SEQUENCE),
            },
            "method": {"kind": kind},
            "batch": {"size": 1, "gradient_accumulation_steps": 1},
            "compute": {"gradient_checkpointing": again, "threads": 1},
        }
    )
    compute = settings.compute.model_copy(update={"dtype": compute_dtype(settings, machine)})
    return settings.model_copy(update={"compute": compute})
