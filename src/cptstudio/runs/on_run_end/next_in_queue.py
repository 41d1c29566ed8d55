"""Starts the next waiting run when the one before has ended."""

from __future__ import annotations

import logging
import threading

from cptstudio.errors import UserError
from cptstudio.runs.on_run_end import Manager, OnRunEnd

_logger = logging.getLogger(__name__)


def make(manager: Manager) -> QueueRunner:
    """Return the queue's engine."""
    return QueueRunner(manager)


class QueueRunner(OnRunEnd):
    """The queue's engine in the one server of a workspace.

    It is paused when it is made while runs wait: what a former server was asked for starts
    only when the user says `go_on` to this one. It pauses itself when a run cannot start.

    Attributes:
        problem: why it paused itself, or None.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._queue = manager.queue
        self._lock = threading.Lock()
        waiting = self._queue.waiting()
        self.paused = bool(waiting)
        self.problem: str | None = None
        if waiting:
            names = ", ".join(item.run for item in waiting)
            _logger.info("queue: paused after a restart until you start it; waiting: %s", names)

    def go_on(self) -> None:
        """Start waiting runs from now on, one after the other."""
        with self._lock:
            self.paused, self.problem = False, None

    def pause(self) -> None:
        """Start nothing until `go_on`. A run that trains goes on."""
        with self._lock:
            self.paused = True

    def wanted(self) -> bool:
        """Return whether runs wait for their turn."""
        return not self.paused and bool(self._queue.waiting())

    def tick(self) -> None:
        """Start the next run."""
        with self._lock:
            if self.paused or not (waiting := self._queue.waiting()):
                return
            following = waiting[0]
            runs = self._manager.runs()
            run = next((run for run in runs if run.id == following.run), None)
            if run is None or run.attempt != following.attempt:
                _logger.info(
                    "queue: %s was removed: it is gone or was started by hand", following.run
                )
                self._queue.remove(following.run)
                return
            try:
                self._manager.begin_waiting(run, following.beginning)
            except UserError as error:
                self.paused, self.problem = True, str(error)
                _logger.info("queue: paused because %s cannot start: %s", run.id, error)
