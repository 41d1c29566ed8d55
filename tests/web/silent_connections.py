"""Connections that send the beginning of something and fall silent, and a server that answers."""

from __future__ import annotations

import socket
from collections.abc import Callable

_TRIES = 20


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed it, whatever it has answered."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def all_open(silent: list[socket.socket]) -> bool:
    """Whether the server has closed none of them."""
    return all(map(is_open, silent))


def assert_answers_beside(
    connect: Callable[[], socket.socket],
    half: bytes,
    count: int,
    answers: Callable[[], bool],
    still: Callable[[list[socket.socket]], bool] = all_open,
) -> None:
    """Assert that `answers` is true while `count` connections have sent `half` and fallen silent.

    The server gives them up after some seconds: on a machine so busy that this was before it
    answered, nothing was shown, and they are begun again. `still` says whether enough of them were
    open afterwards.
    """
    for _ in range(_TRIES):
        silent = [connect() for _ in range(count)]
        try:
            for connection in silent:
                connection.sendall(half)
            assert answers()
            if still(silent):
                return
        finally:
            for connection in silent:
                connection.close()
    raise AssertionError("it answers only once the silent connections are closed")
