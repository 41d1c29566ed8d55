"""A model of this process, asked as the inference worker's models are.

A sum of models that is measured before it is saved is in no folder that a worker could load.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.evaluation.completion import Completion, prompt_tokens, run_together
from cptstudio.evaluation.model_requests import Complete, ModelToLoad, Score
from cptstudio.evaluation.model_set import HeldModel
from cptstudio.evaluation.questions import Question, ask_questions, read_questions
from cptstudio.evaluation.results import Results
from cptstudio.evaluation.scoring import score
from cptstudio.intervals import share_of
from cptstudio.lm.loading import LoadedModel


class OwnAnswers:
    """Answers what `ask_questions` asks; every label means the one model."""

    def __init__(self, loaded: LoadedModel) -> None:
        path = str(loaded.path)
        given = ModelToLoad(label="model", model=path)
        self._held = HeldModel("model", loaded, load_tokenizer(path), given)

    def result(self, ask: Score) -> dict[str, Any]:
        """Return what `score` found."""
        return score([self._held], ask, lambda done, total: None)

    def ask(self, ask: Complete) -> Iterator[dict[str, Any]]:
        """Yield the pieces of a text."""
        loaded, pieces = self._held.loaded, list[dict[str, Any]]()
        tokens = prompt_tokens(loaded, ask.prompts[0])
        made = Completion(
            loaded, tokens, ask.sampling, ask.sampling.seed, ask.alternatives, lambda: False
        )
        run_together([made], lambda _, piece: pieces.append({"piece": asdict(piece)}))
        yield from pieces


class QuestionFile:
    """A file of questions, and what models answered before.

    Args:
        shown: what messages call it.

    Raises:
        UserError: the file cannot be used.
    """

    def __init__(self, path: Path, shown: str, results: Results) -> None:
        self.questions: Sequence[Question] = read_questions(path, shown)
        self._hash = hashlib.sha256(repr(self.questions).encode()).hexdigest()
        self._results = results

    def measure(
        self,
        identity: dict[str, Any],
        load: Callable[[], LoadedModel],
        tell: Callable[[int, int], None],
    ) -> dict[str, Any] | None:
        """Return the share of questions that a model answers right, as an `Estimate`."""
        inputs = {**identity, "questions": self._hash}
        kept = self._results.find(inputs)
        if kept is None:
            found = ask_questions(OwnAnswers(load()), "model", self.questions, tell)
            right = sum(
                round((part["accuracy"] or 0) * part["questions"])
                for part in (found["multiple_choice"], found["cloze"])
            )
            kept = {"right": right}
            self._results.keep(inputs, kept)
        right = kept["right"]
        share = share_of([True] * right + [False] * (len(self.questions) - right))
        return None if share is None else asdict(share)
