"""How a running trainer is asked to stop: SIGTERM or SIGINT, noticed between two steps.

Both signals are blocked before the slow imports and let in once the handler stands, so that
at no moment one of them can kill the process before it could answer. This module imports
nothing slow.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

BY_YOU: Final = "Stopped by you"
ON_REQUEST: Final = "Stopped on request"
REASONS: Final = (ON_REQUEST, BY_YOU)

SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})


def hold_signals() -> None:
    """Keep stop signals pending until `StopRequest.install`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class StopRequest:
    """Remembers that somebody asked the trainer to stop, and who.

    A second signal changes nothing: what is being saved is finished. Where several ranks train
    together, a stop is true once they have agreed about it, so that all stop at the same step.

    Attributes:
        asked: what this process was asked, agreed or not.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._shared = False
        self._agreed: str | None = None

    def install(self) -> None:
        """Answer SIGTERM and SIGINT from now on, those that were held back too."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # SIGTERM is also how the keeper passes on what a page or a command asked for.
        self.request(BY_YOU if number == signal.SIGINT else ON_REQUEST)

    def request(self, reason: str) -> None:
        """Ask for a stop; the first reason is kept."""
        if self.asked is None:
            self.asked = reason

    def share(self) -> None:
        """Be true only by `agree` from now on."""
        self._shared = True

    def agree(self, reason: str | None) -> None:
        """Take what all ranks know; a stop that was agreed about stays."""
        self._agreed = self._agreed or reason

    @property
    def reason(self) -> str | None:
        """Who stopped the trainer, as a sentence begins, or None."""
        return self._agreed if self._shared else self.asked

    def __bool__(self) -> bool:
        return self.reason is not None
