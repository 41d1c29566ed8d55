"""Base models to begin with, and whether training them fits a machine.

The list is `data/recommended_models.json`: what each is for, its license, its configuration with
the source, and the memory that a step takes by the estimates of every plan (`training.resources`),
which `scripts/make_recommended_models.py` computes from the shapes of the network. One sequence at
once takes no more on one machine than on another with the same kind of accelerator, so the numbers
hold anywhere and nothing has to be computed to show them.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal

from pydantic import ConfigDict

from cptstudio.training.machine import Machine
from cptstudio.validation import LateModel

FILE = "recommended_models.json"
SEQUENCE = 2048
"""Tokens of the sequence that the memory is told for, where the model can read as many."""
Way = Literal["full", "lora", "qlora"]
FitWord = Literal["good", "tight", "none"]
Accelerator = Literal["cpu", "gpu"]


class StepMemory(LateModel):
    """Bytes of a step of one sequence, as it is and, where that is less, with checkpointing."""

    model_config = ConfigDict(extra="forbid")

    plain: int
    checkpointing: int


class RecommendedModel(LateModel):
    """A base model to begin with.

    Attributes:
        id: on the hub.
        use: what it is for, in a sentence or two.
        gated: the hub gives it only to who accepted its license.
        source: where the configuration was found.
        config: as published.
        parameters: that mlx-lm loads.
        bytes: of its files.
        packed_bytes: of its weights with 4 bits.
        memory: by accelerator and way; a way that the model does not have is left out.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    title: str
    use: str
    license: str
    gated: bool
    source: str
    config: dict[str, Any]
    parameters: int
    bytes: int
    packed_bytes: int
    memory: dict[Accelerator, dict[Way, StepMemory]]


class WayFit(LateModel):
    """A way of training, and whether it fits a machine.

    `needed`: bytes of a step of one sequence; `checkpointing`: with gradient checkpointing, where
    that is less.
    `fit`: "good" as it is, "tight" with gradient checkpointing only, "none" not even then.
    """

    needed: int
    checkpointing: int
    fit: FitWord


def recommended_models() -> list[RecommendedModel]:
    """Return them all, from small to large."""
    text = resources.files("cptstudio").joinpath("data", FILE).read_text(encoding="utf-8")
    return [RecommendedModel(**one) for one in json.loads(text)]


def ways_that_fit(model: RecommendedModel, machine: Machine) -> dict[Way, WayFit]:
    """Return for each way of training a model whether a machine has the memory."""
    kind: Accelerator = "cpu" if machine.accelerator == "cpu" else "gpu"
    return {way: fit_of(step, machine.room) for way, step in model.memory[kind].items()}


def fit_of(step: StepMemory, room: int) -> WayFit:
    """Return how a step fits into so many bytes."""
    fit: FitWord = "none"
    if step.plain <= room:
        fit = "good"
    elif step.checkpointing <= room:
        fit = "tight"
    return WayFit(needed=step.plain, checkpointing=step.checkpointing, fit=fit)
