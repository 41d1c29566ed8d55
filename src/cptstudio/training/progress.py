"""What the trainer says while it runs: plain lines, or one line that is rewritten on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_REWRITES = 0.1
SPEED_MEMORY = 0.95


class ProgressReporter:
    """Writes the log for a person.

    Args:
        total_steps: of the run.
        output: standard output unless a test says otherwise.
    """

    def __init__(self, total_steps: int, output: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._terminal = self._output.isatty()
        self._total = total_steps
        self._width = len(str(total_steps))
        self._next = 0.0
        self._seconds_per_step: float | None = None
        self._line = ""

    def say(self, text: str) -> None:
        """Write a line that stays."""
        if self._line:
            self._output.write("\r\x1b[K")
        self._output.write(text + "\n")
        if self._line:
            self._output.write(self._line)
        self._output.flush()

    def step(
        self, step: int, *, loss: float, rate: float, tokens_per_second: float, seconds: float
    ) -> None:
        """Tell about a step, unless the last line is too recent."""
        former = self._seconds_per_step
        self._seconds_per_step = (
            seconds if former is None else SPEED_MEMORY * former + (1 - SPEED_MEMORY) * seconds
        )
        now = time.monotonic()
        if now < self._next and step != self._total:
            return
        self._next = now + (SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES)
        left = format_duration((self._total - step) * self._seconds_per_step)
        text = (
            f"step {step:>{self._width}}/{self._total}  loss {loss:.4f}  rate {rate:.2e}  "
            f"{tokens_per_second:,.0f} tokens/s  {left} left"
        )
        if not self._terminal:
            self._output.write(text + "\n")
        else:
            self._line = f"{_bar(step / self._total)} {text}"
            self._output.write("\r\x1b[K" + self._line)
        self._output.flush()

    def close(self) -> None:
        """Leave the rewritten line behind."""
        if self._line:
            self._output.write("\n")
            self._output.flush()
            self._line = ""


def _bar(part: float, width: int = 20) -> str:
    full = round(part * width)
    return "█" * full + "░" * (width - full)


def format_duration(seconds: float) -> str:
    """Seconds as a person says it: 45s, 12m 05s, 3h 07m, 2d 04h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"
