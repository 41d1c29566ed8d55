"""How a run ended, in a sentence: made from what result.json says, and from who asked for it."""

from __future__ import annotations

from typing import Final

from cptstudio.run_files import RunResult, checkpoint_name

BY_YOU: Final = "Stopped by you"
BY_OTHERS: Final = "Stopped by the system or another program"


def ending_of(result: RunResult, stopped: str) -> str:
    """Return how a trainer ended.

    Args:
        result: its last word.
        stopped: where somebody stopped it: such as `BY_YOU`.
    """
    if result.outcome == "stopped":
        return stopped_at(stopped, result.step, result.checkpoint)
    if result.outcome == "completed" and result.step >= result.planned_steps > 0:
        return completed(result.step, result.skipped_steps)
    return result.reason


def completed(steps: int, skipped: int) -> str:
    """Return the sentence of a run that did all its steps."""
    left_out = f"; {skipped:,} of them skipped" if skipped else ""
    return f"Completed {steps:,} step{'s' if steps != 1 else ''}{left_out}."


def stopped_at(stopped: str, step: int, checkpoint: str | None) -> str:
    """Return the sentence of a run that was stopped.

    Args:
        stopped: who did it, as for `ending_of`.
        checkpoint: the newest one.
    """
    if step == 0:
        if checkpoint is None:
            return f"{stopped} before the first step."
        return f"{stopped} before this session's first step; the last checkpoint is {checkpoint}."
    if checkpoint == checkpoint_name(step):
        return f"{stopped} at step {step:,}; checkpoint saved."
    last = (
        "there is no checkpoint" if checkpoint is None else f"the last checkpoint is {checkpoint}"
    )
    return f"{stopped} at step {step:,}; {last}."
