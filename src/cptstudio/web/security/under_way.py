"""Requests in progress, so that they can be cut off when their session ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cptstudio.web.security.sessions import Session

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CONNECTION = "gunicorn.socket"


class UnderWay:
    """The requests and sockets of sessions.

    Attributes:
        number: how many requests are being answered, sockets not counted.
    """

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Session, Any]] = {}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a request for the block."""
        with self._lock:
            self.number += 1
        try:
            yield
        finally:
            with self._lock:
                self.number -= 1

    def following(
        self,
        session: Session | None,
        environ: WSGIEnvironment,
        inner: WSGIApplication,
        start: StartResponse,
    ) -> Iterable[bytes]:
        """Return the answer of the application inside, which breaks off when the session ends."""
        connection = environ.get(_CONNECTION)
        if session is None or connection is None:
            return inner(environ, start)
        with self._lock:
            self._open[id(environ)] = session, connection
        try:
            answer = inner(environ, start)
        except BaseException:
            self.spare(environ)
            raise
        return _Followed(answer, lambda: self.spare(environ))

    def spare(self, environ: WSGIEnvironment) -> None:
        """Let a request go on, or forget it."""
        with self._lock:
            self._open.pop(id(environ), None)

    def cut(self, session: Session | None) -> None:
        """Cut the connections of a session's requests and sockets; None stands for all."""
        with self._lock:
            found = [one for whose, one in self._open.values() if session in (None, whose)]
        for connection in found:
            # Below TLS, whose own state belongs to the thread that reads and writes.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Followed:
    """An answer that says when it was given."""

    def __init__(self, answer: Iterable[bytes], given: Callable[[], None]) -> None:
        self._answer, self._given = answer, given

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Called by the server when the answer was given, or broke off."""
        self._given()
        close = getattr(self._answer, "close", None)
        if close is not None:
            close()
