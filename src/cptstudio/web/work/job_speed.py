"""How fast a job is lately, and how long the rest takes at that rate."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

_WINDOW_SECONDS = 10.0
_LEAST_SECONDS = 0.5


class Pace(NamedTuple):
    """Units a second and seconds left; None while unknown."""

    rate: float | None
    remaining: float | None


class Speed:
    """The rate over the last ten seconds of a phase.

    Over the whole phase it would hide that a download has stalled, and from one line to the
    next it would jump.
    """

    def __init__(self) -> None:
        self._phase: str | None = None
        self._points: deque[tuple[float, float]] = deque()

    def after(self, phase: str | None, done: float | None, total: float | None) -> Pace:
        """Take a moment's progress and tell the pace."""
        now = time.monotonic()
        if phase != self._phase or (self._points and (done or 0) < self._points[-1][1]):
            self._points.clear()
            self._phase = phase
        if done is None:
            return Pace(None, None)
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] > _WINDOW_SECONDS:
            self._points.popleft()
        began, before = self._points[0]
        if now - began < _LEAST_SECONDS:
            return Pace(None, None)
        rate = (done - before) / (now - began)
        if rate <= 0:
            return Pace(None, None)  # Nothing was measured yet.
        if total is None or done >= total:
            return Pace(rate, None)  # What comes after the last one is not known.
        return Pace(rate, (total - done) / rate)
