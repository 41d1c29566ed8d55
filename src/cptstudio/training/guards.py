"""Steps that would harm the model are skipped, and too many of them end the run.

A step is skipped when its loss or its gradient is not finite, or lies far above the recent
ones. The limits of a step come from the steps up to the one before the last, so that on a GPU
they are known without waiting for the step that is under way; on a CPU the same rule holds.
The values of skipped steps enter the history when they are finite, so that a lasting change
(another kind of text, say) raises the limits and cannot end a run.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cptstudio.run_rows import is_better
from cptstudio.settings import GuardSettings

SMALLEST_RELATIVE_SIGMA: Final = 1e-3
"""Deviation assumed at least, relative to the mean: a constant loss would have none."""
SMALLEST_COMPARABLE_SHARE: Final = 0.5
"""Part of the usual tokens below which a step says little about the ones to come."""


@dataclass(frozen=True)
class Limits:
    """Largest loss (nats per token) and gradient norm of the next step; infinite when open.

    `share` is the part of the usual number of tokens that the step has.
    """

    loss: float = math.inf
    gradient_norm: float = math.inf
    share: float = 1.0

    def widened(self, share: float) -> Limits:
        """Return the limits of a step with that part of the usual tokens, such as an epoch's last.

        The noise of a mean over n tokens falls with the square root of n, so a short step is
        allowed more, and no text is skipped for standing at an epoch's end.
        """
        if share >= 1:
            return self
        factor = share**-0.5
        # In float32, as the device compares.
        loss, norm = np.float32(self.loss * factor), np.float32(self.gradient_norm * factor)
        return Limits(float(loss), float(norm), share)


class StepGuard:
    """Decides which steps are skipped, and keeps count.

    Attributes:
        skipped: steps skipped since the run began.
        in_a_row: steps skipped since the last good one.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        # (loss, gradient norm); the newest waits apart until it is the one before the last.
        self._newest: tuple[float, float] | None = None
        self._history: deque[tuple[float, float]] = deque(maxlen=settings.spike_window)
        self.skipped = 0
        self.in_a_row = 0

    @property
    def gives_up(self) -> bool:
        """Return whether so many steps were skipped in a row that the run shall end."""
        return self.in_a_row >= self._settings.stop_after_skips

    def limits(self, under_way: int = 0) -> Limits:
        """Return the limits of the next step; open until the window is full.

        Args:
            under_way: steps submitted but not observed yet, 0 or 1; the result is the same.
        """
        settings = self._settings
        values = list(self._history)
        if under_way and self._newest is not None:
            values = [*values, self._newest][-settings.spike_window :]
        if not settings.skip_spikes or len(values) < settings.spike_window:
            return Limits()
        window = np.array(values)
        mean = window.mean(axis=0)
        sigma = np.maximum(window.std(axis=0), SMALLEST_RELATIVE_SIGMA * np.abs(mean))
        # In float32, as the device compares.
        loss, norm = (mean + settings.spike_sigma * sigma).astype(np.float32).tolist()
        return Limits(loss, norm)

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
        if self._newest is not None:
            self._history.append(self._newest)
        finite = math.isfinite(loss) and math.isfinite(gradient_norm)
        comparable = limits.share >= SMALLEST_COMPARABLE_SHARE
        self._newest = (loss, gradient_norm) if finite and comparable else None
        if reason is None:
            self.in_a_row = 0
        else:
            self.skipped += 1
            self.in_a_row += 1
        return reason

    def state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs to decide in the same way."""
        return {
            "history": [list(pair) for pair in self._history],
            "newest": None if self._newest is None else list(self._newest),
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave, except that the count of skips in a row starts anew.

        Whoever resumes a run that gave up wants it to try again.
        """
        self._history.extend((loss, norm) for loss, norm in state["history"])
        newest = state["newest"]
        self._newest = None if newest is None else (newest[0], newest[1])
        self.skipped = state["skipped"]
        self.in_a_row = state["in_a_row"]
        if self.gives_up:
            self.in_a_row = 0


def skip_reason(loss: float, gradient_norm: float, limits: Limits) -> str | None:
    """Return why a step with these values is skipped, or None."""
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
        """Return whether the run shall end; never with a patience of 0."""
        return 0 < self.patience <= self.without_gain

    def observe(self, step: int, bits_per_byte: float) -> bool:
        """Take an evaluation in; returns whether it is the best so far."""
        if is_better(bits_per_byte, self.best):
            self.best, self.best_step, self.without_gain = bits_per_byte, step, 0
            return True
        self.without_gain += 1
        return False

    def state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"best": self.best, "best_step": self.best_step, "without_gain": self.without_gain}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self.best = state["best"]
        self.best_step = state["best_step"]
        self.without_gain = state["without_gain"]
