"""What a run's files tell for its line in a list, without reading whole files.

The end of metrics.jsonl gives where the run stands, places all over it a small curve. Only
evaluations are looked for in all of it, each byte once and by a plain search, so that a list of
a hundred runs stays quick; long files are searched in a thread meanwhile.
"""

from __future__ import annotations

import math
import os
import statistics
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cptstudio import run_files
from cptstudio.durable import UnusableFileError, open_regular_file, parse_json

_TAIL: Final = 64 * 1024
_LONG_TAIL: Final = 1024 * 1024
_SPEED_ROWS: Final = 50
CURVE_POINTS: Final = 60
_CURVE_PIECE: Final = 2048
_SEARCHED_AT_ONCE: Final = 8 * 1024 * 1024
_CHUNK: Final = 4 * 1024 * 1024
_LONGEST_LINE: Final = 1024 * 1024
_MOST_FOUND: Final = 20_000
_SOUGHT: Final = (b'"evaluation"', b'"resume"')

Row = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """Bits per byte over a run's evaluations; `best` is unknown until all were found."""

    first: float | None = None
    last: float | None = None
    best: float | None = None
    best_step: int | None = None


@dataclass(frozen=True)
class RunFacts:
    """Where a run stands, by its files. None is what they do not tell.

    Attributes:
        step, tokens_seen, loss, tokens_per_second, memory_process: of the newest training row.
        step_seconds: median of the last ones.
        trained_seconds: of all sessions together, without the time between them.
        planned_steps: of the whole run.
        skipped_steps: by guards, as far as the run's story tells.
        domain, general: what its evaluations measured.
        sparkline: losses from all over the run, at most 60.
        updated: Unix time of the newest row.
        complete: whether all evaluations were found yet.
    """

    step: int | None = None
    tokens_seen: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    memory_process: int | None = None
    step_seconds: float | None = None
    trained_seconds: float | None = None
    planned_steps: int | None = None
    skipped_steps: int = 0
    domain: Measure = field(default_factory=Measure)
    general: Measure = field(default_factory=Measure)
    sparkline: tuple[float, ...] = ()
    updated: float | None = None
    complete: bool = True


class FactsReader:
    """Follows the files of one run; looking again costs little while nothing changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._metrics = _Search(directory / run_files.METRICS)
        self._story = _Story(directory / run_files.EVENTS)
        self._mark: object = None
        self._facts = RunFacts()
        self._curve: tuple[int, tuple[float, ...]] = (-1, ())

    def facts(self, thorough: bool = False) -> RunFacts:
        """Where the run stands now.

        Args:
            thorough: search all of a long file for evaluations, however long it takes.
        """
        with self._lock:
            mark = (_mark(self._metrics.path), _mark(self._story.path))
            if mark != self._mark or not self._facts.complete:
                self._facts = self._look(thorough)
                self._mark = mark
            return self._facts

    def _look(self, thorough: bool) -> RunFacts:
        try:
            self._story.look()
            complete = self._metrics.look(None if thorough else _SEARCHED_AT_ONCE)
            rows, size, updated = _last_rows(self._metrics.path)
        except (OSError, UnusableFileError):
            return RunFacts(planned_steps=self._story.planned, skipped_steps=self._story.skipped)
        newest: Row = next((row for row in reversed(rows) if row.get("kind") == "train"), {})
        latest = next((row for row in reversed(rows) if row.get("kind") == "evaluation"), None)
        evaluations = self._metrics.evaluations()
        seconds = [
            value
            for row in rows[-_SPEED_ROWS:]
            if (value := finite(row.get("step_seconds"))) is not None
        ]
        return RunFacts(
            step=whole(newest.get("step")),
            tokens_seen=whole(newest.get("tokens_seen")),
            loss=finite(newest.get("loss")),
            tokens_per_second=finite(newest.get("tokens_per_second")),
            memory_process=whole(newest.get("memory_process")),
            step_seconds=statistics.median(seconds) if seconds else None,
            trained_seconds=finite(newest.get("elapsed")),
            planned_steps=self._story.planned,
            skipped_steps=self._story.skipped,
            domain=_measure(evaluations, latest, "domain_bits_per_byte", complete),
            general=_measure(evaluations, latest, "general_bits_per_byte", complete),
            sparkline=self._sparkline(size),
            updated=updated,
            complete=complete,
        )

    def _sparkline(self, size: int) -> tuple[float, ...]:
        drawn, curve = self._curve
        if drawn < 0 or not drawn <= size <= drawn + drawn // CURVE_POINTS:
            curve = _curve(self._metrics.path, size)
            self._curve = (size, curve)
        return curve


def finite(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def whole(value: Any) -> int | None:
    """A whole number, or None."""
    number = finite(value)
    return int(number) if number is not None and abs(number) < 2**63 else None


def _measure(rows: list[Row], latest: Row | None, key: str, complete: bool) -> Measure:
    values = [(value, row) for row in rows if (value := finite(row.get(key))) is not None]
    if not complete:
        first = values[0][0] if values else None
        return Measure(first=first, last=finite(latest.get(key)) if latest else None)
    if not values:
        return Measure()
    best, row = min(values, key=lambda item: item[0])
    return Measure(values[0][0], values[-1][0], best, whole(row.get("step")))


class _Search:
    """Finds the evaluation and resume rows of a growing file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._found: list[Row] = []

    def evaluations(self) -> list[Row]:
        """Those that no resume superseded."""
        return run_files.current_rows(self._found)

    def look(self, limit: int | None) -> bool:
        """Search at most so many bytes further; returns whether the end was reached."""
        with open_regular_file(self.path) as file:
            status = os.fstat(file.fileno())
            identity = (status.st_dev, status.st_ino)
            if identity != self._file or status.st_size < self._offset:
                self._file, self._offset, self._found = identity, 0, []
            end = status.st_size
            if limit is not None:
                end = min(end, self._offset + limit)
            while self._offset < end:
                data = os.pread(file.fileno(), _CHUNK, self._offset)
                cut = data.rfind(b"\n") + 1
                if not cut:
                    if len(data) < _CHUNK:
                        return True
                    cut = len(data)
                self._search(data, cut)
                self._offset += cut
                if len(data) < _CHUNK:
                    return True
            return self._offset >= status.st_size

    def _search(self, data: bytes, end: int) -> None:
        places = set()
        for sought in _SOUGHT:
            at = data.find(sought, 0, end)
            while at >= 0:
                places.add(data.rfind(b"\n", 0, at) + 1)
                line_end = data.find(b"\n", at)
                at = data.find(sought, line_end, end) if line_end >= 0 else -1
        for start in sorted(places):
            row = _row(data[start : data.find(b"\n", start)])
            if row is not None and _is_sought(row) and len(self._found) < _MOST_FOUND:
                self._found.append(row)


