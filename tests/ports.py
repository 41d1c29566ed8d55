"""Ports that nobody has taken."""

from __future__ import annotations

import contextlib
import random
import socket


def free_ports(count: int) -> int:
    """Return the first of so many free ports that follow each other."""
    while True:
        first = random.randint(20000, 60000 - count)
        with contextlib.ExitStack() as opened:
            try:
                for port in range(first, first + count):
                    taken = opened.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
