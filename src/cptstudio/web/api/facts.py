"""`/api/facts`: ledgers of facts."""

from __future__ import annotations

from collections import Counter

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.facts.choices import MakeChoices
from cptstudio.ledgers.fact import Fact
from cptstudio.ledgers.ledger import (
    Ledger,
    add_facts,
    ledger_folder,
    ledger_names,
    read_fact_lines,
    read_ledger,
    remove_facts,
)
from cptstudio.validation import LateModel, ReadsNumbers
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.facts_work import check_ledger

_LONGEST_TEXT = 16_000_000


class LedgerSummary(LateModel):
    """A ledger; with a `problem` it cannot be used. `created` is Unix seconds."""

    name: str
    facts: int = 0
    documents: int = 0
    created: float | None = None
    by: dict[str, int] = {}
    problem: str | None = None


class LedgerList(LateModel):
    """All ledgers, by name, and the JSON Schema of how cloze facts are made."""

    ledgers: list[LedgerSummary]
    make_schema: dict[str, object]


class WordingView(LateModel):
    """One way to ask a fact: `form` is cloze, question, paraphrase or reversed."""

    form: str
    text: str
    answer: str
    distractors: list[str]


class FactView(LateModel):
    """A fact with the sentence that proves it."""

    id: str
    document: str
    corpus: str
    sentence: str
    by: str
    wordings: list[WordingView]


class DocumentFacts(LateModel):
    """How many facts are of a document."""

    document: str
    facts: int


class LedgerDetail(LedgerSummary):
    """A page of a ledger's facts; `total` are those of the chosen document, or all."""

    documents_list: list[DocumentFacts]
    offset: int
    total: int
    page: list[FactView]
    notes: list[str]


class FactsQuery(ReadsNumbers, extra="forbid"):
    """Which facts."""

    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(50, ge=1, le=500)
    document: str | None = Field(None, max_length=1_000)


class AddFactsBody(LateModel, extra="forbid"):
    """Facts as JSON Lines, as `cpt-studio facts add` reads them."""

    text: str = Field(min_length=1, max_length=_LONGEST_TEXT)


class AddedFacts(LateModel):
    """How many facts were given, and how many of them are new."""

    given: int
    added: int


class RemoveFactsBody(LateModel, extra="forbid"):
    """Facts by their ids."""

    ids: list[str] = Field(min_length=1, max_length=1_000)


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("facts", __name__, url_prefix="/api/facts")

    @route(bp, "GET", "", summary="List the ledgers of facts")
    def list_ledgers() -> LedgerList:
        names = ledger_names(studio.workspace)
        return LedgerList(
            ledgers=[_summary(studio, name) for name in names],
            make_schema=MakeChoices.model_json_schema(),
        )

    @route(bp, "GET", "/<name>", summary="A ledger's facts")
    def show_ledger(name: str, query: FactsQuery) -> LedgerDetail:
        check_ledger(studio, name)
        return _detail(read_ledger(studio.workspace, name), query)

    @route(bp, "POST", "/<name>/facts", summary="Add facts to a ledger")
    def add(name: str, body: AddFactsBody) -> AddedFacts:
        """The ledger is created if it is not there. A wrong line adds nothing."""
        try:
            ledger_folder(studio.workspace, name)
        except UserError as error:
            raise Problem.at("name", error) from None
        facts = read_fact_lines(body.text, "The text")
        return AddedFacts(given=len(facts), added=add_facts(studio.workspace, name, facts))

    @route(bp, "DELETE", "/<name>/facts", summary="Remove facts from a ledger")
    def remove(name: str, body: RemoveFactsBody) -> LedgerSummary:
        check_ledger(studio, name)
        remove_facts(studio.workspace, name, body.ids)
        return _summary(studio, name)

    @route(bp, "DELETE", "/<name>", summary="Delete a ledger")
    def delete(name: str, body: Confirmed) -> Deleted:
        """Results that were kept stay."""
        check_ledger(studio, name)
        if not body.confirmed:
            raise Problem(f"Confirm that the ledger {name} is deleted. Its results stay.")
        folder = ledger_folder(studio.workspace, name)
        return deletions.discard(studio, "ledger", name, [folder])

    return bp


def _summary(studio: Studio, name: str) -> LedgerSummary:
    try:
        return LedgerSummary(**_facts_of(read_ledger(studio.workspace, name)))
    except UserError as error:
        problem = " ".join([error.message, *error.problems])
        return LedgerSummary(name=name, problem=problem)


def _facts_of(ledger: Ledger) -> dict[str, object]:
    return {
        "name": ledger.name,
        "facts": len(ledger.facts),
        "documents": len({document_of(fact) for fact in ledger.facts}),
        "created": ledger.created,
        "by": dict(Counter(fact.made.by for fact in ledger.facts)),
    }


def document_of(fact: Fact) -> str:
    """Return what the user knows a fact's document by."""
    return fact.source.label or fact.source.document


def _detail(ledger: Ledger, query: FactsQuery) -> LedgerDetail:
    counted = Counter(document_of(fact) for fact in ledger.facts)
    chosen = [
        fact
        for fact in ledger.facts
        if query.document is None or document_of(fact) == query.document
    ]
    return LedgerDetail(
        **_facts_of(ledger),
        documents_list=[
            DocumentFacts(document=name, facts=count) for name, count in sorted(counted.items())
        ],
        offset=query.offset,
        total=len(chosen),
        page=[_view(fact) for fact in chosen[query.offset : query.offset + query.limit]],
        notes=list(ledger.problems),
    )


def _view(fact: Fact) -> FactView:
    return FactView(
        id=fact.id,
        document=document_of(fact),
        corpus=fact.source.corpus,
        sentence=fact.source.sentence,
        by=fact.made.by,
        wordings=[
            WordingView(
                form=one.form, text=one.text, answer=one.answer, distractors=list(one.distractors)
            )
            for one in fact.wordings
        ],
    )
