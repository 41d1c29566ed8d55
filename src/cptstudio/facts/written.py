"""Facts that a model wrote, held to the passage that they were written of.

A model is asked for one JSON object a passage. What can be checked is checked by code, and whoever
fails a check is dropped with its reason: a question lost costs little, a wrong one stays for good.
The rules for questions that lean on their passage know English alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from cptstudio import durable
from cptstudio.ledgers.fact import FactText, Reversed, Source, plain
from cptstudio.validation import LateModel, findings_of

PARAPHRASES: Final = 2
Reason = Literal[
    "not written", "cut off", "filtered", "JSON wrong", "proving sentence not in the passage",
    "proving sentence too short", "answer not in the proving sentence",
    "question contains the answer", "question leans on the passage",
    "paraphrase repeats a question", "reversed form asks the same", "not a valid fact",
    "duplicate question",
]  # fmt: skip

_THOUGHTS: Final = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.I)
_SAYS_MORE: Final = 3
"""Words that a proving sentence has besides the answer, at least."""
_FEWEST_WORDS: Final = 4
"""Of a question in ASCII; "Who?" asks for nothing by itself."""
_LETTER: Final = "0-9A-Za-z\u00c0-\u024f\u0370-\u052f"
"""Of scripts that part words; elsewhere a word has no edges that a rule could see."""
_NAMES_PASSAGE: Final = re.compile(
    r"\b(?:this|that|these|the|given|above|following|preceding|provided|our|your)\s+"
    r"(?:(?:given|above|following|preceding|provided|short|same)\s+)?"
    r"(?:text|passage|paragraph|excerpt|extract|article|document|sentence|section|snippet|context|"
    r"statement|author|writer|narrator|speaker)s?\b(?!\s+of\b)"
    r"|\b(?:mentioned|described|stated|listed|discussed|given|shown)\s+(?:above|below|here|earlier)"
    r"|\b(?:is|are|was|were|being)\s+(?:\w+\s+)?(?:mentioned|discussed|referred to|talked about)\b"
    r"|\baccording to (?:it|this|these|that|them|him|her)\b"
    r"|\b(?:above|below)(?=\W*\Z|[,;:)])",
    re.IGNORECASE,
)
_POINTS: Final = re.compile(r"\b(?:this|these|those|here|aforementioned)\b", re.IGNORECASE)
_PRONOUN: Final = re.compile(
    r"\b(?:it|its|itself|they|their|theirs|them|he|him|his|she|her|hers|we|us|our|i|me|my)\b",
    re.IGNORECASE,
)
_ANTECEDENT: Final = re.compile(r"\b(?:an?|the|each|every)\s+\w{2,}|(?<=\s)[A-Z\d][\w.]*")
"""What a pronoun may stand for: something with an article, or a name that begins no question."""


class _Written(LateModel):
    """What a model is asked for."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    answer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    sentence: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    paraphrases: tuple[Annotated[str, StringConstraints(strip_whitespace=True)], ...] = Field(
        min_length=PARAPHRASES, max_length=PARAPHRASES
    )
    reversed: _WrittenReversed


