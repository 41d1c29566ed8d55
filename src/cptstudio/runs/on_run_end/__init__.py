"""Actions of a workspace's one server when a run ends: one module of this package each.

Modules are found by looking, as those of the API are, so that a new one is used by being there.
Each has `make(manager)`, which returns its `OnRunEnd`. Nothing is done while nobody serves.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from cptstudio.errors import UserError
from cptstudio.runs.launching import Beginning
from cptstudio.runs.queue import Queue
from cptstudio.runs.run import Run
from cptstudio.workspace import Workspace

_SECONDS: Final = 1.0
_Kind = TypeVar("_Kind", bound="OnRunEnd")
_Answer = TypeVar("_Answer")
_logger = logging.getLogger(__name__)


class Manager(Protocol):
    """The part of `TrainingManager` that is used here, which itself starts the `RunEnds`."""

    workspace: Workspace
    queue: Queue

    def runs(self) -> list[Run]:
        """Return all runs."""

    def alive(self) -> list[Run]:
        """Return those whose trainer or keeper lives."""

    def run(self, id: str) -> Run:
        """Return one run."""

    def begin_waiting(self, run: Run, beginning: Beginning) -> None:
        """Start a run that waits in the queue."""


class OnRunEnd:
    """An action at a run's end. All share a thread: each must be quick, and may raise anything."""

    def wanted(self) -> bool:
        """Return whether there is anything to do; runs are looked at only where one says so."""
        return True

    def ended(self, run: Run) -> None:
        """Do what is to be done about a run that has just ended; `run.exit` tells how."""

    def tick(self) -> None:
        """Do what is to be done while nothing trains; called about once a second."""


class RunEnds:
    """Looks at the runs that are alive, and tells those who do something when one ends."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._alive: set[str] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="run-ends", daemon=True)
        names = [f"{__name__}.{found.name}" for found in pkgutil.iter_modules(__path__)]
        made = [importlib.import_module(name).make(manager) for name in names]
        self._actions: list[OnRunEnd] = made

    def start(self) -> None:
        """Look about once a second from now on."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it. Runs go on."""
        self._stopping.set()
        self._thread.join()

    def action(self, kind: type[_Kind]) -> _Kind:
        """Return the one of a kind."""
        return next(action for action in self._actions if isinstance(action, kind))

    def look(self) -> None:
        """Tell what ended since the last look."""
        wanting = [action for action in self._actions if _guarded(action.wanted)]
        if not wanting:
            self._alive = None
            return
        alive = {run.id for run in self._manager.alive()}
        former, self._alive = self._alive or set(), alive
        for id in sorted(former - alive):
            try:
                run = self._manager.run(id)
            except UserError:
                continue  # It was deleted.
            for action in wanting:
                _guarded(action.ended, run)
        if not alive:
            for action in wanting:
                _guarded(action.tick)

    def _work(self) -> None:
        while not self._stopping.wait(_SECONDS):
            # A run whose workspace is not there cannot be started, and keeps its place.
            if self._manager.workspace.is_present():
                _guarded(self.look)


def _guarded(do: Callable[..., _Answer], *arguments: Run) -> _Answer | None:
    try:
        return do(*arguments)
    except UserError as error:
        # The workspace may have gone since it was looked at.
        _logger.info("what is done when a run ends: %s", error)
        return None
    except Exception:
        _logger.exception("what is done when a run ends failed")
        return None
