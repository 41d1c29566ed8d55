"""Tells what is new about runs: metrics rows, events, changes of state.

A `RunFollower` follows one run's files. The `Watcher` is one thread that looks after all of
them, more often where something happens and less often where it does not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import run_files, run_rows
from cptstudio.runs import states
from cptstudio.runs.following import Follower
from cptstudio.runs.states import RunState

_SHORTEST_SECONDS = 0.25
_LONGEST_SECONDS = 2.0
_STATE_SECONDS = 0.5
_QUIET_STATE_SECONDS = 5.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """What is new about a run since the last update.

    Attributes:
        run: its id.
        rows: new rows of metrics.jsonl, in file order, resume rows included.
        events: new lines of events.jsonl.
        state: the new state, or None where it is what it was.
        restarted: a file was exchanged or cut off; what was read of it before is void.
        problems: lines and files that could not be read, each with its reason.
    """

    run: str
    rows: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    state: RunState | None = None
    restarted: bool = False
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows or self.events or self.state or self.restarted or self.problems)


class RunFollower:
    """Follows one run: its rows after `after_seq`, its events, its state."""

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
        new_state = self._changed_state()
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
            restarted=metrics.restarted or events.restarted,
            problems=metrics.problems + events.problems,
        )

    @property
    def finished(self) -> bool:
        """Whether the run is over and everything it left was told."""
        return self.state is not None and not self.state.alive

    def _changed_state(self) -> RunState | None:
        # The files are read after the state: rows written before an end are then not missed.
        now = time.monotonic()
        if now < self._next_state:
            return None
        state = states.derive(states.gather(self._folder, self._directory, self._created))
        self._next_state = now + (_STATE_SECONDS if state.alive else _QUIET_STATE_SECONDS)
        return state if state != self.state else None


def _seq(row: dict[str, Any]) -> int:
    seq = row.get("seq")
    return seq if isinstance(seq, int) else 0


class Subscription:
    """One callback for one run; `close` ends it."""

    def __init__(self, follower: RunFollower, tell: Callable[[Update], None]) -> None:
        self.follower = follower
        self.tell = tell
        self.interval = _SHORTEST_SECONDS
        self.due = 0.0
        self.closed = False

    def close(self) -> None:
        """No callback begins after this returns to the watcher's thread."""
        self.closed = True


class Watcher:
    """One thread for all followed runs and for what has to be done regularly.

    Callbacks run in that thread: they must be quick, and an exception in one is logged and
    ends nothing.
    """

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._regular: list[tuple[float, Callable[[], None]]] = []
        self._due: dict[int, float] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def follow(self, follower: RunFollower, tell: Callable[[Update], None]) -> Subscription:
        """Call `tell` with every update of a run from now on."""
        subscription = Subscription(follower, tell)
        with self._changed:
            self._subscriptions.append(subscription)
            self._start()
            self._changed.notify()
        return subscription

    def regularly(self, seconds: float, do: Callable[[], None]) -> None:
        """Call `do` about every so many seconds."""
        with self._changed:
            self._regular.append((seconds, do))
            self._start()
            self._changed.notify()

    def close(self) -> None:
        """End the thread and wait for it."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="run-watcher", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._subscriptions = [item for item in self._subscriptions if not item.closed]
                subscriptions, regular = list(self._subscriptions), list(self._regular)
            now = time.monotonic()
            for subscription in subscriptions:
                if subscription.due <= now and not subscription.closed:
                    self._serve(subscription)
            for number, (seconds, do) in enumerate(regular):
                if self._due.get(number, 0.0) <= now:
                    self._due[number] = now + seconds
                    _guarded(do)
            next_times = [item.due for item in subscriptions]
            next_times += [self._due[number] for number in range(len(regular))]
            with self._changed:
                if self._stopping:
                    return
                if len(self._subscriptions) == len(subscriptions):
                    wait = min(next_times, default=now + 3600) - time.monotonic()
                    self._changed.wait(max(0.0, wait))

    def _serve(self, subscription: Subscription) -> None:
        update = Update(subscription.follower.run)
        try:
            update = subscription.follower.look()
        except OSError:
            _logger.exception("run %s cannot be followed", subscription.follower.run)
        if update:
            _guarded(lambda: subscription.tell(update))
            subscription.interval = _SHORTEST_SECONDS
        else:
            subscription.interval = min(_LONGEST_SECONDS, subscription.interval * 1.5)
        subscription.due = time.monotonic() + subscription.interval


def _guarded(do: Callable[[], None]) -> None:
    try:
        do()
    except Exception:
        _logger.exception("a callback failed")
