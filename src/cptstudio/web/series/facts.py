"""A run's facts for its line in a list, found without reading whole files.

The end of metrics.jsonl gives where the run stands, places all over it a small curve. Only
evaluations are looked for in all of it, each byte once and by a plain search, so that a list of
a hundred runs stays quick; long files are searched in a thread meanwhile.
"""

from __future__ import annotations

import itertools
import os
import statistics
import threading
from pathlib import Path
from typing import Final

from pydantic import Field

from cptstudio import metrics, run_files
from cptstudio.durable import UnusableFileError, open_regular_file
from cptstudio.metrics import Metric
from cptstudio.run_rows import (
    EVALUATION,
    RESUME,
    TRAIN,
    CurrentNotes,
    Row,
    best_of,
    current_rows,
    finite,
    held_spans,
    is_row,
    last_row,
    read_newest_first,
    resumed_after,
    row_of_line,
    whole,
)
from cptstudio.runs.following import Follower
from cptstudio.validation import LateModel

_SPEED_ROWS: Final = 50
CURVE_POINTS: Final = 60
_CURVE_PIECE: Final = 2048
_LOOKS_AT_ONCE: Final = 2
_MOST_FOUND: Final = 20_000
_SOUGHT: Final = (b'"evaluation"', b'"resume"')
_Spans = list[tuple[int, int]]


class Measure(LateModel, frozen=True):
    """A metric over a run's evaluations; `best` is unknown until all were found."""

    first: float | None = None
    last: float | None = None
    best: float | None = None
    best_step: int | None = None


class RunFacts(LateModel, frozen=True):
    """Where a run stands, by its files. None is what they do not tell.

    Attributes:
        step, tokens_seen, loss, tokens_per_second, memory_process: of the newest training row.
        step_seconds: median of the last ones.
        trained_seconds: of all sessions together, without the time between them.
        planned_steps: of the whole run.
        skipped_steps: by guards, as far as the run's events tells.
        domain, general: what its evaluations measured.
        evaluated: all `metrics.EVALUATION` that are compared, by their keys.
        sparkline: losses from all over the run, at most 60.
        updated: Unix time of the newest row.
        complete: whether all evaluations were found yet.
        newest: the newest training row.
        evaluations: the first row of one and the newest.
    """

    step: int | None = None
    tokens_seen: int | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    memory_process: int | None = None
    step_seconds: float | None = Field(None, exclude=True)
    trained_seconds: float | None = None
    planned_steps: int | None = None
    skipped_steps: int = 0
    domain: Measure = Measure()
    general: Measure = Measure()
    sparkline: tuple[float, ...] = ()
    updated: float | None = None
    complete: bool = Field(True, exclude=True)
    newest: Row = Field(default_factory=dict, exclude=True)
    evaluated: dict[str, Measure] = Field(default_factory=dict, exclude=True)
    evaluations: tuple[Row, ...] = Field((), exclude=True)


