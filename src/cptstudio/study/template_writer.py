"""The writer that writes by rules, without any model."""

from __future__ import annotations

from typing import Any

from cptstudio.study import templates
from cptstudio.study.tasks import Task
from cptstudio.writers.asked import WritingSettings
from cptstudio.writers.writer import Written


class TemplateWriter:
    """Writes by rules.

    Args:
        seed: of the order.
    """

    parallel = 1
    shown = "templates"

    def __init__(self, seed: int) -> None:
        self.identity: dict[str, Any] = {"kind": "templates", "version": templates.VERSION}
        self._seed = seed

    def write(self, task: Task, settings: WritingSettings) -> Written:
        """Return the rules' text."""
        name, text = task.strategy.name, task.passage.text
        return Written(
            templates.write(name, text, task.wording, self._seed, task.pair), "end", None, None, 0.0
        )

    def close(self) -> None:
        """Nothing is held."""
