"""How long a connection is waited for."""

from __future__ import annotations

import contextlib
import socket
import struct


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
