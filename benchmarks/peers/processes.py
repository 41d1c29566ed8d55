"""Start one measured process, wait for it, and say how much memory it took."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

Found = TypeVar("Found")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: 0 for success; negative for a signal.
        seconds: wall time from its start to its end.
        peak_bytes: the largest resident memory it had.
        other_load: cores that were busy with anything else meanwhile, on average. Above a few
            tenths the measured speed says more about the others.
    """

    status: int
    seconds: float
    peak_bytes: int
    other_load: float


def run_to_end(
    command: Sequence[str | Path],
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command with its output in a log file, and measure it.

    The peak is the operating system's own (`wait4`). This process must stay small, because a
    child's peak begins with that of the process it was forked from.
    """
    began = time.monotonic()
    busy_before = _busy_seconds()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    seconds = time.monotonic() - began
    others = _busy_seconds() - busy_before - usage.ru_utime - usage.ru_stime
    load = max(0.0, others / seconds)
    return Ended(process.returncode, seconds, usage.ru_maxrss * unit, load)


def _busy_seconds() -> float:
    """Processor time that all processes of this machine have used since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for a message that says why a process failed."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-count:])


def apart(function: Callable[..., Found], *arguments: object) -> Found:
    """function(*arguments) in a fresh process, so that no former work's memory or caches count."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)
