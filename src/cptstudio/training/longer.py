"""How a run can be trained longer than it was to be: by a resume, or else by a fork."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from cptstudio.lengths import Length
from cptstudio.run_files import RunConfig, checkpoint_step
from cptstudio.training.schedules import Schedule


class Longer(BaseModel, frozen=True):
    """How a run is trained longer.

    Attributes:
        how: "resume": the longer run, exactly as if it had been asked for at first; "fork": a new
            run, whose rate warms up again.
        checkpoint: from which.
        why: in sentences.
    """

    how: Literal["resume", "fork"]
    checkpoint: str
    why: str


def how_to_train_longer(
    config: RunConfig, planned_steps: int | None, checkpoints: Sequence[Path]
) -> Longer | None:
    """Return how a run is trained longer; None without a checkpoint.

    Args:
        planned_steps: of its last session.
        checkpoints: its complete ones, oldest first.
    """
    settings = config.settings.schedule
    if not checkpoints or not planned_steps:
        return None
    warmup = settings.warmup if settings.warmup is not None else Length(0, "steps")
    if warmup.unit != "steps":
        return None
    schedule = Schedule(
        settings.kind,
        planned_steps,
        int(warmup.value),
        settings.decay_fraction,
        settings.final_fraction,
    )
    newest = checkpoints[-1].name
    before = [
        path.name
        for path in checkpoints
        if (checkpoint_step(path.name) or 0) <= schedule.decay_start
    ]
    if before and before[-1] == newest:
        return Longer(
            how="resume",
            checkpoint=newest,
            why=f"Its {settings.kind} schedule has not started to decay at {newest}, so the "
            "run continues in its folder as if it had been longer from the start.",
        )
    if before:
        return Longer(
            how="resume",
            checkpoint=before[-1],
            why=f"At {newest}, the rate of its {settings.kind} schedule is already decaying. "
            f"The run continues from {before[-1]}, before the decay, in its folder, as if "
            "it had been longer from the start; later steps are repeated.",
        )
    return Longer(
        how="fork",
        checkpoint=newest,
        why=f"The learning rate of its {settings.kind} schedule depends on the training "
        "length, so the run cannot be extended. A fork continues from its weights as a "
        "new run: the rate warms up again, and the optimizer starts fresh.",
    )
