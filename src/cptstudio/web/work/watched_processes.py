"""Training of other programs whose logs are read because the user asked for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.runs.external.detection import ExternalProcess
from cptstudio.runs.external.external_training import ExternalTraining

MOST_WATCHED: Final = 8
MOST_ROWS: Final = 20_000
_logger = logging.getLogger(__name__)


def process_id(process: ExternalProcess) -> str:
    """Return the id under which a process is addressed: its pid and when it started."""
    return f"{process.identity.pid}-{int(process.started * 1000)}"


@dataclass
class Watch:
    """The log of one process so far."""

    process: ExternalProcess
    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    problem: str | None = None
    left_out: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


class WatchedProcesses:
    """Follows logs, each in a thread that ends with its process.

    Args:
        on_change: called when a process is watched from now on, or has ended.
    """

    def __init__(self, external: ExternalTraining, on_change: Callable[[], None]) -> None:
        self._external = external
        self._on_change = on_change
        self._lock = threading.Lock()
        self._watched: dict[str, Watch] = {}

    def watched(self) -> dict[str, Watch]:
        """Return all that are watched, or were until they ended, by process id."""
        with self._lock:
            return dict(self._watched)

    def watch(self, process: ExternalProcess) -> None:
        """Read the log of a process from now on; the user has confirmed it.

        Raises:
            UserError: it has no log that can be read, or too many are watched.
        """
        id = process_id(process)
        with self._lock:
            if id in self._watched and not self._watched[id].ended:
                return
            if sum(not watch.ended for watch in self._watched.values()) >= MOST_WATCHED:
                raise UserError(f"At most {MOST_WATCHED} processes can be watched at once.")
        watch = Watch(process)
        token = self._external.ask(process.identity.pid, "watch").token
        histories = self._external.watch(token, watch.stop)
        with self._lock:
            ended = [key for key, other in self._watched.items() if other.ended]
            for key in ended[: max(0, len(self._watched) - MOST_WATCHED)]:
                del self._watched[key]
            self._watched[id] = watch

        def read() -> None:
            try:
                for history in histories:
                    with self._lock:
                        room = max(0, MOST_ROWS - len(watch.rows))
                        watch.rows += history.rows[:room]
                        watch.left_out += len(history.rows[room:])
                        watch.events += history.events[: max(0, MOST_ROWS - len(watch.events))]
            except (UserError, OSError) as error:
                watch.problem = str(error)
            except Exception:
                _logger.exception("process %s cannot be watched on", id)
                watch.problem = "Watching stopped. See the server log for details."
            watch.ended = True
            self._on_change()

        threading.Thread(target=read, name=f"watch-{id}", daemon=True).start()
        self._on_change()
