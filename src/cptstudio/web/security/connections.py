"""How long a connection is waited for, and what a request's broken body means."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any


def set_patience(connection: socket.socket, seconds: int) -> None:
    """Let reads from and writes to a blocking socket fail after so many seconds of silence.

    Gunicorn and simple-websocket set their sockets to block for as long as it takes, so the
    limit is given to the kernel's socket (SO_RCVTIMEO, POSIX.1-2017); what fails then is a
    BlockingIOError.
    """
    limit = struct.pack("ll", seconds, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        # A client that is gone already is noticed when it is read from.
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, option, limit)


class Body:
    """A request's body whose every fault is that of a connection that broke off.

    Gunicorn raises errors of its own for chunks that are none (RFC 9112, section 7.1) while the
    body is read, long after the request was accepted.

    Args:
        inner: the `wsgi.input` of the request.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, *size: int) -> bytes:
        """At most so many bytes, or all."""
        return self._do("read", *size)

    def readline(self, *size: int) -> bytes:
        """Return one line, or so many bytes of it."""
        return self._do("readline", *size)

    def readlines(self, *hint: int) -> list[bytes]:
        """Return the lines that are left."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _do(self, name: str, *arguments: int) -> bytes:
        try:
            data: bytes = getattr(self._inner, name)(*arguments)
        except OSError:
            raise
        except Exception as error:
            raise ConnectionAbortedError(f"the body cannot be read: {error}") from None
        return data
