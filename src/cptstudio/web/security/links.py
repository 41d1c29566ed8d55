"""Links for one time, by which a browser downloads a file: it sends no header of ours then."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from cptstudio.web.security.sessions import Session

LINK_PREFIX = "/download/"
_GOOD_SECONDS = 60.0
_KEPT = 1000
_TARGET = re.compile(r"(/api/[A-Za-z0-9._/-]{1,500})(?:\?([A-Za-z0-9._=&%-]{0,500}))?")


class Target(NamedTuple):
    """A link's target: a path and a query."""

    path: str
    query: str


class Links:
    """The links that were given out and not used."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[Session, Target, float]] = OrderedDict()
        self._lock = threading.Lock()

    def make(self, session: Session, address: str) -> str | None:
        """Return a link to an address of the API; None when it is none.

        It is good once, for a minute, and for this session alone.
        """
        found = _TARGET.fullmatch(address)
        if found is None:
            return None
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._open[key] = session, Target(found[1], found[2] or ""), time.monotonic()
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
        return LINK_PREFIX + key

    def use(self, path: str, sessions: list[Session]) -> tuple[Session, Target] | None:
        """Return where a link leads to one of these sessions. It leads there no more afterwards."""
        with self._lock:
            found = self._open.get(path.removeprefix(LINK_PREFIX))
            if found is None or found[0] not in sessions:
                return None
            del self._open[path.removeprefix(LINK_PREFIX)]
        session, target, made = found
        return (session, target) if time.monotonic() - made <= _GOOD_SECONDS else None
