"""Is a ledger trained on? Its wordings, held against the training text of corpora.

A fact's proving sentence stands in its own document, and training on that document is the point.
What must not be in training text are

- the questions, paraphrases and reversed forms of any fact, in any corpus ("wording"),
- the sentences of facts that are held out, in any corpus ("held out"),
- the sentences of all facts in other corpora than their own ("elsewhere"): a corpus that was made
  from documents and repeats a cloze sentence word for word trains on its question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import STATUSES
from cptstudio.facts.wording_leaks import WordingIndex
from cptstudio.ledgers.fact import GAP, Fact, Form, plain

Leak = Literal["wording", "held_out", "elsewhere"]
MOST_SHOWN: Final = 1_000
_TRAIN = STATUSES.index("train")


@dataclass(frozen=True)
class Wanted:
    """A text of a ledger that is looked for.

    Attributes:
        fact: index of the fact.
        form: which of its texts; "sentence" for the one that proves it.
        text: as it would stand in a document, answers filled in.
    """

    fact: int
    form: Form | Literal["sentence"]
    text: str


def wanted_of(facts: Sequence[Fact]) -> list[Wanted]:
    """Return all texts of facts that must not be trained on; equal ones of a fact once."""
    found: list[Wanted] = []
    for index, fact in enumerate(facts):
        texts: dict[str, Wanted] = {}
        if fact.source.sentence:
            texts[plain(fact.source.sentence)] = Wanted(index, "sentence", fact.source.sentence)
        for wording in fact.wordings:
            text = wording.text.replace(GAP, wording.answer)
            # A cloze sentence is the proving sentence as a rule, and then stands in its document.
            texts.setdefault(plain(text), Wanted(index, wording.form, text))
        found += texts.values()
    return found


def find_leaks(
    facts: Sequence[Fact],
    corpora: Sequence[Corpus],
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Look for the texts of a ledger in what corpora train on.

    Args:
        corpora: of a run, those that are only measured left out.
        tell: told the documents that were looked at, and how many there are.

    Returns:
        {"facts", "wordings", "too_short", "documents", "bytes": what was checked, "leaked": number
        of facts, "found": [{"fact": id, "kind", "form", "text", "corpus", "document", "share",
        "excerpt"}]}, at most `MOST_SHOWN` of them.
    """
    wanted = wanted_of(facts)
    index = WordingIndex([one.text for one in wanted])
    trained = {corpus.name: _trained(corpus) for corpus in corpora}
    in_training = {value for values, _ in trained.values() for value in values}
    total = sum(len(numbers) for _, numbers in trained.values())
    found: list[dict[str, Any]] = []
    leaked: set[str] = set()
    done = size = 0
    for corpus in corpora:
        _, numbers = trained[corpus.name]
        with closing(corpus.documents) as store:
            labels = corpus.source_labels({int(store.records["source"][one]) for one in numbers})
            for number in numbers:
                text = store.text(number)
                size += len(text.encode())
                for place in index.find(text):
                    one = wanted[place.number]
                    kind = _kind(facts[one.fact], one, corpus.name, in_training)
                    if kind is None:
                        continue
                    leaked.add(facts[one.fact].id)
                    if len(found) < MOST_SHOWN:
                        found.append(
                            {
                                "fact": facts[one.fact].id,
                                "kind": kind,
                                "form": one.form,
                                "text": one.text,
                                "corpus": corpus.name,
                                "document": labels[int(store.records["source"][number])],
                                "share": place.share,
                                "excerpt": place.excerpt,
                            }
                        )
                done += 1
                tell(done, total)
    return {
        "facts": len(facts),
        "wordings": len(wanted),
        "too_short": index.too_short,
        "documents": total,
        "bytes": size,
        "leaked": len(leaked),
        "found": found,
    }


def _trained(corpus: Corpus) -> tuple[set[str], list[int]]:
    """Hashes and numbers of the documents that a run on a corpus trains on."""
    with closing(corpus.documents) as store:
        numbers = np.flatnonzero(np.asarray(store.records["status"]) == _TRAIN)
        hashes = {bytes(value).hex() for value in store.records["hash"][numbers]}
    return hashes, numbers.tolist()


def _kind(fact: Fact, one: Wanted, corpus: str, in_training: set[str]) -> Leak | None:
    if one.form != "sentence":
        return "wording"
    if fact.source.document and fact.source.document not in in_training:
        return "held_out"
    # Its own corpus is meant to teach it.
    return None if corpus == fact.source.corpus or not fact.source.corpus else "elsewhere"
