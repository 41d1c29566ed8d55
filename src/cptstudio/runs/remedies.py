"""Suggestions for a run that ran out of memory or was ended by the watchdog, as buttons."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from cptstudio.run_files import RunConfig
from cptstudio.runs.states import RunState
from cptstudio.session_settings import SessionSettings, for_session, in_session, smaller
from cptstudio.settings import SHORTEST_CONTEXT, TrainingSettings


class Remedy(BaseModel, frozen=True):
    """A suggestion.

    Attributes:
        title: of its button.
        text: what it does.
        session: what the resumed session is told; None where it is a fork.
        changes: of the fork, by the settings' dotted names.
    """

    title: str
    text: str
    session: dict[str, Any] | None = None
    changes: dict[str, Any] = Field(default_factory=dict)


def remedies_of(state: RunState, config: RunConfig, told: SessionSettings) -> list[Remedy]:
    """Return suggestions, the best first; none for a run that ended otherwise.

    Args:
        told: what its last session was told.
    """
    if state.alive or state.cause is None:
        return []
    half = smaller(config, told)
    settings = in_session(config, told).settings
    found = []
    if half is not None:
        found.append(_half(in_session(config, half).settings, half))
    checkpoints = settings.compute.gradient_checkpointing
    if not checkpoints and state.cause != "watchdog":
        keeping = for_session(config, told, SessionSettings(gradient_checkpointing=True))
        found.append(
            Remedy(
                title="Resume with gradient checkpointing",
                text="Recomputes activations instead of storing them: about half the memory, 1.3 "
                "times the time. Updates stay the same.",
                session=keeping.told(),
            )
        )
    context = settings.data.sequence_length or 0
    if half is None and context >= 2 * SHORTEST_CONTEXT:
        found.append(
            Remedy(
                title="Fork with half the sequence length",
                text=f"A new run from the last checkpoint with sequences of {context // 2:,} "
                "tokens and twice the gradient accumulation. A run cannot change its own sequence "
                "length.",
                changes={
                    "data.sequence_length": context // 2,
                    "batch.gradient_accumulation_steps": 2 * settings.batch.cut[1],
                },
            )
        )
    return found


def _half(settings: TrainingSettings, half: SessionSettings) -> Remedy:
    rows, accumulation = settings.batch.cut
    return Remedy(
        title="Resume with half the batch size",
        text=f"Continues from the last checkpoint with batch size {rows:,} and {accumulation:,} "
        "gradient accumulation steps. Updates stay the same.",
        session=half.told(),
    )
