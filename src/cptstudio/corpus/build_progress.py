"""How far a build is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

_LONG_SECONDS = 2.0
_NAME = 60

Phase = Literal[
    "scanning",
    "checking",
    "reading",
    "cutting long documents",
    "comparing",
    "finding boilerplate",
    "counting turns",
    "tokenizing",
    "saving",
]
"""What a build does, in this order; what is not needed is left out."""


@dataclass(frozen=True)
class Progress:
    """A moment of a build.

    Attributes:
        phase: what is being done.
        files_done: source files read so far.
        files_total: source files in all; while they are looked for, those found so far.
        bytes_done: bytes of this phase so far.
        bytes_total: bytes of this phase in all; 0 while unknown.
        bytes_per_second: over this phase so far.
        remaining_seconds: of this phase, at that rate; None while unknown.
        slowest: name of the file that takes longest just now, and for how many seconds already;
            None where none takes long.
    """

    phase: Phase
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    bytes_per_second: float
    remaining_seconds: float | None
    slowest: tuple[str, float] | None = None

    @property
    def detail(self) -> str:
        """Say how many files were found or read, and which one takes long."""
        if self.phase == "scanning":
            some = "file" if self.files_total == 1 else "files"
            return f"{self.files_total:,} {some} found" if self.files_total else ""
        if self.phase != "reading":
            return ""
        told = f"{self.files_done:,} of {self.files_total:,} files"
        if self.slowest is None:
            return told
        name, seconds = self.slowest
        shown = name if len(name) <= _NAME else f"…{name[-_NAME + 1 :]}"
        return f"{told}; {shown} has taken {seconds:,.0f} s so far"


ProgressCallback = Callable[[Progress], None]


class ProgressMeter:
    """Turns counts into `Progress`, a few times a second at most."""

    def __init__(self, callback: ProgressCallback | None, interval: float = 0.1) -> None:
        self._callback = callback
        self._interval = interval
        self._last = float("-inf")
        self.begin("scanning", 0)
        self.files_done = 0
        self.files_total = 0

    def begin(self, phase: Phase, bytes_total: int) -> None:
        """Start a phase."""
        self._phase: Phase = phase
        self._bytes_total = bytes_total
        self.bytes_done = 0
        self._started = time.monotonic()
        self._last = float("-inf")
        self._reading: list[tuple[str, float]] = []
        self._size = self._within = self._told = self._ahead = 0

    def found_file(self) -> None:
        """Report one more file that is to be read."""
        self.files_total += 1
        self.tell()

    def more(self, size: int) -> None:
        """Report that so many bytes more are done."""
        self.bytes_done += size
        self.tell()

    def reach(self, done: float) -> None:
        """Report that so many bytes of this phase are done."""
        self.bytes_done = int(done)
        self.tell()

    def begin_file(self, name: str, size: int) -> None:
        """Start a file that is read here."""
        self._reading = [(name, time.monotonic())]
        self._size, self._within = size, 0

    def read_more(self, text_bytes: int) -> None:
        """Report that so much more text of this file was read, which tells how far it is."""
        self._within = min(self._size, self._within + text_bytes)
        self.tell()

    def end_files(self, files: int, size: int) -> None:
        """Report that so many files, of so many bytes, are done."""
        self.files_done += files
        self.bytes_done += size
        # What is still handed over of them is done, too.
        self._reading, self._size, self._within = [], 0, 0
        self.tell()

    def tell_reading(
        self, files: Iterable[tuple[str, float]], within: float = 0, ahead: int = 0
    ) -> None:
        """Report while waiting for files that are being read.

        Args:
            files: their names, and since when, by `time.monotonic`.
            within: bytes of them, and of others that come, that were read.
            ahead: files that were read ahead of their turn.
        """
        self._reading, self._within = list(files), int(within)
        self._ahead = self.files_done + ahead
        self.tell()

    def tell(self, final: bool = False) -> None:
        """Report, unless the last report was only just now."""
        now = time.monotonic()
        if self._callback is None or (not final and now - self._last < self._interval):
            return
        self._last = now
        elapsed = now - self._started
        # It never goes back: what was read ahead is counted only while it is waited for.
        self._told = done = max(self._told, self.bytes_done + self._within)
        rate = done / elapsed if elapsed > 0 else 0.0
        left = max(0, self._bytes_total - done)
        remaining = left / rate if rate and self._bytes_total else None
        self._callback(
            Progress(
                self._phase,
                max(self.files_done, self._ahead),
                self.files_total,
                done,
                self._bytes_total,
                rate,
                remaining,
                self._slowest(now),
            )
        )

    def _slowest(self, now: float) -> tuple[str, float] | None:
        name, since = min(self._reading, key=lambda one: one[1], default=("", math.inf))
        return (name, now - since) if now - since >= _LONG_SECONDS else None
