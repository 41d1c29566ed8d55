"""Facts that a model writes: a local one, or one at an endpoint that the user confirmed.

In the ledger's folder, `made.jsonl` keeps each text when it comes, by the hash of its inputs, so
that the same order goes on after whatever end with what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cptstudio.corpus.corpus import open_corpus
from cptstudio.errors import UserError
from cptstudio.facts.choices import WriteChoices
from cptstudio.facts.writing_tasks import FactTask, passages_of, tasks_of
from cptstudio.facts.written import Dropped, as_asked, fact_from
from cptstudio.job_programs import TellsProgress
from cptstudio.ledgers.fact import Fact, Made, Source, fact_of
from cptstudio.ledgers.ledger import add_facts, ledger_folder, read_ledger
from cptstudio.workspace import Workspace
from cptstudio.writers.choice import WriterChoice
from cptstudio.writers.cost import Cost
from cptstudio.writers.made import MadeTexts, only_writer
from cptstudio.writers.passages import estimated_tokens
from cptstudio.writers.writer import EndpointWriter, ModelWriter, Writer
from cptstudio.writers.writing import Writing

_LABEL: Final = 1_000
_SHOWN: Final = 400
_EXAMPLES: Final = 3
_WRITTEN: Final = 200
"""Tokens of a fact, for the plan."""


@dataclass(frozen=True)
class FactOrder:
    """What is to be written: for which ledger, of which corpus, how and by whom."""

    workspace: Workspace
    ledger: str
    corpus: str
    choices: WriteChoices
    writer: WriterChoice

    def check(self) -> None:
        """Refuse what cannot be made, before anything is.

        Raises:
            UserError: names the field.
        """
        if self.writer.kind == "templates":
            raise UserError.at(
                "writer", "Templates write no facts. Leave the writer out to make cloze facts."
            )
        if self.corpus not in self.workspace.corpus_names():
            raise UserError.at("corpus", f"There is no corpus {self.corpus!r} in this workspace.")
        kind = open_corpus(self.workspace.corpus(self.corpus)).manifest.settings.kind
        if kind != "documents":
            raise UserError.at(
                "corpus", f"{self.corpus!r} is a corpus of {kind}. Choose one of documents."
            )
        ledger_folder(self.workspace, self.ledger)
        self.writer.check(self.workspace)


@dataclass
class _Checked:
    """What became of the texts of an order."""

    facts: list[Fact] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    missing: int = 0

    def drop(self, task: FactTask, dropped: Dropped) -> None:
        """Count what is no fact; of each reason, the first few are kept to look at."""
        self.dropped[dropped.reason] += 1
        if self.dropped[dropped.reason] <= _EXAMPLES:
            self.examples.append(
                {
                    "reason": dropped.reason,
                    "detail": dropped.detail[:_SHOWN],
                    "source": task.passage.label,
                }
            )

    def told(self, reason: str) -> str:
        """Return how many were dropped for a reason, with the first one's detail."""
        details = (one["detail"] for one in self.examples if one["reason"] == reason)
        detail = next(details, "")
        return f"{reason}: {self.dropped[reason]:,}" + (f" (such as: {detail})" if detail else "")


def plan_facts(order: FactOrder) -> dict[str, Any]:
    """Return what an order takes; nothing is sent or written.

    Returns:
        {"writer", "sent_to" (the endpoint's host, or None), "passages", "done" (of them, written
        already), "tokens_in", "tokens_out" (estimates of what is left), "cost" (None without
        prices)}.
    """
    order.check()
    with _opened(order, lambda seconds, why: None, fast_blas=True) as (writer, tasks, made):
        left = [task for task in tasks if task.key not in made]
        cost = order.writer.cost_in(order.workspace)
        cost.tokens_in = sum(estimated_tokens(_sent(task)) for task in left)
        cost.tokens_out = _WRITTEN * len(left)
        endpoint = order.writer.kind == "endpoint"
        return {
            "writer": writer.shown,
            "sent_to": order.writer.endpoint_in(order.workspace).host if endpoint else None,
            "passages": len(tasks),
            "done": len(tasks) - len(left),
            "tokens_in": cost.tokens_in,
            "tokens_out": cost.tokens_out,
            "cost": cost.money,
        }


