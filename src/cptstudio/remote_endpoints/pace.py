"""How fast an endpoint may be asked: all who ask it wait together when it says so."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from typing import Final

from cptstudio.durations import duration
from cptstudio.errors import UserError

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_DAY: Final = 86_400.0


class StoppedError(Exception):
    """Nobody wants the answer any more."""


class Pace:
    """Shared by all threads that ask one endpoint.

    Args:
        unit: seconds that the first wait after a failure takes; each further one twice as many.
        longest: seconds that an endpoint may ask for; more ends the work.
        told: called with the seconds of each wait and the reason.
    """

    def __init__(
        self,
        unit: float = _FIRST_WAIT,
        longest: float = 600.0,
        told: Callable[[float, str], None] = lambda seconds, why: None,
    ) -> None:
        self._unit = unit
        self.longest = longest
        self._told = told
        self._stopped = threading.Event()
        self._until = 0.0
        self._lock = threading.Lock()
        self.waits = 0

    def stop(self) -> None:
        """Let everyone who waits go home."""
        self._stopped.set()

    def wait_for_turn(self) -> None:
        """Return when the endpoint may be asked.

        Raises:
            StoppedError: it shall not be asked any more.
        """
        while not self._stopped.is_set():
            with self._lock:
                left = self._until - time.monotonic()
            if left <= 0:
                return
            self._stopped.wait(left)
        raise StoppedError

    def hold(self, host: str, failures: int, asked: float | None, why: str) -> None:
        """Let nobody ask for a while.

        Args:
            failures: of this request so far, at least one.
            asked: seconds that the endpoint asked for, or None.

        Raises:
            UserError: it asked for more than anybody would wait.
        """
        if asked is not None and asked > self.longest:
            length = f"{'at least ' if asked > _DAY else ''}{duration(min(asked, _DAY))}"
            raise UserError(
                f"{host} asks to wait for {length} ({why}). Do the same again then: what was "
                "written is kept."
            )
        doubled = min(_LONGEST_WAIT * self._unit, self._unit * 2.0 ** (failures - 1))
        seconds = max(asked or 0.0, doubled)
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)
            self.waits += 1
        self._told(seconds, why)


def asked_seconds(header: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After asks for (RFC 9110, 10.2.3), or None.

    Args:
        now: Unix time, for those that name a date.
    """
    if header is None:
        return None
    text = header.strip()[:100]
    try:
        seconds = float(text) if text.isascii() else None
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError, TypeError):
            return None
    if seconds is None or seconds != seconds:
        return None
    return max(0.0, seconds)
