"""Long work in processes of their own, with progress, cancel and a bounded memory of it.

A job is one child process, see `cptstudio.child_process`. At most `PARALLEL` run at once, the
others wait in the order of their start. Jobs are remembered while the
server runs, so a page that is loaded again finds them.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import pkgutil
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cptstudio.child_answers import Line
from cptstudio.child_limits import Limits
from cptstudio.child_process import GRACE_SECONDS, ChildProcess
from cptstudio.errors import Finding, UserError
from cptstudio.job_programs import Unit
from cptstudio.validation import LateModel
from cptstudio.web.problems import Conflict
from cptstudio.web.work.job_speed import Speed

PARALLEL = 2
_REMEMBERED = 50
_WAITING_LIMIT = 100
_TELL_SECONDS = 0.25

log = logging.getLogger(__name__)

Subject = Literal["corpus", "model", "suite", "questions", "workspace", "ledger"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
_ENDED = ("done", "failed", "cancelled")


class Job(LateModel):
    """A job as the interface shows it.

    Attributes:
        kind: "corpus", "tokenise", "download", "calibrate", ...
        phase: what is being done, in the program's words, such as "reading".
        done: units of this phase so far.
        total: units of this phase in all.
        rate: units a second, lately.
        remaining_seconds: of this phase, at that rate.
        detail: a few more words, such as "3 of 12 files".
        error: a sentence; set when it failed.
        problems: sentences of the findings that belong to the error.
        result: what the program answered.
        about: what it works on, for the page: the corpus's name or the model's id.
        on: what sort of thing that is.
        created: when it was asked for; Unix seconds, as is `ended`.
    """

    id: str
    kind: str
    title: str
    state: State = "waiting"
    cancelling: bool = False
    phase: str | None = None
    done: float | None = None
    total: float | None = None
    unit: Unit | None = None
    rate: float | None = None
    remaining_seconds: float | None = None
    detail: str | None = None
    error: str | None = None
    problems: list[str] = []
    findings: list[Finding] = []
    result: dict[str, Any] | None = None
    about: str | None = None
    on: Subject | None = None
    created: float
    ended: float | None = None


@dataclass(frozen=True)
class Order:
    """A job that a page may ask for: its route is made of this.

    Attributes:
        path: below /api; its parts `<name>` are arguments of `start`.
        summary: a line for the documentation, whose text is the docstring of `start`.
        start: checks what is asked, the model of its `body`, and starts the job.
    """

    path: str
    summary: str
    start: Callable[..., Job]


def orders() -> list[Order]:
    """`ORDERS` of every module beside this one whose name ends in "_work"."""
    found: list[Order] = []
    for module in pkgutil.iter_modules([os.path.dirname(__file__)]):
        if module.name.endswith("_work"):
            found += importlib.import_module(f"{__package__}.{module.name}").ORDERS
    return found


ResultHook = Callable[[dict[str, Any]], dict[str, Any]]
EndHook = Callable[[Job], None]


@dataclass
class _Entry:
    job: Job
    program: Sequence[str]
    request: dict[str, Any]
    limits: Limits
    result: ResultHook | None
    on_end: EndHook | None
    key: str | None
    process: ChildProcess | None = None
    speed: Speed = field(default_factory=Speed)
    told: float = float("-inf")


class JobRunner:
    """Starts jobs and knows them.

    Args:
        on_change: called with a copy of a job when it changed, for progress at most four times a
            second and job; from the runner's own threads.
        parallel: jobs that run at once.
        grace_seconds: between asking a program to end and killing it.
    """

    def __init__(
        self,
        on_change: EndHook | None = None,
        parallel: int = PARALLEL,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.on_change = on_change
        self._grace_seconds = grace_seconds
        self._parallel = parallel
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._entries: dict[str, _Entry] = {}
        self._waiting: deque[str] = deque()
        self._running = 0
        self._closed = False

    # --- what is asked ---------------------------------------------------------------------

    def start(
        self,
        kind: str,
        title: str,
        program: Sequence[str],
        request: dict[str, Any],
        limits: Limits,
        *,
        result: ResultHook | None = None,
        on_end: EndHook | None = None,
        key: str | None = None,
        about: str | None = None,
        on: Subject | None = None,
    ) -> Job:
        """Start a job, or queue it behind those that run.

        Args:
            title: what the user sees.
            program: see `ChildProcess`.
            request: for the program's standard input.
            limits: of the program's time and memory.
            result: makes the job's result of the program's.
            on_end: called once when it has ended, however, also when it never started.
            key: of two jobs with the same key only one may be under way.

        Raises:
            Conflict: another with this key is under way.
            UserError: too many are waiting, or the server is ending.
        """
        job = Job(
            id=secrets.token_hex(8), kind=kind, title=title, about=about, on=on, created=time.time()
        )
        entry = _Entry(job, tuple(program), request, limits, result, on_end, key)
        with self._lock:
            self._check_room(key)
            self._entries[job.id] = entry
            self._waiting.append(job.id)
            self._forget_old()
            self._start_next()
            answer = job.model_copy(deep=True)
        self._tell(entry, now=True)
        return answer

    def jobs(self) -> list[Job]:
        """Return all jobs that are remembered, the newest first."""
        with self._lock:
            found = [entry.job.model_copy(deep=True) for entry in self._entries.values()]
        return found[::-1]

    def job(self, job_id: str) -> Job | None:
        """Return one job, or None when it is not known (any more)."""
        with self._lock:
            entry = self._entries.get(job_id)
            return entry.job.model_copy(deep=True) if entry else None

    def active(self, key: str) -> Job | None:
        """Return the job with this key that waits or runs."""
        with self._lock:
            for entry in self._entries.values():
                if entry.key == key and entry.job.state not in _ENDED:
                    return entry.job.model_copy(deep=True)
        return None

    def cancel(self, job_id: str) -> Job | None:
        """End a job: at once when it waits, otherwise by asking its program, then by force."""
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.job.state in _ENDED:
                return entry.job.model_copy(deep=True) if entry else None
            entry.job.cancelling = True
            waiting = entry.job.state == "waiting"
            if waiting:
                self._waiting.remove(job_id)
            process = entry.process
        if waiting:
            self._finish(entry, "cancelled")
        elif process is not None:
            process.cancel()
            self._tell(entry, now=True)
        return self.job(job_id)

    def remove(self, job_id: str) -> bool:
        """Forget a job that has ended; False when it is not known or not ended."""
        with self._lock:
            entry = self._entries.get(job_id)
            if entry is None or entry.job.state not in _ENDED:
                return False
            del self._entries[job_id]
            return True

    def wait(self, job_id: str, timeout: float | None = None) -> Job | None:
        """Wait until a job has ended; returns it as it is then."""
        with self._ended:
            self._ended.wait_for(lambda: self._is_over(job_id), timeout)
        return self.job(job_id)

    def close(self, timeout: float = 10.0) -> None:
        """End everything; the runner takes no more jobs."""
        with self._lock:
            self._closed = True
            ids = [entry.job.id for entry in self._entries.values()]
        for job_id in ids:
            self.cancel(job_id)
        deadline = time.monotonic() + timeout
        for job_id in ids:
            self.wait(job_id, max(0.0, deadline - time.monotonic()))

    # --- inside ----------------------------------------------------------------------------

    def _is_over(self, job_id: str) -> bool:
        entry = self._entries.get(job_id)
        return entry is None or entry.job.state in _ENDED

    def _check_room(self, key: str | None) -> None:
        if self._closed:
            raise UserError("The server is shutting down. Start the job again when it is back.")
        if key is not None:
            other = self.active(key)
            if other is not None:
                raise Conflict(
                    f"{other.title} is still running. Wait until it finishes, or cancel it."
                )
        if len(self._waiting) >= _WAITING_LIMIT:
            raise UserError(f"{_WAITING_LIMIT} jobs are already waiting. Wait until some finish.")

    def _forget_old(self) -> None:
        ended = [one for one, entry in self._entries.items() if entry.job.state in _ENDED]
        for job_id in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._entries[job_id]

    def _start_next(self) -> None:
        while self._waiting and self._running < self._parallel and not self._closed:
            entry = self._entries[self._waiting.popleft()]
            entry.job.state = "running"
            self._running += 1
            name = f"job-{entry.job.id}"
            threading.Thread(target=self._run, args=(entry,), name=name, daemon=True).start()

    def _run(self, entry: _Entry) -> None:
        error: UserError | None = None
        result: dict[str, Any] | None = None
        try:
            process = ChildProcess(entry.program, entry.limits, grace_seconds=self._grace_seconds)
            with self._lock:
                entry.process = process
                cancelling = entry.job.cancelling
            if cancelling:
                process.cancel()
            process.send(entry.request)
            end = process.follow(lambda line: self._take(entry, line))
            result = end.result
            if end.error is not None:
                error = UserError(end.error, end.findings)
            elif end.cancelled and not entry.job.cancelling:
                error = UserError("Stopped from outside CPT Studio.")
            if result is not None and entry.result is not None:
                result = entry.result(result)
        except UserError as reason:
            error = reason
        except Exception as fault:
            log.exception("job %s (%s)", entry.job.id, entry.job.kind)
            error = UserError(f"It could not be run: {fault}")
        with self._lock:
            self._running -= 1
            entry.job.result = result if error is None else None
            cancelled = entry.job.cancelling and result is None
            if error is not None and not cancelled:
                entry.job.error, entry.job.problems = error.message, list(error.problems)
                entry.job.findings = list(error.findings)
            state: State = "cancelled" if cancelled else "failed" if error else "done"
        self._finish(entry, state)

    def _take(self, entry: _Entry, line: Line) -> None:
        """Take a line of progress from the program."""
        job = entry.job
        with self._lock:
            phase_changed = line.phase != job.phase
            job.phase, job.done, job.total = line.phase, line.done, line.total
            job.unit, job.detail = line.unit, line.detail
            speed = entry.speed.after(line.phase, line.done, line.total)
            job.rate = line.rate if line.rate is not None else speed.rate
            job.remaining_seconds = (
                line.remaining_seconds if line.remaining_seconds is not None else speed.remaining
            )
        self._tell(entry, now=phase_changed)

    def _finish(self, entry: _Entry, state: State) -> None:
        with self._lock:
            entry.process = None
            entry.request = {}
            entry.job.cancelling = False
            entry.job.rate = entry.job.remaining_seconds = None
            entry.job.ended = time.time()
            copy = entry.job.model_copy(deep=True, update={"state": state})
        try:
            if entry.on_end is not None:
                entry.on_end(copy)
        except Exception:
            log.exception("after job %s (%s)", copy.id, copy.kind)
        with self._lock:
            entry.job.state = state
            self._start_next()
            started = [one for one in self._entries.values() if one.job.state == "running"]
            self._ended.notify_all()
        log.info("job %s: %s: %s%s", copy.id, copy.title, state, _reason(copy))
        self._tell(entry, now=True)
        for other in started:
            self._tell(other, now=True)

    def _tell(self, entry: _Entry, *, now: bool) -> None:
        if self.on_change is None:
            return
        with self._lock:
            moment = time.monotonic()
            if not now and moment - entry.told < _TELL_SECONDS:
                return
            entry.told = moment
            copy = entry.job.model_copy(deep=True)
        try:
            self.on_change(copy)
        except Exception:
            log.exception("telling of job %s", copy.id)


def _reason(job: Job) -> str:
    return f" ({json.dumps(job.error)})" if job.error else ""