def make_by_writer(
    order: FactOrder, answer: TellsProgress, *, fast_blas: bool = True
) -> dict[str, Any]:
    """Let a writer write facts of a corpus, and add those that pass the checks to a ledger.

    Returns:
        {"ledger", "made", "new" (those that were not there before), "passages", "written",
        "missing" (not written yet, since it stopped), "stopped" (why, or None), "dropped" (counts
        by reason), "examples" (of what was dropped), "writer", and what it cost}.

    Raises:
        UserError: it cannot be made, the writer does not work, or nothing could be kept.
    """
    order.check()
    # The ledger is there from the beginning, since what is written is kept in its folder.
    add_facts(order.workspace, order.ledger, ())
    folder = ledger_folder(order.workspace, order.ledger)
    waits: list[Writing[FactTask]] = []

    def told(seconds: float, why: str) -> None:
        for writing in waits:
            writing.told(seconds, why)

    with (
        only_writer(folder, "Facts of the ledger"),
        _opened(order, told, fast_blas=fast_blas) as (writer, tasks, made),
    ):
        now = order.writer.cost_in(order.workspace)
        writing = Writing(writer, made, order.choices, now, answer, len(tasks))
        waits.append(writing)
        writing.run(iter(tasks), "writing facts")
        answer.progress(phase="checking", final=True)
        cost = order.writer.cost_in(order.workspace)
        found = _check(order, writer.shown, tasks, made, writing.failed, cost)
        written = len(tasks) - found.missing
        if written and not found.facts:
            raise UserError(
                f"None of the {written:,} facts that {writer.shown} wrote can be kept.",
                [found.told(reason) for reason, _ in found.dropped.most_common()],
            )
        new = add_facts(order.workspace, order.ledger, found.facts)
    return {
        "ledger": order.ledger,
        "made": len(found.facts),
        "new": new,
        "passages": len(tasks),
        "written": written,
        "missing": found.missing,
        "stopped": writing.stopped,
        "dropped": dict(found.dropped.most_common()),
        "examples": found.examples,
        "writer": writer.shown,
        **cost.told(),
    }


@contextmanager
def _opened(
    order: FactOrder, told: Callable[[float, str], None], *, fast_blas: bool
) -> Iterator[tuple[Writer[FactTask], list[FactTask], MadeTexts]]:
    """Open an order: its writer, its tasks and what was written before."""
    choices = order.choices
    writer: Writer[FactTask]
    if order.writer.kind == "model":
        reference = order.writer.reference_in(order.workspace)
        writer = ModelWriter(reference, order.workspace, fast_blas=fast_blas)
    else:
        assert order.writer.model is not None
        endpoint = order.writer.endpoint_in(order.workspace)
        writer = EndpointWriter(endpoint, order.writer.model, choices.parallel, told)
    try:
        passages = passages_of(
            open_corpus(order.workspace.corpus(order.corpus)),
            choices.count,
            choices.held_out,
            choices.passage_tokens,
        )
        if not passages:
            raise UserError(f"The corpus {order.corpus!r} has no text of at least a few sentences.")
        made = MadeTexts(ledger_folder(order.workspace, order.ledger))
        try:
            yield writer, tasks_of(passages, writer.identity, choices, choices.seed), made
        finally:
            made.close()
    finally:
        writer.close()


def _check(
    order: FactOrder,
    writer: str,
    tasks: list[FactTask],
    made: MadeTexts,
    failed: dict[str, str],
    cost: Cost,
) -> _Checked:
    """Hold what was written to its passages, and to what the ledger asks already."""
    ledger = read_ledger(order.workspace, order.ledger)
    there = {fact.id for fact in ledger.facts}
    asked = {as_asked(wording.text) for fact in ledger.facts for wording in fact.wordings}
    by: Final = "endpoint" if order.writer.kind == "endpoint" else "model"
    how = Made(by=by, model=writer[:_SHOWN], seed=order.choices.seed)
    found = _Checked()
    for task in tasks:
        record = made.read(task.key)
        if record is None:
            problem = failed.get(task.key)
            if problem is None:
                found.missing += 1
            else:
                found.drop(task, Dropped("not written", problem))
            continue
        cost.add(record, _sent(task))
        passage = task.passage
        source = Source(
            corpus=order.corpus, document=passage.document, label=passage.label[:_LABEL]
        )
        given = fact_from(str(record["text"]), str(record["finish"]), passage.text, source)
        if isinstance(given, Dropped):
            found.drop(task, given)
            continue
        fact = fact_of(given, how)
        questions = {as_asked(wording.text) for wording in fact.wordings}
        # What was added before is the same fact; its own questions are no duplicates.
        if fact.id not in there and questions & asked:
            found.drop(task, Dropped("duplicate question", given.question or ""))
            continue
        there.add(fact.id)
        asked |= questions
        found.facts.append(fact)
    return found


def _sent(task: FactTask) -> str:
    return "".join(message["content"] for message in task.messages())
