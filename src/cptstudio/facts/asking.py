"""Asking models the facts of a ledger, and what came of it, fact by fact.

What a model answered is kept by the model's weights and the very texts that were scored, so a fact
is asked once, however often its ledger grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.results import Results
from cptstudio.job_programs import TellsProgress
from cptstudio.ledgers.fact import Fact, plain
from cptstudio.ledgers.knowing import Answer, answer_of
from cptstudio.ledgers.options import Asked, asked_of, counted, question_prompt

_TEXTS_AT_ONCE = 640
_SAID_AT_ONCE = 16
_SAID_TOKENS = 24
_ARTICLES = ("the ", "a ", "an ")


@dataclass(frozen=True)
class Answers:
    """How one model answered the facts of a ledger; None where that was not asked.

    Attributes:
        closed: of each fact, over its wordings but the reversed one.
        reversed: of each fact's reversed form.
        open: with the text that proves the fact before it.
        said: whether a greedy answer to each fact's question begins with the right one.
        said_by_chance: how often it begins with another fact's answer.
    """

    closed: list[Answer | None]
    reversed: list[Answer | None]
    open: list[Answer | None]
    said: list[bool | None]
    said_by_chance: float | None


@dataclass(frozen=True)
class How:
    """How facts are asked.

    Attributes:
        open_book: also with the source text in the context.
        said: also as questions that the model answers in its own words.
        per_byte: likelihoods are divided by the bytes of the option.
    """

    open_book: bool = True
    said: bool = True
    per_byte: bool = False


def ask_model(
    worker: InferenceWorker,
    reference: ModelReference,
    facts: Sequence[Fact],
    how: How,
    results: Results,
    tell: Callable[[str, int, int], None],
) -> Answers:
    """Let one model answer, as far as it has not done so before.

    Args:
        worker: loads the model only where something is left to be asked.
        tell: told what is asked, the questions answered, and how many there are.

    Raises:
        UserError: the model cannot be loaded, or computes no usable likelihoods.
    """
    closed, opened = asked_of(facts), asked_of(facts, open_book=True) if how.open_book else []
    asks = _said_questions(facts) if how.said else []
    inputs = {"model": results.identity(reference.model, reference.adapter), "facts": "answers"}
    kept = (results.find(inputs) or {}).get("answers", {})
    known: dict[str, Any] = dict(kept) if isinstance(kept, dict) else {}
    missing = [one for one in (*closed, *opened) if not _is_whole(known.get(_key(one)), one)]
    unsaid = [ask for _, ask in asks if not isinstance(known.get(_said_key(ask)), str)]
    if missing or unsaid:
        tell(f"loading {reference.label}", 0, 0)
        worker.load([reference])
        for one, values in _scored(worker, reference.label, missing, tell):
            known[_key(one)] = values
        for ask, text in _said(worker, reference.label, unsaid, tell):
            known[_said_key(ask)] = text
        results.keep(inputs, {"answers": known})
    said, by_chance = _said_right(facts, [(index, known[_said_key(ask)]) for index, ask in asks])
    return Answers(
        closed=_answers(len(facts), [one for one in closed if not _is_back(one)], known, how),
        reversed=_answers(len(facts), [one for one in closed if _is_back(one)], known, how),
        open=_answers(len(facts), [one for one in opened if not _is_back(one)], known, how),
        said=said,
        said_by_chance=by_chance,
    )


def _is_back(one: Asked) -> bool:
    return one.form == "reversed"


def _key(one: Asked) -> str:
    text = "\0".join((one.context, *one.continuations))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _said_key(question: str) -> str:
    return "said " + hashlib.blake2b(question.encode(), digest_size=16).hexdigest()


def _is_whole(values: Any, one: Asked) -> bool:
    return (
        isinstance(values, list)
        and len(values) == len(one.continuations)
        and all(isinstance(value, float) for value in values)
    )


def _answers(
    count: int, asked: Sequence[Asked], known: dict[str, Any], how: How
) -> list[Answer | None]:
    values: list[list[list[float]]] = [[] for _ in range(count)]
    for one in asked:
        sums = known[_key(one)]
        if how.per_byte:
            sizes = [len(text.encode()) for text in one.continuations]
            sums = [value / size for value, size in zip(sums, sizes, strict=True)]
        values[one.fact].append(sums)
    return [answer_of(of_fact) if of_fact else None for of_fact in values]


# --- likelihoods -----------------------------------------------------------------------------


def _scored(
    worker: InferenceWorker,
    label: str,
    asked: Sequence[Asked],
    tell: Callable[[str, int, int], None],
) -> Iterator[tuple[Asked, list[float]]]:
    done = 0
    for part in _parts(asked):
        texts = [one.context + text for one in part for text in one.continuations]
        request = Score(labels=(label,), texts=tuple(texts))
        (model,) = worker.result(request)["models"]
        scored = iter(model["texts"])
        for one in part:
            begin = len(one.context)
            yield one, [log_probability(next(scored), begin) for _ in one.continuations]
        done += len(part)
        tell(label, done, len(asked))


def _parts(asked: Sequence[Asked]) -> Iterator[list[Asked]]:
    part: list[Asked] = []
    size = 0
    for one in asked:
        if part and size + len(one.continuations) > _TEXTS_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.continuations)
    if part:
        yield part


def log_probability(scored: dict[str, Any], begin: int) -> float:
    """Return the log-probability of a text's tokens that reach beyond its first characters.

    Args:
        scored: "nats" and "places" of the text's tokens.
        begin: characters of the context.
    """
    flags = counted((end for _, end in scored["places"]), begin)
    return -sum(float(nats) for nats, flag in zip(scored["nats"], flags, strict=True) if flag)


# --- answers in the model's own words --------------------------------------------------------


def _said_questions(facts: Sequence[Fact]) -> list[tuple[int, str]]:
    return [
        (index, wording.text)
        for index, fact in enumerate(facts)
        for wording in fact.wordings
        if wording.form == "question"
    ]


def _said(
    worker: InferenceWorker,
    label: str,
    questions: Sequence[str],
    tell: Callable[[str, int, int], None],
) -> Iterator[tuple[str, str]]:
    sampling = Sampling(max_tokens=_SAID_TOKENS, stop=("\n",))
    for start in range(0, len(questions), _SAID_AT_ONCE):
        part = questions[start : start + _SAID_AT_ONCE]
        request = Complete(
            labels=(label,) * len(part),
            prompts=tuple(Prompt(text=question_prompt(question)) for question in part),
            sampling=sampling,
            alternatives=0,
        )
        texts = [""] * len(part)
        for answer in worker.ask(request):
            if "piece" in answer:
                texts[answer["piece"]["text_number"]] += answer["piece"]["text"]
        yield from zip(part, texts, strict=True)
        tell(f"{label}: in its own words", start + len(part), len(questions))


def _said_right(
    facts: Sequence[Fact], said: Sequence[tuple[int, str]]
) -> tuple[list[bool | None], float | None]:
    found: list[bool | None] = [None] * len(facts)
    for index, text in said:
        found[index] = begins_with(text, facts[index].answer)
    others = [
        begins_with(text, facts[other].answer)
        for index, text in said
        for other, _ in said
        if plain(facts[other].answer) != plain(facts[index].answer)
    ]
    return found, sum(others) / len(others) if others else None


def begins_with(text: str, answer: str) -> bool:
    """Return whether a text begins with an answer as whole words; case and articles aside."""
    said, wanted = _words(text), _words(answer)
    return bool(wanted) and said[: len(wanted)] == wanted


def _words(text: str) -> list[str]:
    lower = plain(text)
    for article in _ARTICLES:
        lower = lower.removeprefix(article)
    return [word.strip(".,;:!?\"'()\u201c\u201d\u2018\u2019") for word in lower.split()]


def progress_to(answer: TellsProgress) -> Callable[[str, int, int], None]:
    """Return what tells a job how many questions of a phase are answered."""

    def tell(phase: str, done: int, total: int) -> None:
        if total:
            answer.progress(
                final=done == total, phase=phase, done=done, total=total, unit="questions"
            )
        else:
            answer.progress(phase=phase)

    return tell