def _is_sought(row: Row) -> bool:
    if not isinstance(row.get("seq"), int):
        return False
    if row.get("kind") == "resume":
        return isinstance(row.get("after_seq"), int)
    return row.get("kind") == "evaluation"


class _Story:
    """Planned steps and skipped ones, by events.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.planned: int | None = None
        self._offset = 0
        self._file: tuple[int, int] | None = None
        self._skipped: list[int] = []

    @property
    def skipped(self) -> int:
        return len(self._skipped)

    def look(self) -> None:
        """Read on."""
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return
        identity = (status.st_dev, status.st_ino)
        if identity != self._file or status.st_size < self._offset:
            self._file, self._offset, self._skipped = identity, 0, []
        if status.st_size == self._offset:
            return
        lines = run_files.read_events(self.path.parent, self._offset)
        self._offset = lines.end_offset
        for event in lines.records:
            planned = whole(event.get("planned_steps"))
            self.planned = planned if planned is not None else self.planned
            step = whole(event.get("step"))
            if step is None:
                continue
            if event.get("event") == "resumed":
                self._skipped = [former for former in self._skipped if former <= step]
            elif event.get("event") == "skipped":
                self._skipped.append(step)


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _row(line: bytes) -> Row | None:
    if len(line) > _LONGEST_LINE:
        return None
    try:
        row = parse_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _last_rows(path: Path) -> tuple[list[Row], int, float]:
    """Rows at the end of the file, its size, and when it was written."""
    with open_regular_file(path) as file:
        status = os.fstat(file.fileno())
        rows: list[Row] = []
        for tail in (_TAIL, _LONG_TAIL):
            start = max(0, status.st_size - tail)
            lines = os.pread(file.fileno(), tail, start).split(b"\n")[:-1]
            parsed = (_row(line) for line in (lines[1:] if start else lines))
            rows = [row for row in parsed if row is not None]
            if start == 0 or any(row.get("kind") == "train" for row in rows):
                break
        return rows, status.st_size, status.st_mtime


def _curve(path: Path, size: int) -> tuple[float, ...]:
    points: list[tuple[float, float]] = []
    with open_regular_file(path) as file:
        for number in range(CURVE_POINTS):
            place = round(number * max(0, size - _CURVE_PIECE) / (CURVE_POINTS - 1))
            lines = os.pread(file.fileno(), _CURVE_PIECE, place).split(b"\n")
            for line in lines[1:-1] if place else lines[:-1]:
                row = _row(line) or {}
                step, loss = finite(row.get("step")), finite(row.get("loss"))
                if row.get("kind") == "train" and step is not None and loss is not None:
                    points.append((step, loss))
                    break
    # Rows that a resume superseded have steps that come again later.
    kept: list[float] = []
    following = math.inf
    for step, loss in reversed(points):
        if step < following:
            kept.append(loss)
            following = step
    return tuple(reversed(kept))
