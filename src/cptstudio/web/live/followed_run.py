"""One run that pages follow: what is new about it, for each page from where that page is."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from cptstudio import run_files
from cptstudio.durable import UnusableFileError
from cptstudio.run_phases import PHASE
from cptstudio.runs.following import Follower
from cptstudio.runs.records import file_mark
from cptstudio.runs.states import RunState
from cptstudio.web.problems import NotFound
from cptstudio.web.runs.run_library import RunLibrary
from cptstudio.web.runs.summaries import PhaseView, phase_view

MOST_ROWS: Final = 256
_RECENT_EVENTS: Final = 100
_STATE_SECONDS: Final = 0.5
_QUIET_STATE_SECONDS: Final = 3.0
_STATE: Final = TypeAdapter(RunState)


@dataclass
class Position:
    """Up to where one page was told about one run.

    Attributes:
        generation: of the rows that it knows.
        seq: last row that it was told.
        waiting: it has not acknowledged the last update yet.
        due: when it may be told again, by the clock that nobody sets.
        events: number of the run's event lines that it was told; None before the first look.
        state, phase: that it was told.
    """

    generation: int
    seq: int
    waiting: bool = False
    due: float = 0.0
    events: int | None = None
    state: RunState | None = None
    phase: PhaseView | None = None

    def acknowledged(self, *_: Any) -> None:
        """The page took the last update."""
        self.waiting = False


class FollowedRun:
    """Follows one run for all pages that watch it. Used by one thread."""

    def __init__(self, id: str, library: RunLibrary) -> None:
        self.id = id
        self._library = library
        self._directory = library.workspace.run(id)
        self._story = Follower(self._directory / run_files.EVENTS)
        self._events: deque[dict[str, Any]] = deque(maxlen=_RECENT_EVENTS)
        self._event_count = 0
        self._state: RunState | None = None
        self._phase: PhaseView | None = None
        self._phase_mark: str | None = None
        self._next_state = 0.0
        self._generation = 0
        self._last_seq = 0
        self._recent: list[dict[str, Any]] = []
        self._recent_after = 0

    def look(self) -> None:
        """Read on, once for all pages. The state first: rows before an end are not missed."""
        state = self._look_at_state()
        for news in self._story.look_to_the_end():
            self._events.extend(news.records)
            self._event_count += len(news.records)
        try:
            columns = self._library.series.columns(self.id, self._directory, 0.0)
        except UnusableFileError:
            columns = None
        if columns is not None:
            with columns.lock:
                self._generation, self._last_seq = columns.generation, columns.last_seq
                self._recent = list(columns.recent)
                self._recent_after = columns.recent_after
        self._state = state

    def update_for(self, position: Position) -> dict[str, Any] | None:
        """What a page has to be told, and None when nothing is new; it then is at the newest."""
        told = self._event_count if position.events is None else position.events
        after, rows, behind = position.seq, [], False
        if position.generation != self._generation:
            behind = True
        elif position.seq < self._last_seq:
            behind = position.seq < self._recent_after
            rows = [] if behind else [row for row in self._recent if row["seq"] > position.seq]
            if len(rows) > MOST_ROWS:
                rows, behind = [], True
        events = (
            list(self._events)[-(self._event_count - told) :] if told < self._event_count else []
        )
        state = self._state if self._state != position.state else None
        phase = {"phase": self._told_phase()} if self._phase != position.phase else {}
        changed = behind or rows or events or phase or self._last_seq > position.seq
        position.generation, position.seq = self._generation, self._last_seq
        position.events, position.state = self._event_count, self._state
        position.phase = self._phase
        if not changed and state is None:
            return None
        return {
            "run": self.id,
            "generation": self._generation,
            "after": after,
            "seq": self._last_seq,
            "rows": rows,
            "events": events,
            "state": _STATE.dump_python(state) if state is not None else None,
            "behind": behind,
            **phase,
        }

    def _told_phase(self) -> dict[str, Any] | None:
        return None if self._phase is None else self._phase.model_dump(mode="json")

    def _look_at_state(self) -> RunState | None:
        now = time.monotonic()
        mark = file_mark(self._directory / PHASE)
        if now < self._next_state and mark == self._phase_mark:
            return self._state
        self._phase_mark = mark
        try:
            run = self._library.run(self.id)
        except NotFound:
            self._next_state, self._phase = now + _STATE_SECONDS, None
            return RunState("missing", reason="its directory is gone")
        alive, self._phase = run.state.alive, phase_view(run.phase)
        self._next_state = now + (_STATE_SECONDS if alive else _QUIET_STATE_SECONDS)
        return run.state
