"""What a trainer does before its first step, told to the page, the terminal and the log.

Reading a base of 16 GB takes 22 s, and so does a checkpoint of that size. It is told in
preparation.json, which is replaced every second and gone once the training begins.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from cptstudio.durable import write_json
from cptstudio.run_files import PREPARATION, Preparation
from cptstudio.training.console_progress import format_duration, write_line
from cptstudio.training.run_lock import RunLock
from cptstudio.training.stop_requests import StopRequest

_BETWEEN_RECORDS: Final = 1.0
_BETWEEN_LINES: Final = 10.0
_BETWEEN_REWRITES: Final = 0.1
_BEFORE_RATE: Final = 0.5


class StoppedBeforeTrainingError(Exception):
    """A stop was requested while a run was being prepared."""


class Preparing:
    """Tells what is done before the first step, and ends it when a stop is requested.

    Args:
        log: takes the phases, too, see `console_progress.open_log`.
    """

    def __init__(
        self, lock: RunLock, stop: StopRequest, log: TextIO | None, output: TextIO | None = None
    ) -> None:
        self._lock = lock
        self._path = lock.run_directory / PREPARATION
        self._stop = stop
        self._log = log
        self._output = output or sys.stdout
        self._terminal = self._output.isatty()
        self._phase = ""
        self._began = self._next_record = self._next_line = 0.0
        self._open_line = False

    def phase(self, words: str) -> Callable[[int, int], None]:
        """Begin a phase; returns what takes its progress in bytes, read ones and all.

        Args:
            words: as the user reads it.

        Raises:
            StoppedBeforeTrainingError: a stop was requested. Progress raises it, too.
            RunDirectoryGoneError: the run directory was deleted. Progress raises it, too.
        """
        self._end_line()
        self._phase, self._began = words, time.monotonic()
        self._next_record = 0.0
        self._next_line = self._began + (_BETWEEN_REWRITES if self._terminal else _BETWEEN_LINES)
        self._tell(None, None)
        write_line(self._log, f"{words}…")
        return self._tell

    def close(self) -> None:
        """Take the record away."""
        self._end_line()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _tell(self, done: int | None, total: int | None) -> None:
        now = time.monotonic()
        if now >= self._next_record:
            self._next_record = now + _BETWEEN_RECORDS
            self._lock.check_present()
            record = self._record(done, total, now - self._began)
            # A full disk costs the page this, and nothing else.
            with contextlib.suppress(OSError):
                write_json(self._path, record.model_dump(mode="json"))
        if self._stop:
            raise StoppedBeforeTrainingError
        if done is not None and now >= self._next_line:
            self._next_line = now + (_BETWEEN_REWRITES if self._terminal else _BETWEEN_LINES)
            self._write(sentence(self._record(done, total, now - self._began)))

    def _record(self, done: int | None, total: int | None, seconds: float) -> Preparation:
        rate = done / seconds if done and seconds >= _BEFORE_RATE else None
        left = (total - (done or 0)) / rate if rate and total is not None else None
        return Preparation(
            phase=self._phase, done=done, total=total, rate=rate, remaining=left, time=time.time()
        )

    def _write(self, text: str) -> None:
        if self._terminal:
            self._output.write("\r\x1b[K" + text)
            self._open_line = True
        else:
            self._output.write(text + "\n")
            write_line(self._log, text)
        self._output.flush()

    def _end_line(self) -> None:
        if self._open_line:
            self._output.write("\r\x1b[K")
            self._output.flush()
            self._open_line = False


def sentence(record: Preparation) -> str:
    """A preparation as a line of text: how far, how fast, how long it takes."""
    parts = [record.phase]
    if record.done is not None and record.total:
        parts = [f"{record.phase}: {record.done / 1e9:.1f} of {record.total / 1e9:.1f} GB"]
    if record.rate:
        parts.append(f"{record.rate / 1e9:.1f} GB/s")
    if record.remaining is not None:
        parts.append(f"{format_duration(record.remaining)} left")
    return ", ".join(parts)