class FactsReader:
    """Follows the files of one run; looking again costs little while nothing changed."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._directory = directory
        self._search = _Search(directory / run_files.METRICS)
        self._story = _Events(directory / run_files.EVENTS)
        self._mark: object = None
        self._facts = RunFacts()
        self._curve: tuple[int, _Spans, tuple[float, ...]] = (-1, [], ())

    def facts(self, thorough: bool = False) -> RunFacts:
        """Return where the run stands now.

        Args:
            thorough: search all of a long file for evaluations, however long it takes.
        """
        with self._lock:
            mark = (_mark(self._search.path), _mark(self._story.path))
            if mark != self._mark or not self._facts.complete:
                self._facts = self._look(thorough)
                self._mark = mark
            return self._facts

    def _look(self, thorough: bool) -> RunFacts:
        try:
            self._story.look()
            complete = self._search.look(None if thorough else _LOOKS_AT_ONCE)
            held = read_newest_first(self._directory)
            rows = list(
                itertools.islice((row for row in held if row["kind"] == TRAIN), _SPEED_ROWS)
            )
            status = os.stat(self._search.path)
        except (OSError, UnusableFileError):
            return RunFacts(planned_steps=self._story.planned, skipped_steps=self._story.skipped)
        newest: Row = rows[0] if rows else {}
        evaluations = self._search.evaluations()
        latest = None if complete else last_row(self._directory, EVALUATION)
        evaluated = {
            metric.key: _measure(evaluations, latest, metric, complete)
            for metric in metrics.EVALUATION
            if metric.compared
        }
        steps = (finite(row.get("step_seconds")) for row in rows)
        seconds = [value for value in steps if value is not None]
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
            domain=evaluated["domain"],
            general=evaluated["general"],
            sparkline=self._sparkline(status.st_size),
            updated=status.st_mtime,
            complete=complete,
            newest=newest,
            evaluated=evaluated,
            evaluations=_ends(evaluations, latest),
        )

    def _sparkline(self, size: int) -> tuple[float, ...]:
        drawn, spans, curve = self._curve
        held = self._search.spans()
        grown = not drawn <= size <= drawn + drawn // CURVE_POINTS
        if drawn < 0 or grown or held != spans:
            curve = _curve(self._search.path, size, held)
            self._curve = (size, held, curve)
        return curve


def _ends(evaluations: list[Row], latest: Row | None) -> tuple[Row, ...]:
    """The first evaluation and the newest, which may lie behind what was searched."""
    first = evaluations[:1]
    newest = latest or (evaluations[-1] if evaluations else None)
    return (*first, *([newest] if newest is not None and [newest] != first else []))


def _measure(rows: list[Row], latest: Row | None, metric: Metric, complete: bool) -> Measure:
    values = [(value, row) for row in rows if (value := finite(row.get(metric.name))) is not None]
    if not complete:
        first = values[0][0] if values else None
        return Measure(first=first, last=finite(latest.get(metric.name)) if latest else None)
    if not values:
        return Measure()
    sign = -1 if metric.better == "higher" else 1
    best, row = best_of((item, sign * item[0]) for item in values) or values[0]
    first, last = values[0][0], values[-1][0]
    return Measure(first=first, last=last, best=best, best_step=whole(row.get("step")))


class _Search:
    """Finds the evaluation and resume rows of a growing file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = Follower(path, sought=_SOUGHT)
        self._found: list[Row] = []

    def evaluations(self) -> list[Row]:
        """Return those that no resume superseded."""
        return current_rows(self._found)

    def spans(self) -> _Spans:
        """Return the current values, as far as the file was searched; see `held_spans`."""
        after = ((row["seq"], resumed_after(row)) for row in self._found)
        return held_spans((own, back) for own, back in after if back is not None)

    def look(self, limit: int | None) -> bool:
        """Search on, with at most so many looks; returns whether the end was reached."""
        looks = itertools.count(1)
        while True:
            news = self._lines.look()
            if news.restarted:
                self._found = []
            sought = (row for row in news.records if is_row(row))
            found = [row for row in sought if row["kind"] in (EVALUATION, RESUME)]
            self._found += found[: _MOST_FOUND - len(self._found)]
            if self._lines.caught_up or next(looks) == limit:
                return self._lines.caught_up


class _Events:
    """Planned steps and skipped ones, by events.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.planned: int | None = None
        self._lines = Follower(path)
        self._skipped = CurrentNotes()

    @property
    def skipped(self) -> int:
        return len(self._skipped.notes())

    def look(self) -> None:
        """Read on."""
        for news in self._lines.look_to_the_end():
            if news.restarted:
                self._skipped = CurrentNotes()
            for event in news.records:
                planned = whole(event.get("planned_steps"))
                self.planned = planned if planned is not None else self.planned
                self._skipped.see(event)
                if event.get("event") == "skipped":
                    self._skipped.add(event)


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _curve(path: Path, size: int, held: _Spans) -> tuple[float, ...]:
    points: list[float] = []
    newest = -1
    with open_regular_file(path) as file:
        for number in range(CURVE_POINTS):
            place = round(number * max(0, size - _CURVE_PIECE) / (CURVE_POINTS - 1))
            lines = os.pread(file.fileno(), _CURVE_PIECE, place).split(b"\n")
            for line in lines[1:-1] if place else lines[:-1]:
                row = row_of_line(line)
                if row is None or row["kind"] != TRAIN or not _holds(row, held):
                    continue
                loss = finite(row.get("loss"))
                if loss is not None:
                    points += [loss] if row["seq"] > newest else []
                    newest = row["seq"]
                    break
    return tuple(points)


def _holds(row: Row, held: _Spans) -> bool:
    return any(low < row["seq"] <= high for low, high in held)
