"""What a writer is asked for, whatever comes of it: study texts, facts."""

from __future__ import annotations

from typing import Any, Protocol


class WritingTask(Protocol):
    """One text to write."""

    @property
    def key(self) -> str:
        """A hash of all that decides the text."""

    @property
    def seed(self) -> int:
        """Of the sampling."""

    @property
    def counted(self) -> bool:
        """It is one of the texts that are asked for, not a step on the way to them."""

    def messages(self) -> list[dict[str, str]]:
        """Return what a model is asked."""

    def noted(self) -> dict[str, Any]:
        """Return what is kept about it with its text."""


class WritingSettings(Protocol):
    """How texts are sampled, and when writing stops."""

    @property
    def max_tokens(self) -> int:
        """Of one text."""

    @property
    def temperature(self) -> float:
        """Of the sampling."""

    @property
    def top_p(self) -> float:
        """Of the sampling."""

    @property
    def max_cost(self) -> float | None:
        """At which writing stops, or None."""
