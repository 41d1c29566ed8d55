"""Answers that were given before are not made again: they are kept as measurements are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.evaluation.habits.measures import FORMAT, HabitAnswer, figures, measure_habits
from cptstudio.evaluation.habits.prompts import built_in
from cptstudio.evaluation.results import Results
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.loading import LoadedModel


@dataclass(frozen=True)
class HabitMeasuring:
    """How all models of a request are asked.

    Attributes:
        max_tokens: of an answer.
        results: answers that are kept.
        renderer: of chat templates.
        answer: told how far the work is.
    """

    max_tokens: int
    results: Results
    renderer: TemplateRenderer
    answer: TellsProgress

    def measure(
        self, label: str, detail: str, identity: dict[str, Any], load: Callable[[], LoadedModel]
    ) -> dict[str, Any]:
        """Return a model's `figures` and its "answers".

        Args:
            label: of the model, as the user knows it.
            detail: what else is told with the progress.
            identity: what tells its weights, tokenizer and template from others.
            load: gives the model; called once at most, and not where it was asked before.
        """
        inputs = {
            **identity,
            "habits": FORMAT,
            "prompts": built_in().hash,
            "max_tokens": self.max_tokens,
        }
        kept = self.results.find(inputs)
        if kept is None:
            tell = counted(self.answer, f"{label}: answering", "tokens", detail)
            answers = measure_habits(load(), self.max_tokens, self.renderer, tell)
            kept = {"answers": [asdict(one) for one in answers]}
            self.results.keep(inputs, kept)
        found = [HabitAnswer(**one) for one in kept["answers"]]
        return {**figures(found), "answers": kept["answers"]}
