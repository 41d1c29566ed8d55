"""Steps that would harm the model are skipped, and too many of them end the run.

A step is skipped when its loss or its gradient is not finite, or lies far above the recent
ones. The limits of a step come from the steps up to the one before the last, so that on a GPU
they are known without waiting for the step that is under way; on a CPU the same rule holds.
The values of skipped steps enter the history when they are finite, so that a lasting change
(another kind of text, say) raises the limits and cannot end a run.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cptstudio.settings import GuardSettings

SMALLEST_RELATIVE_SIGMA: Final = 1e-3
"""Deviation assumed at least, relative to the mean: a constant loss would have none."""


@dataclass(frozen=True)
class Limits:
    """Largest loss (nats per token) and gradient norm of the next step; infinite when open."""

    loss: float = math.inf
    gradient_norm: float = math.inf


class StepGuard:
    """Decides which steps are skipped, and keeps count.

    Attributes:
        skipped: steps skipped since the run began.
        in_a_row: steps skipped since the last good one.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        # One more than the window: the newest is left out of the limits.
        self._losses: deque[float] = deque(maxlen=settings.spike_window + 1)
        self._norms: deque[float] = deque(maxlen=settings.spike_window + 1)
        self.skipped = 0
        self.in_a_row = 0

    @property
    def gives_up(self) -> bool:
        """Whether so many steps were skipped in a row that the run shall end."""
        return self.in_a_row >= self._settings.stop_after_skips

    def limits(self) -> Limits:
        """Limits of the next step; open until the window is full."""
        settings = self._settings
        if not settings.skip_spikes or len(self._losses) <= settings.spike_window:
            return Limits()
        return Limits(self._limit(self._losses), self._limit(self._norms))

    def _limit(self, values: deque[float]) -> float:
        window = list(values)[:-1]
        mean = statistics.fmean(window)
        sigma = max(statistics.pstdev(window, mean), SMALLEST_RELATIVE_SIGMA * abs(mean))
        # In float32, as the device compares.
        return float(np.float32(mean + self._settings.spike_sigma * sigma))

    def observe(self, loss: float, gradient_norm: float, limits: Limits) -> str | None:
        """Take a step's values in.

        Args:
            loss: mean nats per token.
            gradient_norm: before clipping.
            limits: those that held for this step.

        Returns:
            Why the step is skipped, or None when it is good.
        """
        reason = skip_reason(loss, gradient_norm, limits)
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            self._losses.append(loss)
            self._norms.append(gradient_norm)
        if reason is None:
            self.in_a_row = 0
        else:
            self.skipped += 1
            self.in_a_row += 1
        return reason

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to decide in the same way."""
        return {
            "losses": list(self._losses),
            "gradient_norms": list(self._norms),
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave, except that the count of skips in a row starts anew.

        Whoever resumes a run that gave up wants it to try again.
        """
        self._losses.extend(state["losses"])
        self._norms.extend(state["gradient_norms"])
        self.skipped = state["skipped"]
        self.in_a_row = 0 if self._gave_up(state) else state["in_a_row"]

    def _gave_up(self, state: Mapping[str, Any]) -> bool:
        return bool(state["in_a_row"] >= self._settings.stop_after_skips)


def skip_reason(loss: float, gradient_norm: float, limits: Limits) -> str | None:
    """Why a step with these values is skipped, or None."""
    if not math.isfinite(loss):
        return "loss is not finite"
    if not math.isfinite(gradient_norm):
        return "gradient is not finite"
    if loss > limits.loss:
        return f"loss {loss:.4g} is above {limits.loss:.4g}"
    if gradient_norm > limits.gradient_norm:
        return f"gradient norm {gradient_norm:.4g} is above {limits.gradient_norm:.4g}"
    return None


class EarlyStopping:
    """Counts evaluations without a better domain value.

    Attributes:
        best: lowest bits per byte so far, or None before the first.
        best_step: where it was measured.
        without_gain: evaluations since.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best: float | None = None
        self.best_step: int | None = None
        self.without_gain = 0

    @property
    def stops(self) -> bool:
        """Whether the run shall end; never with a patience of 0."""
        return 0 < self.patience <= self.without_gain

    def observe(self, step: int, bits_per_byte: float) -> bool:
        """Take an evaluation in; returns whether it is the best so far."""
        if math.isfinite(bits_per_byte) and (self.best is None or bits_per_byte < self.best):
            self.best, self.best_step, self.without_gain = bits_per_byte, step, 0
            return True
        self.without_gain += 1
        return False

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "best": self.best,
            "best_step": self.best_step,
            "without_gain": self.without_gain,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self.best = state["best"]
        self.best_step = state["best_step"]
        self.without_gain = state["without_gain"]
