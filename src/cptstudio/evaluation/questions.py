"""Multiple-choice and cloze questions, answered by likelihood.

A file of questions is JSON lines. Multiple choice names the right choice by its index, from 0:

    {"context": "The capital of France is", "choices": [" Paris", " Rome"], "answer": 0}

A cloze question holds the right continuation itself:

    {"context": "The capital of France is", "answer": " Paris"}

Context and continuation are joined as they are: spaces between them belong in the file. A choice
is scored by the sum of its tokens' log-probabilities after the context, as in
lm-evaluation-harness: `accuracy` counts questions whose right choice has the highest sum,
`accuracy_per_byte` the same after dividing by the choice's UTF-8 bytes, which long choices need. A
cloze answer counts as right when a greedy completion begins with exactly its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score
from cptstudio.evaluation.texts import read_text

_LARGEST = 64 * durable.MEBIBYTE
MOST_QUESTIONS = 50_000
_SHOWN_QUESTIONS = 1_000
_SHOWN_CHARACTERS = 500
_AT_ONCE = 64
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        context: what stands before the continuation.
        choices: the continuations; a cloze question has one.
        answer: index of the right one.
        cloze: whether the answer is to be said, not chosen.
    """

    context: str
    choices: tuple[str, ...]
    answer: int
    cloze: bool


def read_questions(path: Path, shown: str | None = None) -> list[Question]:
    """Return the questions of a file.

    Args:
        shown: what messages call it; None for its path.

    Raises:
        UserError: the file cannot be read; the line and what is wrong with it are named.
    """
    name = shown or str(path)
    text = read_text(path, _LARGEST, name)
    problems: list[str] = []
    questions = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            questions.append(_question(line))
        except (ValueError, UnusableFileError) as error:
            problems.append(f"line {number}: {error}")
    if problems:
        hidden = f"and {len(problems) - 10:,} more lines" if len(problems) > 10 else None
        listed = [*problems[:10], *([hidden] if hidden else [])]
        raise UserError(f"{name} is not a valid question file:", listed)
    if not questions:
        raise UserError(f"{name} contains no questions.")
    if len(questions) > MOST_QUESTIONS:
        raise UserError(
            f"{name} contains {len(questions):,} questions. Use at most "
            f"{MOST_QUESTIONS:,} at a time."
        )
    return questions


def _question(line: str) -> Question:
    try:
        value = durable.parse_json(line)
    except ValueError as error:
        raise ValueError(f"invalid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    unknown = sorted(value.keys() - {"context", "choices", "answer"})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; use context, choices and answer")
    context, answer, choices = value.get("context"), value.get("answer"), value.get("choices")
    if not isinstance(context, str) or not context:
        raise ValueError("“context” must be text")
    if choices is None:
        if not isinstance(answer, str) or not answer:
            raise ValueError("“answer” must be text if there are no “choices”")
        return Question(context, (answer,), 0, True)
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError("“choices” must have at least two entries")
    if not all(isinstance(choice, str) and choice for choice in choices):
        raise ValueError("every choice must be text")
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise ValueError(f"“answer” must be the index of a choice, 0 to {len(choices) - 1}")
    return Question(context, tuple(choices), answer, False)


class Answers(Protocol):
    """Scores and completes with models: the inference worker, or a model of this process."""

    def result(self, ask: Score) -> dict[str, Any]:
        """Return what was found of the texts."""

    def ask(self, ask: Complete) -> Iterator[dict[str, Any]]:
        """Yield the pieces of a text."""


def ask_questions(
    worker: Answers,
    label: str,
    questions: Sequence[Question],
    tell: Tell = lambda done, total: None,
) -> dict[str, Any]:
    """Let a loaded model answer.

    Returns:
        Counts and accuracies of multiple choice and of cloze questions, the log-probability
        (nats) of every choice, and the first `_SHOWN_QUESTIONS` questions with how they were
        answered: {"context", "choices", "answer", "cloze", "right", "log_probabilities"}.
    """
    sums: list[list[float]] = []
    for start in range(0, len(questions), _AT_ONCE):
        part = questions[start : start + _AT_ONCE]
        sums += _log_probabilities(worker, label, part)
        tell(start + len(part), len(questions))
    said = [question.cloze and _says(worker, label, question) for question in questions]
    chosen = [
        (question, values)
        for question, values in zip(questions, sums, strict=True)
        if not question.cloze
    ]
    cloze = [index for index, question in enumerate(questions) if question.cloze]
    return {
        "multiple_choice": {
            "questions": len(chosen),
            "accuracy": _share([_best(values) == one.answer for one, values in chosen]),
            "accuracy_per_byte": _share(
                [_best(_per_byte(one, values)) == one.answer for one, values in chosen]
            ),
        },
        "cloze": {
            "questions": len(cloze),
            "accuracy": _share([bool(said[index]) for index in cloze]),
            "nats_per_answer": -sum(sums[index][0] for index in cloze) / len(cloze)
            if cloze
            else None,
        },
        "log_probabilities": sums,
        "questions": [
            _shown(question, values, was_said)
            for question, values, was_said in zip(
                questions[:_SHOWN_QUESTIONS], sums, said, strict=False
            )
        ],
    }


def _shown(question: Question, values: list[float], said: bool) -> dict[str, Any]:
    return {
        "context": question.context[-_SHOWN_CHARACTERS:],
        "choices": [choice[:_SHOWN_CHARACTERS] for choice in question.choices],
        "answer": question.answer,
        "cloze": question.cloze,
        "right": said if question.cloze else _best(values) == question.answer,
        "log_probabilities": values,
    }


def _log_probabilities(
    worker: Answers, label: str, questions: Sequence[Question]
) -> list[list[float]]:
    texts = tuple(one.context + choice for one in questions for choice in one.choices)
    (model,) = worker.result(Score(labels=(label,), texts=texts))["models"]
    scored = iter(model["texts"])
    return [[_after(next(scored), len(one.context)) for _ in one.choices] for one in questions]


def _after(scored: dict[str, Any], context: int) -> float:
    """Log-probability of the tokens that reach beyond the context's characters."""
    nats = (
        float(value)
        for value, (_, end) in zip(scored["nats"], scored["places"], strict=True)
        if end > context
    )
    return -sum(nats)


def _says(worker: Answers, label: str, question: Question) -> bool:
    """Whether a greedy completion begins with the answer's own tokens."""
    whole = question.context + question.choices[0]
    (model,) = worker.result(Score(labels=(label,), texts=(whole,)))["models"]
    (scored,) = model["texts"]
    ends = [end for _, end in scored["places"]]
    first = next(index for index, end in enumerate(ends) if end > len(question.context))
    wanted: list[int] = scored["ids"][first:]
    prompt = Prompt(tokens=(model["start"], *scored["ids"][:first]))
    ask = Complete(
        labels=(label,),
        prompts=(prompt,),
        sampling=Sampling(max_tokens=len(wanted)),
        alternatives=0,
    )
    said: list[int] = [answer["piece"]["token"] for answer in worker.ask(ask) if "piece" in answer]
    return said == wanted


def _per_byte(question: Question, values: Sequence[float]) -> list[float]:
    return [
        value / len(choice.encode("utf-8"))
        for value, choice in zip(values, question.choices, strict=True)
    ]


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda index: values[index])


def _share(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None
