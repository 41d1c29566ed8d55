"""Cloze facts of a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.token_store import SIDES
from cptstudio.errors import UserError
from cptstudio.facts.choices import MakeChoices
from cptstudio.facts.cloze import ClozeSettings, Document, make_cloze
from cptstudio.facts.cloze_words import KINDS
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.ledgers.ledger import add_facts
from cptstudio.workspace import Workspace

MOST_TEXT: Final = 1 << 31
"""Bytes of prose that are looked through at a time; its names and numbers are kept in memory."""
_TRAIN = SIDES.index("train")


def make_from_corpus(
    workspace: Workspace,
    ledger: str,
    corpus: str,
    choices: MakeChoices,
    answer: TellsProgress,
) -> dict[str, Any]:
    """Make cloze facts of a corpus, and add them to a ledger.

    Returns:
        {"ledger", "made", "new" (those that were not there before), "counts"}.

    Raises:
        UserError: the corpus cannot be used, or no fact could be made.
    """
    opened = open_corpus(Path(workspace.corpus(corpus)))
    settings = ClozeSettings(
        choices.count, choices.kinds or KINDS, choices.distractors, choices.held_out, choices.seed
    )
    numbers = _documents(opened)
    tell = counted(answer, "reading documents", "documents")
    facts, counts = make_cloze(
        _read(opened, numbers), corpus, settings, lambda done: tell(done, len(numbers))
    )
    if not facts:
        raise UserError(
            f"No cloze facts could be made from the corpus {corpus!r}: "
            f"{counts['sentences']:,} sentences, of which {counts['sound']:,} stand on their own, "
            f"{counts['candidates']:,} of them with a name, number or term to ask for. Add facts "
            "by hand, or use a corpus with more prose."
        )
    new = add_facts(workspace, ledger, facts)
    return {"ledger": ledger, "made": len(facts), "new": new, "counts": counts}


def _documents(corpus: Corpus) -> list[int]:
    """Documents of all splits, none that was dropped, as far as they are looked through."""
    with closing(corpus.documents) as store:
        there = np.flatnonzero(np.asarray(store.records["status"]) < len(SIDES))
        sizes = np.cumsum(store.records["length"][there].astype(np.int64))
        found: list[int] = there[: int(np.searchsorted(sizes, MOST_TEXT, side="right"))].tolist()
    return found


def _read(corpus: Corpus, numbers: list[int]) -> Iterator[Document]:
    with closing(corpus.documents) as store:
        records = store.records
        labels = corpus.source_labels({int(value) for value in records["source"][numbers]})
        for number in numbers:
            record = records[number]
            yield Document(
                bytes(record["hash"]).hex(),
                labels[int(record["source"])],
                store.text(number),
                int(record["status"]) != _TRAIN,
            )
