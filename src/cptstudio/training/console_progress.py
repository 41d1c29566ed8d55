"""The trainer's output: plain lines, or one line that is rewritten on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from cptstudio.durable import UnusableFileError, open_descriptor
from cptstudio.durations import duration
from cptstudio.terminal import shows_blocks, visible, write

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_REWRITES = 0.1
SPEED_MEMORY = 0.95
PASSED_ON_VARIABLE = "CPT_STUDIO_PRINTED_TO"
"""Path of the log that what is printed is passed on to."""


class ProgressReporter:
    """Writes the log for a person.

    Args:
        total_steps: of the run; 0 while that is not known, see `expect`.
        output: standard output unless a test says otherwise.
        log: takes the plain lines too, see `open_log`.
    """

    def __init__(
        self, total_steps: int = 0, output: TextIO | None = None, log: TextIO | None = None
    ) -> None:
        self._output = output or sys.stdout
        self._log = log
        self._next_in_log = 0.0
        self._terminal = self._output.isatty()
        self._total = total_steps
        self._width = len(str(total_steps))
        self._next = self._next_of_phase = self._next_of_phase_in_log = 0.0
        self._seconds_per_step: float | None = None
        self._line = ""

    def expect(self, total_steps: int) -> None:
        """Take the number of the run's steps."""
        self._total, self._width = total_steps, len(str(total_steps))

    def log(self, text: str) -> None:
        """Write a line into the log alone."""
        write_line(self._log, visible(text))

    def phase(self, text: str) -> None:
        """Tell how far a phase is, unless the last line is too recent; "" where one begins."""
        now = time.monotonic()
        if not text:
            if self._terminal and self._line:
                write(self._output, "\r\x1b[K")
                self._line = ""
            # What is over in a moment needs no line.
            pause = SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES
            self._next_of_phase = now + pause
            self._next_of_phase_in_log = now + SECONDS_BETWEEN_LINES
            return
        if now >= self._next_of_phase_in_log:
            self._next_of_phase_in_log = now + SECONDS_BETWEEN_LINES
            self.log(text)
        if now < self._next_of_phase:
            return
        if self._terminal:
            self._next_of_phase = now + SECONDS_BETWEEN_REWRITES
            self._line = text
            write(self._output, "\r\x1b[K" + text)
        else:
            self._next_of_phase = now + SECONDS_BETWEEN_LINES
            write(self._output, text + "\n")

    def say(self, text: str) -> None:
        """Write a line that stays."""
        text = visible(text)
        before = "\r\x1b[K" if self._line else ""
        write(self._output, f"{before}{text}\n{self._line}")
        write_line(self._log, text)

    def step(
        self, step: int, *, loss: float, rate: float, tokens_per_second: float, seconds: float
    ) -> None:
        """Tell about a step, unless the last line is too recent."""
        former = self._seconds_per_step
        self._seconds_per_step = (
            seconds if former is None else SPEED_MEMORY * former + (1 - SPEED_MEMORY) * seconds
        )
        now = time.monotonic()
        shown = now >= self._next or step == self._total
        logged = self._log is not None and (now >= self._next_in_log or step == self._total)
        if not shown and not logged:
            return
        left = duration((self._total - step) * self._seconds_per_step)
        text = (
            f"step {step:>{self._width}}/{self._total}  loss {loss:.4f}  rate {rate:.2e}  "
            f"{tokens_per_second:,.0f} tokens/s  {left} left"
        )
        if logged:
            self._next_in_log = now + SECONDS_BETWEEN_LINES
            write_line(self._log, text)
        if not shown:
            return
        self._next = now + (SECONDS_BETWEEN_REWRITES if self._terminal else SECONDS_BETWEEN_LINES)
        if not self._terminal:
            write(self._output, text + "\n")
        else:
            self._line = f"{self._bar(step / self._total)} {text}"
            write(self._output, "\r\x1b[K" + self._line)

    def _bar(self, part: float, width: int = 20) -> str:
        done, left = "█░" if shows_blocks(self._output) else "#-"
        full = round(part * width)
        return done * full + left * (width - full)

    def close(self) -> None:
        """Leave the rewritten line behind."""
        if self._line:
            write(self._output, "\n")
            self._line = ""


def is_output(descriptor: int) -> bool:
    """Return whether an open file is what standard output goes to."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


def open_log(path: Path) -> TextIO | None:
    """Open train.log for appending; None where what is printed comes there already.

    That is so where standard output is this file, or a launcher of ranks passes on to it what is
    printed.

    Raises:
        UnusableFileError: a link or something that is no regular file stands there.
    """
    try:
        descriptor = open_descriptor(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        raise UnusableFileError(path, f"cannot be written: {error.strerror}") from None
    if os.environ.get(PASSED_ON_VARIABLE) == str(path) or is_output(descriptor):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")


def write_line(log: TextIO | None, text: str) -> None:
    """Append to the log, if there is one; a full disk costs the line and not the training."""
    if log is not None:
        with contextlib.suppress(OSError):
            log.write(text + "\n")
            log.flush()
