"""The socket that the server listens on."""

from __future__ import annotations

import errno
import socket
import time

from cptstudio.errors import UserError
from cptstudio.web.options import DEFAULT_PORT, ServerOptions

_BACKLOG = 128
_TRIED_PORTS = 20
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.05


def open_listener(options: ServerOptions) -> socket.socket:
    """Return a listening socket.

    The port that was asked for is the one that is taken, after waiting a little for a server
    that is just ending. Where none was asked for, it is the default or the next one free.

    Raises:
        UserError: the port is taken, or the address is not one of this machine.
    """
    if options.port is not None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            listener = _listen(options.host, options.port)
            if listener is not None:
                return listener
            if time.monotonic() > deadline:
                raise UserError(
                    f"Port {options.port} of {options.host} is taken by another program. Give "
                    "another one with --port, or none to get one that is free."
                )
            time.sleep(_PAUSE_SECONDS)
    for port in [*range(DEFAULT_PORT, DEFAULT_PORT + _TRIED_PORTS), 0]:
        listener = _listen(options.host, port)
        if listener is not None:
            return listener
    raise UserError(f"No port of {options.host} is free.")


def _listen(host: str, port: int) -> socket.socket | None:
    """A socket that listens there, or None when somebody else does."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UserError(f"--host {host!r} is not an address: {error.strerror}.") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Connections of a former server that are still winding down do not block the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise UserError(
            f"The server cannot listen on {host}, port {port}: {error.strerror}."
        ) from None
    return listener
