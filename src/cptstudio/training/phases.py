"""Tells what the trainer does, and how far it is: to the pages, the terminal and the log.

See `run_phases` for the files. Each phase that takes long is told with its own progress, so that
who waits for a first step knows why, and for how long.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Final

from cptstudio.durable import UnusableFileError, write_passing_json
from cptstudio.durations import duration
from cptstudio.json_lines import JsonLinesWriter
from cptstudio.run_phases import ATTEMPT_VARIABLE, PHASE, PHASES, Phase, PhaseName, Unit, title_of
from cptstudio.training.console_progress import ProgressReporter
from cptstudio.training.run_lock import RunLock
from cptstudio.training.stop_requests import StopRequest

Progress = Callable[[int, int], None]

_BETWEEN_RECORDS: Final = 1.0
_BEFORE_RATE: Final = 0.5
_BEFORE_TRAINING: Final = ("checking", "loading", "restoring")


class StoppedBeforeTrainingError(Exception):
    """A stop was requested while a run was being prepared."""


class Phases:
    """Tells the phases of one trainer process.

    A full disk costs the pages what is told here, and the training nothing.

    Args:
        session: number of this process of the run.
        reporter: says the same in the terminal and the log.
    """

    def __init__(
        self, lock: RunLock, session: int, stop: StopRequest, reporter: ProgressReporter
    ) -> None:
        self._lock = lock
        self._path = lock.run_directory / PHASE
        self._stop = stop
        self._reporter = reporter
        self._next_record = 0.0
        self._began = time.monotonic()
        self._now = Phase(
            attempt=os.environ.get(ATTEMPT_VARIABLE),
            pid=os.getpid(),
            session=session,
            name="starting",
            step=0,
            began=time.time(),
            time=time.time(),
        )
        self._lines: JsonLinesWriter | None = None
        with contextlib.suppress(OSError, UnusableFileError):
            self._lines = JsonLinesWriter(lock.run_directory / PHASES)

    @property
    def name(self) -> PhaseName:
        """The phase that was told last."""
        return self._now.name

    @property
    def under_way(self) -> str | None:
        """The checkpoint that is written beside what is told, or None."""
        return self._now.saving

    def begin(
        self,
        name: PhaseName,
        *,
        step: int = 0,
        detail: str = "",
        number: int | None = None,
        of: int | None = None,
        unit: Unit | None = None,
    ) -> Progress:
        """Begin a phase; returns what takes its progress: units done, and all.

        Args:
            step, detail, number, of, unit: as for `Phase`.

        Raises:
            StoppedBeforeTrainingError: a stop was requested before there is anything to save. The
                progress of such a phase raises it, too.
            RunDirectoryGoneError: the run directory was deleted. Progress raises it, too.
        """
        now = time.time()
        self._began = time.monotonic()
        self._now = self._now.model_copy(
            update={
                "name": name, "step": step, "detail": detail, "number": number, "of": of,
                "done": None, "total": None, "unit": unit, "rate": None, "remaining": None,
                "began": now, "time": now,
            }
        )  # fmt: skip
        self._lock.check_present()
        if self._lines is not None:
            line = {"time": now, "session": self._now.session, "phase": name, "step": step}
            with contextlib.suppress(OSError):
                self._lines.append(line)
        self._write()
        if name in _BEFORE_TRAINING:
            self._reporter.log(f"{title_of(self._now)}…")
        self._reporter.phase("")
        self._check_stop()
        return lambda done, total: self._progress(name, done, total)

    def saving(self, checkpoint: str | None) -> None:
        """Tell which checkpoint is written beside what is told, or that none is any more."""
        if checkpoint != self._now.saving:
            self._now = self._now.model_copy(update={"saving": checkpoint, "time": time.time()})
            self._write()

    def stopping(self) -> None:
        """Tell that the trainer knows that it shall stop."""
        self._now = self._now.model_copy(update={"stopping": True, "time": time.time()})
        self._write()

    def close(self) -> None:
        """Tell that the process is about to end. Its record stays, and means nothing without it."""
        with contextlib.suppress(StoppedBeforeTrainingError):
            self.begin("ending", step=self._now.step)
        if self._lines is not None:
            self._lines.close()
            self._lines = None

    def _progress(self, name: PhaseName, done: int, total: int) -> None:
        if name != self._now.name:
            return
        seconds = time.monotonic() - self._began
        rate = done / seconds if done and seconds >= _BEFORE_RATE else None
        told = {"done": done, "total": total, "rate": rate, "time": time.time()}
        told["remaining"] = max(0, total - done) / rate if rate else None
        self._now = self._now.model_copy(update=told)
        if time.monotonic() >= self._next_record:
            self._lock.check_present()
            self._write()
        self._reporter.phase(sentence(self._now))
        self._check_stop()

    def _check_stop(self) -> None:
        if self._stop and self._now.name in _BEFORE_TRAINING:
            raise StoppedBeforeTrainingError

    def _write(self) -> None:
        self._next_record = time.monotonic() + _BETWEEN_RECORDS
        with contextlib.suppress(OSError):
            write_passing_json(self._path, self._now.model_dump(mode="json"))


def sentence(phase: Phase) -> str:
    """Return a phase as a line of text: how far, how fast, how long it takes."""
    parts = [title_of(phase)]
    if phase.done is not None and phase.total:
        if phase.unit == "bytes":
            parts = [f"{parts[0]}: {phase.done / 1e9:.1f} of {phase.total / 1e9:.1f} GB"]
        else:
            parts = [f"{parts[0]}: {phase.done:,} of {phase.total:,} {phase.unit or ''}".rstrip()]
    if phase.rate and phase.unit == "bytes":
        parts.append(f"{phase.rate / 1e9:.1f} GB/s")
    if phase.remaining is not None:
        parts.append(f"{duration(phase.remaining)} left")
    return ", ".join(parts)
