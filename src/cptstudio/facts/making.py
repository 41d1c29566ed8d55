"""Cloze facts of a corpus, and the fields that say how they are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ConfigDict, Field, field_validator

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.token_store import SIDES
from cptstudio.errors import UserError
from cptstudio.facts.cloze import ClozeSettings, Document, make_cloze
from cptstudio.facts.cloze_words import KINDS, Kind
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.ledgers.ledger import add_facts
from cptstudio.validation import LateModel
from cptstudio.workspace import Workspace

MOST_TEXT: Final = 1 << 31
"""Bytes of prose that are looked through at a time; its names and numbers are kept in memory."""
_TRAIN = SIDES.index("train")


class MakeChoices(LateModel):
    """How cloze facts are made of a corpus."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(
        100, title="Facts", description="Maximum number of facts to make.", ge=1, le=5_000
    )
    kinds: tuple[Kind, ...] = Field(
        (),
        title="Ask for",
        description="What is taken out of a sentence (default: all).",
        json_schema_extra={
            "choices": {"name": "names", "number": "numbers and years", "term": "defined terms"}
        },
    )
    distractors: int = Field(
        9,
        title="Distractors",
        description="Wrong answers per fact, of the same kind and shape, from the corpus. With 9, "
        "a guess is right 1 time in 10.",
        ge=3,
        le=31,
    )
    held_out: float = Field(
        0.2,
        title="Held-out facts",
        description="Fraction of the facts taken from validation and test documents. They are "
        "never trained on, so they show what guessing gives.",
        ge=0,
        le=1,
    )
    seed: int = Field(
        0, title="Seed", description="Same corpus and seed: same facts.", ge=0, le=2**32 - 1
    )

    @field_validator("kinds")
    @classmethod
    def _in_one_order(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return tuple(kind for kind in KINDS if kind in kinds)


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
