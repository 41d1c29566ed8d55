"""A child's use of the machine, and the part of elapsed time that is its own."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Final

import psutil

_FREE_CORE: Final = 0.25
_LEAST_COUNTED: Final = 0.1


@dataclass(frozen=True)
class Taken:
    """The resources that processes use.

    Attributes:
        memory: bytes of resident memory, without what is mapped from files: those pages are
            dropped by the system when memory is short.
        seconds: of computing, by the processes that are there now.
        computes: one of them runs, or would if a processor were free.
    """

    memory: int
    seconds: float
    computes: bool

    @classmethod
    def by(cls, group: int) -> Taken:
        """Look at the processes of a group."""
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError):
                if os.getpgid(pid) == group:
                    found.append(pid)
        return cls.of(*found)

    @classmethod
    def of(cls, *pids: int) -> Taken:
        """Look at processes; those that are gone take nothing."""
        memory, seconds, computes = 0, 0.0, False
        for pid in pids:
            with contextlib.suppress(OSError, psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    found, times = process.memory_info(), process.cpu_times()
                    computes = computes or process.status() == psutil.STATUS_RUNNING
                memory += found.rss - getattr(found, "shared", 0)
                seconds += times.user + times.system
        return cls(memory, seconds, computes)


class Clock:
    """How long a child has had to answer; while the machine is too busy for it, less counts."""

    def __init__(self) -> None:
        self._asked: float | None = None
        self._counted = self._before = self._idle = self._seconds = 0.0

    def counted(self, asked: float | None, taken: Taken) -> float:
        """Return the seconds since a question that count; called again and again."""
        if asked is None:
            self._asked = None
            return 0.0
        now, times = time.monotonic(), psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        if asked != self._asked:
            self._asked, self._counted = asked, now - asked
        else:
            passed = now - self._before
            self._counted += counted(
                passed, idle - self._idle, taken.seconds - self._seconds, taken.computes
            )
        self._before, self._idle, self._seconds = now, idle, taken.seconds
        return self._counted


def counted(passed: float, idle: float, computed: float, computes: bool) -> float:
    """Return how much of a stretch of time counts for a child.

    Args:
        passed: seconds.
        idle: seconds in which processors had nothing to do, all of them together.
        computed: seconds that the child computed.
        computes: it computes, or would, and does not wait for a disk or the network.
    """
    if not computes or idle > _FREE_CORE * passed:
        return passed
    return min(passed, max(computed, _LEAST_COUNTED * passed))
