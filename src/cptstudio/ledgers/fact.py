"""A fact of a ledger: how it is asked, the right answer, and the sentence that proves it.

A line of a ledger, and of a file given to `facts add`, is one JSON object:

    {"cloze": "R was first written by ___ and Robert Gentleman.", "answer": "Ross Ihaka",
     "distractors": ["Kurt Hornik", "John Chambers"],
     "question": "Who wrote R together with Robert Gentleman?",
     "paraphrases": ["Who is the other author of the first R?"],
     "reversed": {"question": "What did Ross Ihaka write?", "answer": "R"},
     "source": {"corpus": "manuals", "document": "R-FAQ.html", "sentence": "R was ..."}}

One of `cloze` and `question` is required, and `answer`. A ledger's own lines have `id` and `made`
besides. The id is a hash of the content, so the same fact added twice is one fact.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from cptstudio import durable
from cptstudio.validation import LateModel, wrong

GAP: Final = "___"
"""Stands in a cloze sentence where the answer belongs."""
MOST_DISTRACTORS: Final = 63
MOST_PARAPHRASES: Final = 16
Way = Literal["hand", "cloze", "model", "endpoint"]
Form = Literal["cloze", "question", "paraphrase", "reversed"]
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_Long = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
_Short = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Strict(LateModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="after")
    def _plain_text(self) -> _Strict:
        for name, value in self.__dict__.items():
            for text in value if isinstance(value, tuple) else (value,):
                if isinstance(text, str) and name != "id":
                    if _UNUSABLE.search(text):
                        raise wrong("Control characters are not allowed in text.", name)
                    if not text.strip() and text:
                        raise wrong("Only white space. Enter text, or leave it out.", name)
        return self


class Source(_Strict):
    """Where a fact stands.

    Attributes:
        corpus: name of the corpus, or "".
        document: hash of the document's cleaned text, hexadecimal, as the corpus has it; or what
            the user calls the document.
        label: what the user knows the document by, such as its file.
        sentence: the sentence that proves the fact.
        context: the text around the sentence, which is read in the open-book questions.
    """

    corpus: Annotated[str, StringConstraints(max_length=64)] = ""
    document: Annotated[str, StringConstraints(max_length=500)] = ""
    label: Annotated[str, StringConstraints(max_length=1_000)] = ""
    sentence: Annotated[str, StringConstraints(max_length=4_000)] = ""
    context: Annotated[str, StringConstraints(max_length=8_000)] = ""


class Reversed(_Strict):
    """The fact asked from its other end: another answer."""

    question: _Long = Field(title="Reversed question")
    answer: _Short = Field(title="Reversed answer")
    distractors: tuple[_Short, ...] = Field((), max_length=MOST_DISTRACTORS)

    @model_validator(mode="after")
    def _apart(self) -> Reversed:
        check_distractors(self.answer, self.distractors)
        return self


class Made(_Strict):
    """How a fact was made.

    Attributes:
        by: the way.
        kind: of a cloze fact: "number", "name" or "term".
        model: of one that a model wrote, or None.
        seed: of the choice or the sampling, or None.
    """

    by: Way = "hand"
    kind: Annotated[str, StringConstraints(max_length=40)] | None = None
    model: Annotated[str, StringConstraints(max_length=400)] | None = None
    seed: int | None = None


class FactText(_Strict):
    """A fact as it is given."""

    answer: _Short = Field(title="Answer")
    cloze: _Long | None = Field(None, title="Cloze sentence")
    question: _Long | None = Field(None, title="Question")
    distractors: tuple[_Short, ...] = Field((), title="Distractors", max_length=MOST_DISTRACTORS)
    paraphrases: tuple[_Long, ...] = Field((), title="Paraphrases", max_length=MOST_PARAPHRASES)
    reversed: Reversed | None = Field(None, title="Reversed form")
    source: Source = Field(Source(), title="Source")

    @model_validator(mode="after")
    def _can_be_asked(self) -> FactText:
        if self.cloze is None and self.question is None:
            raise wrong("Add a “question” or a “cloze” sentence.")
        if self.cloze is not None and self.cloze.count(GAP) != 1:
            raise wrong(f"Put {GAP} once where the answer belongs.", "cloze")
        if self.paraphrases and self.question is None:
            raise wrong("Paraphrases need a question.", "paraphrases")
        if len({plain(one) for one in self.paraphrases}) < len(self.paraphrases):
            raise wrong("Two are the same.", "paraphrases")
        check_distractors(self.answer, self.distractors)
        return self


class Fact(FactText):
    """A fact of a ledger, see the module."""

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    made: Made = Made()

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """The ways in which it is asked, the plainest first."""
        found = []
        if self.cloze is not None:
            found.append(Wording("cloze", self.cloze, self.answer, self.distractors))
        if self.question is not None:
            found.append(Wording("question", self.question, self.answer, self.distractors))
        for text in self.paraphrases:
            found.append(Wording("paraphrase", text, self.answer, self.distractors))
        if self.reversed is not None:
            one = self.reversed
            found.append(Wording("reversed", one.question, one.answer, one.distractors))
        return tuple(found)

    @property
    def shown(self) -> str:
        """The text that a list shows it by."""
        return self.question if self.cloze is None and self.question else self.cloze or ""


@dataclass(frozen=True)
class Wording:
    """One way to ask a fact.

    Attributes:
        form: what it is.
        text: a sentence with `GAP`, or a question.
        answer: the right one.
        distractors: wrong ones of the same kind.
    """

    form: Form
    text: str
    answer: str
    distractors: tuple[str, ...]


def plain(text: str) -> str:
    """Return a text as it is compared: case and white space aside."""
    return " ".join(text.casefold().split())


def check_distractors(answer: str, distractors: tuple[str, ...]) -> None:
    """Refuse distractors that are the answer, or one another."""
    plains = [plain(one) for one in distractors]
    if plain(answer) in plains:
        raise wrong("One of them is the right answer.", "distractors")
    if len(set(plains)) < len(plains):
        raise wrong("Two of them are the same.", "distractors")


def fact_of(given: FactText, made: Made) -> Fact:
    """Return a fact with its id."""
    content = given.model_dump(mode="json", exclude={"id", "made"})
    text = durable.dump_json(dict(sorted(content.items())))
    number = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return Fact.model_validate({**_fields(given), "id": number, "made": made})


def _fields(given: FactText) -> dict[str, Any]:
    return {name: getattr(given, name) for name in FactText.model_fields}


def stored(fact: Fact) -> dict[str, Any]:
    """Return a fact as a line of a ledger holds it."""
    return fact.model_dump(mode="json", exclude_defaults=True) | {"id": fact.id}
