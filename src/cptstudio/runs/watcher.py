"""Tells what is new about a run: metrics rows, events, phases, changes of state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import run_files, run_rows
from cptstudio.run_phases import Phase
from cptstudio.runs import states
from cptstudio.runs.following import Follower
from cptstudio.runs.run import phase_now
from cptstudio.runs.states import RunState

_STATE_SECONDS = 0.5
_QUIET_STATE_SECONDS = 5.0


@dataclass(frozen=True)
class Update:
    """What is new about a run since the last update.

    Attributes:
        rows: new rows of metrics.jsonl, in file order, resume rows included.
        events: new lines of events.jsonl.
        state: the new state, or None where it is what it was.
        phase: what the trainer does, where that has changed.
        restarted: a file was exchanged or cut off; what was read of it before is void.
        problems: lines and files that could not be read, each with its reason.
    """

    run: str
    rows: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    state: RunState | None = None
    phase: Phase | None = None
    restarted: bool = False
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        told = (self.rows, self.events, self.state, self.phase, self.restarted, self.problems)
        return any(bool(one) for one in told)


class RunFollower:
    """Follows one run: its rows after `after_seq`, its events, its phase, its state."""

    def __init__(
        self,
        run: str,
        folder: Path,
        run_directory: Path,
        after_seq: int = 0,
        created: float | None = None,
    ) -> None:
        self.run = run
        self.state: RunState | None = None
        self._phase: Phase | None = None
        self._folder = folder
        self._directory = run_directory
        self._after_seq = after_seq
        self._created = created
        begin = run_rows.offset_after(run_directory, after_seq) if after_seq else 0
        self._metrics = Follower(run_directory / run_files.METRICS, begin)
        self._events = Follower(run_directory / run_files.EVENTS)
        self._next_state = 0.0

    def look(self) -> Update:
        """What is new, in file order; a state is only told after all rows before it."""
        new_state, new_phase = self._changed_state()
        metrics, events = self._metrics.look(), self._events.look()
        if metrics.restarted:
            self._after_seq = 0
        rows = metrics.records
        if self._after_seq:
            rows = tuple(row for row in rows if _seq(row) > self._after_seq)
        if new_state is not None and not (self._metrics.caught_up and self._events.caught_up):
            new_state = None
        if new_state is not None:
            self.state = new_state
        return Update(
            run=self.run,
            rows=rows,
            events=events.records,
            state=new_state,
            phase=new_phase,
            restarted=metrics.restarted or events.restarted,
            problems=metrics.problems + events.problems,
        )

    @property
    def finished(self) -> bool:
        """Whether the run is over and everything it left was told."""
        return self.state is not None and not self.state.alive

    def _changed_state(self) -> tuple[RunState | None, Phase | None]:
        # The files are read after the state: rows written before an end are then not missed.
        now = time.monotonic()
        if now < self._next_state:
            return None, None
        evidence = states.gather(self._folder, self._directory, self._created)
        state = states.derive(evidence)
        self._next_state = now + (_STATE_SECONDS if state.alive else _QUIET_STATE_SECONDS)
        phase = phase_now(self._directory, state, evidence)
        changed, self._phase = phase != self._phase, phase
        return state if state != self.state else None, phase if changed else None


def _seq(row: dict[str, Any]) -> int:
    seq = row.get("seq")
    return seq if isinstance(seq, int) else 0
