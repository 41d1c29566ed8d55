"""Which checkpoints stay, and so how many there are: the one rule.

The trainer asks it when it has written one, the plan and the check before a start ask it how much
disk the run takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cptstudio.lengths import Length
from cptstudio.run_rows import best_of
from cptstudio.settings import CheckpointSettings


def superfluous_steps(
    values: Mapping[int, float | None], settings: CheckpointSettings, current: int
) -> list[int]:
    """Return the steps whose checkpoints may go once the one of the current step is committed.

    What lies ahead of the current step, left by a session that got further, is not touched.

    Args:
        values: domain bits per byte of the complete checkpoints by step, None where not measured.
        current: step of the checkpoint that was committed last.
    """
    past = sorted(step for step in values if step <= current)
    kept = {best_of(values.items()), *past[-settings.keep_last :]}
    if settings.keep_every:
        kept |= {step for step in past if step % settings.keep_every == 0}
    return [step for step in past if step not in kept]


def most_at_once(settings: CheckpointSettings, length: Length, every: Length | None) -> int:
    """Return how many checkpoints of a run lie on the disk at most, the one being written included.

    Args:
        every: between two checkpoints. Where one of the two is not in steps, those that stay for
            good, however many follow, are left out.
    """
    # The last ones, the best, and the one that is written before another goes.
    most = settings.keep_last + 2
    if every is None or not length.unit == every.unit == "steps":
        return most
    interval = int(every.value)
    count = math.ceil(length.value / interval)
    if settings.keep_every and count > settings.keep_last:
        oldest = (count - settings.keep_last) * interval
        most += (oldest - 1) // math.lcm(interval, settings.keep_every)
    return min(most, count)
