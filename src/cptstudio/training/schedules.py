"""Learning-rate schedules: pure functions of the update's index, so there is nothing to save.

All of them warm up linearly and then follow their kind. The first update after the warm-up has
the peak rate; a rate that falls to zero would reach it one update after the last, so that no
update is wasted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MINIMAL_WARMUP_STEPS = 50
LONGEST_DEFAULT_WARMUP = 0.1


def default_warmup(total_steps: int) -> int:
    """1 % of the run, and at least 50 steps unless these are more than a tenth of it."""
    one_percent = round(total_steps / 100)
    floor = min(MINIMAL_WARMUP_STEPS, int(total_steps * LONGEST_DEFAULT_WARMUP))
    return max(one_percent, floor)


@dataclass(frozen=True)
class Schedule:
    """The rate of each update as a fraction of the peak rate.

    Attributes:
        kind: "wsd" is warm-up, stable, decay with the decay 1 - sqrt(part), the best of those
            compared by Hägele et al., arXiv 2405.18392, section 4.
        total_steps: updates of the whole run.
        warmup_steps: updates of the linear rise; 0 for none.
        decay_fraction: with "wsd", the last part of the run that decays.
        final_fraction: what the rate falls to, as a fraction of the peak.
    """

    kind: Literal["cosine", "linear", "constant", "wsd"]
    total_steps: int
    warmup_steps: int = 0
    decay_fraction: float = 0.2
    final_fraction: float = 0.0

    @property
    def decay_start(self) -> int:
        """The first update whose rate may depend on how many there are in all."""
        if self.kind == "constant":
            return self.total_steps
        if self.kind == "wsd":
            decay_steps = round(self.total_steps * self.decay_fraction)
            return max(self.warmup_steps, self.total_steps - decay_steps)
        return self.warmup_steps

    def same_until(self, other: Schedule, step: int) -> bool:
        """Return whether the updates before a step have the same rates in both."""
        return all(self(index) == other(index) for index in range(step))

    def __call__(self, index: int) -> float:
        """Fraction of the peak rate for the update with this zero-based index."""
        if index < self.warmup_steps:
            return (index + 1) / (self.warmup_steps + 1)
        return self.final_fraction + (1 - self.final_fraction) * self._falling(index)

    def _falling(self, index: int) -> float:
        """From 1 at the end of the warm-up towards 0 at the end of the run."""
        if self.kind == "constant":
            return 1.0
        start = self.decay_start
        if index < start:
            return 1.0
        progress = min(1.0, (index - start) / max(1, self.total_steps - start))
        if self.kind == "linear":
            return 1.0 - progress
        if self.kind == "wsd":
            return 1.0 - math.sqrt(progress)
        return 0.5 * (1.0 + math.cos(math.pi * progress))
