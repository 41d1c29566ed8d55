"""Somebody who wants to hear of no progress."""

from __future__ import annotations

from typing import Any


class Silence:
    """Takes what a program tells of its progress, and keeps it for tests that look."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def progress(self, *, final: bool = False, **facts: Any) -> None:
        self.told.append(facts)
