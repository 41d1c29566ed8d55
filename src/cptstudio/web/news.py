"""News, handed from whoever changed something to whoever tells the pages.

A leaf: it knows neither what changes nor who listens. `Studio` owns the one `News`; routes and
work publish on it; `live` subscribes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Subscriber(Protocol):
    """A receiver of news."""

    def publish(self, event: str, data: Any) -> None:
        """Pass an event on to all pages."""

    def look_now(self, changed: Iterable[str]) -> None:
        """Look again, at these runs above all."""

    def close(self) -> None:
        """Tell nothing any more."""


class News:
    """Passes on what is new. Without a subscriber nobody is told."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell this one, too, from now on."""
        self._subscribers.append(subscriber)

    def publish(self, event: str, data: Any) -> None:
        """Tell all pages something."""
        for subscriber in self._subscribers:
            subscriber.publish(event, data)

    def changed(self, runs: Iterable[str] = ()) -> None:
        """Something was done with these runs, or with the queue: tell it at once."""
        for subscriber in self._subscribers:
            subscriber.look_now(runs)

    def close(self) -> None:
        """Nobody is told from now on."""
        for subscriber in self._subscribers:
            subscriber.close()
