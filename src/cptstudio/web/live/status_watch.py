"""News for the status bar and changed runs, at little cost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.run_phases import PHASE
from cptstudio.runs.queue import Waiting
from cptstudio.runs.records import file_mark
from cptstudio.runs.run import Run
from cptstudio.serving.facts import EndpointState, all_endpoints
from cptstudio.validation import LateModel
from cptstudio.web.runs.summaries import RunSummary
from cptstudio.web.work.jobs import Job

if TYPE_CHECKING:
    from cptstudio.web.studio import Studio

_SHORTEST_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 2.0
_ALL_RUNS_SECONDS: Final = 10.0


class QueueStatus(LateModel):
    """The queue, the next run first."""

    paused: bool
    problem: str | None = None
    waiting: list[Waiting]


class EndpointStatus(LateModel):
    """An endpoint that runs."""

    id: str
    model: str
    state: EndpointState
    address: str | None


class Status(LateModel):
    """Active runs, queue, jobs, and the models that are served."""

    boot_id: str
    active: list[RunSummary]
    queue: QueueStatus
    jobs: list[Job]
    endpoints: list[EndpointStatus]


class StatusWatch:
    """Looks at all runs now and then, at the active ones often."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._asked = True
        self._jobs_changed = False
        self._next_look = 0.0
        self._next_all = 0.0
        self._folder_mark: object = None
        self._known: dict[str, tuple[Any, ...]] | None = None
        self._active: list[str] = []
        self._phases: list[str | None] = []
        self._told: Status | None = None

    def changed(self, runs: Iterable[str]) -> None:
        """Something was done with these runs, or with the queue."""
        with self._lock:
            self._changed |= set(runs)
            self._asked = True

    def jobs_changed(self) -> None:
        """A job went on."""
        with self._lock:
            self._jobs_changed = True

    def look(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the news for all pages."""
        now = time.monotonic()
        with self._lock:
            asked = self._asked
            marks = self._phase_marks()
            hurry = asked or self._jobs_changed or marks != self._phases
            if now < self._next_look and not hurry:
                return []
            if now < self._next_look - _LOOK_SECONDS + _SHORTEST_SECONDS:
                return []
            self._asked = self._jobs_changed = False
            self._phases = marks
            self._next_look = now + _LOOK_SECONDS
            changed, self._changed = self._changed, set()
        mark = self._mark()
        if asked or mark != self._folder_mark or now >= self._next_all:
            self._folder_mark, self._next_all = mark, now + _ALL_RUNS_SECONDS
            runs = self._studio.manager.runs()
            changed |= self._differing(runs)
        else:
            runs = [run for id in self._active if (run := self._run(id)) is not None]
            changed |= {
                run.id for run in runs if self._seen(run) != (self._known or {}).get(run.id)
            }
            changed |= set(self._active) - {run.id for run in runs}
            if self._known is not None:
                self._known.update({run.id: self._seen(run) for run in runs})
        active = [run for run in runs if run.state.alive]
        self._active = [run.id for run in active]
        news: list[tuple[str, dict[str, Any]]] = []
        if changed:
            news.append(("runs", {"changed": sorted(changed)}))
        status = status_now(self._studio, active)
        if status != self._told:
            self._told = status
            news.append(("status", status.model_dump(mode="json")))
        return news

    def _phase_marks(self) -> list[str | None]:
        """Change when an active run begins another phase, or goes on with one that counts."""
        return [file_mark(self._studio.workspace.run(id) / PHASE) for id in self._active]

    def _differing(self, runs: list[Run]) -> set[str]:
        seen = {run.id: self._seen(run) for run in runs}
        known, self._known = self._known, seen
        if known is None:
            return set()
        return {id for id in seen.keys() | known.keys() if seen.get(id) != known.get(id)}

    def _seen(self, run: Run) -> tuple[Any, ...]:
        return str(run.state), run.stalled, run.queue_position, run.created, run.attempt

    def _run(self, id: str) -> Run | None:
        try:
            return self._studio.manager.run(id)
        except UserError:
            return None

    def _mark(self) -> object:
        """Changes when a run directory comes or goes, or the queue changes."""
        marks = []
        workspace = self._studio.workspace
        for path in (workspace.runs, workspace.private / "runs", workspace.private / "queue.json"):
            try:
                marks.append(os.stat(path).st_mtime_ns)
            except OSError:
                marks.append(0)
        return marks


def status_now(studio: Studio, active: Sequence[Run] | None = None) -> Status:
    """Active runs, queue, jobs and endpoints, as they are now.

    Args:
        active: its active runs, where they are known already.
    """
    if active is None:
        active = studio.manager.alive()
    try:
        waiting = studio.manager.queue.waiting()
    except UnusableFileError:
        waiting = []
    runner = studio.queue_runner
    return Status(
        boot_id=studio.boot_id,
        active=[studio.run_library.summaries.one(run) for run in active],
        queue=QueueStatus(
            paused=runner.paused if runner is not None else bool(waiting),
            problem=runner.problem if runner is not None else None,
            waiting=waiting,
        ),
        jobs=studio.jobs.jobs(),
        endpoints=[
            EndpointStatus(id=one.id, model=one.model, state=one.state, address=one.address)
            for one in all_endpoints(studio.workspace)
            if one.alive
        ],
    )