class _WrittenReversed(LateModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    answer: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


@dataclass(frozen=True)
class Dropped:
    """Why what was written is no fact.

    Attributes:
        detail: a few words to the reason.
    """

    reason: Reason
    detail: str = ""


def fact_from(text: str, finish: str, passage: str, source: Source) -> FactText | Dropped:
    """Return the fact that a model wrote of a passage, or why it is none.

    Args:
        text: as it came.
        finish: why it ended: "end", "length" or "filtered".
        source: of the passage; sentence and context are filled in.
    """
    if finish == "filtered":
        return Dropped("filtered")
    found = _parsed(text)
    if isinstance(found, Dropped):
        return Dropped("cut off", found.detail) if finish == "length" else found
    wrong = _proved(found, passage) or _asked_well(found)
    if wrong is not None:
        return wrong
    sentence = one_line(found.sentence)
    try:
        return FactText(
            question=one_line(found.question),
            answer=one_line(found.answer),
            paraphrases=tuple(one_line(one) for one in found.paraphrases),
            reversed=Reversed(
                question=one_line(found.reversed.question), answer=one_line(found.reversed.answer)
            ),
            source=source.model_copy(update={"sentence": sentence, "context": one_line(passage)}),
        )
    except ValidationError as error:
        return Dropped("not a valid fact", str(findings_of(error, FactText)[0]))


def one_line(text: str) -> str:
    """Return a text with its white space as single spaces."""
    return " ".join(text.split())


def as_asked(question: str) -> str:
    """Return a question as questions are compared: case, marks and white space aside."""
    return " ".join(re.findall(r"\w+", question.casefold()))


def holds(text: str, answer: str) -> bool:
    """Return whether a text has an answer in it, as whole words and whole numbers."""
    wanted = plain(answer)
    before = rf"(?<![{_LETTER}])" if re.match(rf"[{_LETTER}]", wanted) else ""
    after = rf"(?![{_LETTER}])" if re.search(rf"[{_LETTER}]\Z", wanted) else ""
    if wanted[:1].isdigit():
        before += r"(?<!\d[.,])"
    if wanted[-1:].isdigit():
        after += r"(?![.,]\d)"
    return re.search(before + re.escape(wanted) + after, plain(text)) is not None


def leans(question: str) -> str | None:
    """Return the words by which a question needs the passage before it, or None."""
    found = _NAMES_PASSAGE.search(question) or _POINTS.search(question)
    if found:
        return found[0]
    pronoun = _PRONOUN.search(question)
    if pronoun and not _ANTECEDENT.search(question[: pronoun.start()]):
        return pronoun[0]
    if question.isascii() and len(question.split()) < _FEWEST_WORDS:
        return question
    return None


def _parsed(text: str) -> _Written | Dropped:
    shown = _THOUGHTS.sub("", text)
    begin, end = shown.find("{"), shown.rfind("}")
    if begin < 0 or end < begin:
        return Dropped("JSON wrong", "no JSON object")
    try:
        # As JSON, which knows no tuples. What stands around the object is the model's talk.
        value: Any = durable.parse_json(shown[begin : end + 1])
        return _Written.model_validate_json(durable.dump_json(value))
    except ValidationError as error:
        first = findings_of(error, _Written)[0]
        return Dropped("JSON wrong", f"“{first.field}”: {first.sentence}")
    except ValueError as error:
        return Dropped("JSON wrong", str(error))


def _proved(found: _Written, passage: str) -> Dropped | None:
    sentence, answer = one_line(found.sentence), one_line(found.answer)
    if sentence not in one_line(passage):
        return Dropped("proving sentence not in the passage", sentence)
    if not holds(sentence, answer):
        return Dropped("answer not in the proving sentence", answer)
    if not holds(sentence, found.reversed.answer):
        return Dropped("answer not in the proving sentence", one_line(found.reversed.answer))
    spaced = " " in one_line(passage)
    if spaced and len(sentence.split()) < len(answer.split()) + _SAYS_MORE:
        return Dropped("proving sentence too short", sentence)
    return None


def _asked_well(found: _Written) -> Dropped | None:
    asked = [found.question, *found.paraphrases]
    for question, answer in [
        *((one, found.answer) for one in asked),
        (found.reversed.question, found.reversed.answer),
    ]:
        if holds(question, answer):
            return Dropped("question contains the answer", question)
        words = leans(question)
        if words is not None:
            return Dropped("question leans on the passage", words)
    if len({as_asked(one) for one in asked}) < len(asked):
        return Dropped("paraphrase repeats a question", found.question)
    same = plain(found.reversed.answer) == plain(found.answer)
    if same or as_asked(found.reversed.question) in map(as_asked, asked):
        return Dropped("reversed form asks the same", found.reversed.question)
    return None
