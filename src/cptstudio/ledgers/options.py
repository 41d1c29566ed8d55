"""How a fact is put to a model: texts whose likelihoods are compared.

Each wording is asked with the right answer and each distractor in its place. In a cloze sentence
an option is followed by the rest of the sentence, which counts as well: the options then say
different sentences, and the likelier one is chosen. A question stands before "Answer:".

A fact with fewer than three distractors of its own borrows answers of other facts of its ledger
that look like its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cptstudio.errors import UserError
from cptstudio.ledgers.fact import GAP, Fact, Form, Wording, plain
from cptstudio.ledgers.likeness import form_of, is_number, luck, shape

FEWEST_OPTIONS: Final = 4
BORROWED: Final = 9
_BOOK = 600
"""Characters that are read before an open-book question, about."""


@dataclass(frozen=True)
class Asked:
    """One wording with its options.

    Attributes:
        fact: index of the fact.
        form: how it is asked.
        context: what stands before the options.
        continuations: the right one first.
    """

    fact: int
    form: Form
    context: str
    continuations: tuple[str, ...]


def options_of(
    facts: Sequence[Fact], only: Collection[int] | None = None
) -> dict[int, tuple[str, ...]]:
    """Return the options of facts by their index, the answer first; one alone if there are no more.

    Args:
        only: indices of the facts that are wanted; the others lend their answers.
    """
    answers = sorted({fact.answer for fact in facts})
    return {
        index: (fact.answer, *_distractors(fact.answer, fact.distractors, answers))
        for index, fact in enumerate(facts)
        if only is None or index in only
    }


def asked_of(
    facts: Sequence[Fact], *, open_book: bool = False, only: Collection[int] | None = None
) -> list[Asked]:
    """Return all wordings of facts, in their order.

    Args:
        open_book: with the text that proves the fact before it; facts without are left out.
        only: indices of the facts that are asked; the others lend their answers.
    """
    options = options_of(facts, only)
    reversed_answers = sorted({fact.reversed.answer for fact in facts if fact.reversed})
    found = []
    for index in options:
        fact = facts[index]
        book = _book(fact) if open_book else ""
        if open_book and not book.strip():
            continue
        for wording in fact.wordings:
            these = options[index]
            if wording.form == "reversed":
                wrong = _distractors(wording.answer, wording.distractors, reversed_answers)
                these = (wording.answer, *wrong)
            if len(these) > 1:
                found.append(_asked(index, wording, these, book))
    return found


def _book(fact: Fact) -> str:
    """The text that proves a fact, with what stands around it as far as there is room."""
    sentence, context = fact.source.sentence, fact.source.context
    if len(context) <= _BOOK or sentence not in context:
        return context[:_BOOK] or sentence
    begin = max(0, context.index(sentence) - (_BOOK - len(sentence)) // 2)
    begin = begin and context.find(" ", begin) + 1
    return context[begin : max(begin + _BOOK, context.index(sentence) + len(sentence))]


def _asked(index: int, wording: Wording, options: tuple[str, ...], book: str) -> Asked:
    before = f"{book}\n\n" if book else ""
    if wording.form != "cloze":
        context = f"{before}{question_prompt(wording.text)}"
        return Asked(index, wording.form, context, tuple(f" {option}" for option in options))
    head, tail = wording.text.split(GAP)
    # The space belongs to the word after it, as tokenizers have it.
    whole = f"{before}{head}"
    context = whole.rstrip()
    glue = whole[len(context) :]
    return Asked(index, "cloze", context, tuple(f"{glue}{option}{tail}" for option in options))


def question_prompt(question: str) -> str:
    """Return what stands before an answer."""
    return f"Question: {question}\nAnswer:"


def _distractors(answer: str, own: tuple[str, ...], answers: Sequence[str]) -> tuple[str, ...]:
    if len(own) + 1 >= FEWEST_OPTIONS:
        return own
    taken = {plain(one) for one in (answer, *own)}
    others = [
        one
        for one in answers
        if plain(one) not in taken and plain(one) not in plain(answer)
        if plain(answer) not in plain(one)
    ]
    others.sort(key=lambda one: (not _looks_like(one, answer), luck(f"{answer}:{one}")))
    alike = [one for one in others if _looks_like(one, answer)]
    borrowed = alike if len(alike) + len(own) + 1 >= FEWEST_OPTIONS else others
    return (*own, *borrowed[: max(0, BORROWED - len(own))])


def _looks_like(one: str, other: str) -> bool:
    if is_number(one) or is_number(other):
        return is_number(one) and is_number(other) and form_of(one) == form_of(other)
    return shape(one) == shape(other)


def counted(ends: Iterable[int], begin: int) -> list[bool]:
    """Return of each token of a text whether it counts: those that reach beyond the context.

    Args:
        ends: characters of the text until the end of each token.
        begin: characters of the context.
    """
    return [end > begin for end in ends]


def check_askable(facts: Sequence[Fact]) -> None:
    """Refuse facts of which none can be asked.

    Raises:
        UserError: there is none, or none has another option than its answer.
    """
    if not facts:
        raise UserError("The ledger has no facts yet. Add some with `cpt-studio facts make`.")
    if not asked_of(facts):
        raise UserError(
            "None of these facts can be asked: each needs a wrong answer to be compared with. Add "
            "distractors, or more facts."
        )
