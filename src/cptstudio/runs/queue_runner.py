"""Starts the next waiting run when the one before has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from cptstudio.errors import UserError
from cptstudio.runs.queue import Queue
from cptstudio.runs.run import Run

_logger = logging.getLogger(__name__)


class QueueRunner:
    """The queue's engine in the one server of a workspace.

    It is paused when it is made while runs wait: what a former server was asked for starts
    only when the user says `go_on` to this one. It pauses itself when a run cannot start.

    Attributes:
        paused: whether nothing is started.
        problem: why it paused itself, or None.
    """

    def __init__(
        self,
        queue: Queue,
        runs: Callable[[], Sequence[Run]],
        begin: Callable[[Run, str | None], None],
    ) -> None:
        self._queue = queue
        self._runs = runs
        self._begin = begin
        self._lock = threading.Lock()
        waiting = queue.waiting()
        self.paused = bool(waiting)
        self.problem: str | None = None
        if waiting:
            names = ", ".join(item.run for item in waiting)
            _logger.info("queue: paused after a restart, until you say go on; waiting: %s", names)

    def go_on(self) -> None:
        """Start waiting runs from now on, one after the other."""
        with self._lock:
            self.paused, self.problem = False, None

    def pause(self) -> None:
        """Start nothing until `go_on`. A run that trains goes on."""
        with self._lock:
            self.paused = True

    def tick(self) -> None:
        """Start the next run if nothing trains. Called regularly by the watching thread."""
        with self._lock:
            if self.paused or not (waiting := self._queue.waiting()):
                return
            runs = {run.id: run for run in self._runs()}
            if any(run.state.alive for run in runs.values()):
                return
            following = waiting[0]
            run = runs.get(following.run)
            if run is None or run.attempt != following.attempt:
                _logger.info("queue: %s left it, it is gone or was started by hand", following.run)
                self._queue.remove(following.run)
                return
            try:
                self._begin(run, following.resume)
            except UserError as error:
                self.paused, self.problem = True, str(error)
                _logger.info("queue: paused, because %s cannot start: %s", run.id, error)
