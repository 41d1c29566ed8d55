"""No kind of request takes all threads of the server.

A thread that waits for a disk that does not answer, or for a model that does not load, cannot be
ended. So while many requests of one kind have been under way for long, further ones are refused,
and the last threads stay free of all that wait: pages, the sign-in and the rest of the API go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import flask

from cptstudio.web.options import THREADS
from cptstudio.web.problems import Problem

MOST_OF_A_KIND = THREADS // 4
MOST = THREADS - THREADS // 4
LONG_SECONDS = 3.0


class Crowding:
    """What is under way, and since when.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[object, tuple[str, float]] = {}

    def enter(self, request: object, kind: str) -> None:
        """Note that a request begins.

        Raises:
            Problem: too many have been under way for long.
        """
        now = self._clock()
        with self._lock:
            long = [name for name, since in self._begun.values() if now - since > LONG_SECONDS]
            if long.count(kind) >= MOST_OF_A_KIND or len(long) >= MOST:
                raise Problem(
                    f"{long.count(kind) or len(long)} such requests are already waiting, perhaps "
                    "for a disk that does not respond or a model that does not load: try again "
                    "later.",
                    status=HTTPStatus.SERVICE_UNAVAILABLE,
                )
            self._begun[request] = (kind, now)

    def leave(self, request: object) -> None:
        """Note that it has ended; one that was refused is not known."""
        with self._lock:
            self._begun.pop(request, None)


def watch(app: flask.Flask) -> None:
    """Refuse requests to an application where too many wait."""
    crowding = Crowding()

    @app.before_request
    def enter() -> None:
        flask.g.under_way = object()
        crowding.enter(flask.g.under_way, flask.request.endpoint or "")

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        crowding.leave(flask.g.get("under_way"))
