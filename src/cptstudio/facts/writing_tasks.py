"""What a model is asked to write facts of: passages spread over a corpus, a task for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.token_store import SIDES
from cptstudio.facts.written import PARAPHRASES
from cptstudio.writers.asked import WritingSettings
from cptstudio.writers.passages import cut, estimated_tokens

_FORMAT: Final = 1
_TRAIN: Final = SIDES.index("train")
_LEAST_TEXT: Final = 80
"""Bytes of a passage; shorter ones are headings and page numbers."""

_PROMPT: Final = """\
Write one question about a fact that the passage states: a name, a number, a date, a place or a \
term. Answer with one JSON object and nothing else, in the language of the passage:

{"question": "...", "answer": "...", "sentence": "...", "paraphrases": ["...", "..."], \
"reversed": {"question": "...", "answer": "..."}}

- "question" is understood without the passage: it names what it asks about, without words such \
as "it", "this" or "the passage", and does not contain its answer.
- "answer" is as short as it can be, exactly as the passage writes it.
- "sentence" is the one sentence of the passage that proves the answer, copied word for word, \
with the answer in it.
- "paraphrases" ask the same question in two other wordings, without the answer.
- "reversed" asks the same fact from its other end: its question may name the answer from above, \
and its own answer is another name or number of the same sentence.

Passage:
"""
assert PARAPHRASES == 2, "the prompt asks for two"
PROMPT: Final = hashlib.sha256(_PROMPT.encode()).hexdigest()[:16]
"""The prompt's version."""


@dataclass(frozen=True)
class Passage:
    """A part of a document.

    Attributes:
        document: hash of the document's text, hexadecimal.
        label: what the user knows the document by.
        held_out: no run on the corpus trains on it.
    """

    document: str
    label: str
    text: str
    held_out: bool


@dataclass(frozen=True)
class FactTask:
    """A fact to write; one text of those that a writer is asked for."""

    key: str
    passage: Passage
    seed: int

    @property
    def counted(self) -> bool:
        """Each is one of the texts that are asked for."""
        return True

    def messages(self) -> list[dict[str, str]]:
        """Return what a model is asked, in one message, since not every template has more."""
        return [{"role": "user", "content": _PROMPT + self.passage.text}]

    def noted(self) -> dict[str, Any]:
        """Return what is kept with its text."""
        return {"document": self.passage.document, "prompt": PROMPT}


def tasks_of(
    passages: list[Passage], writer: Mapping[str, Any], settings: WritingSettings, seed: int
) -> list[FactTask]:
    """Return the tasks of passages; the same inputs have the same keys.

    Args:
        writer: what identifies the writer: another one writes other facts.
    """
    sampling = (settings.max_tokens, settings.temperature, settings.top_p, seed)
    found = []
    for passage in passages:
        inputs = [_FORMAT, dict(writer), sampling, PROMPT, passage.text]
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        found.append(FactTask(key, passage, seed))
    return found


def passages_of(corpus: Corpus, count: int, held_out: float, most: int) -> list[Passage]:
    """Return passages spread over a corpus's documents and over each document.

    Args:
        count: at most.
        held_out: part of them that are of validation and test documents, as far as there are any.
        most: tokens of a passage, about.
    """
    with closing(corpus.documents) as store:
        status = np.asarray(store.records["status"])
        long = np.asarray(store.records["length"]) >= _LEAST_TEXT
        trained = np.flatnonzero(long & (status == _TRAIN)).tolist()
        others = np.flatnonzero(long & (status != _TRAIN) & (status < len(SIDES))).tolist()
        wanted = round(count * held_out) if trained else count
        found = list(_spread(corpus, store, others, wanted, most))
        found += _spread(corpus, store, trained, count - len(found), most)
    return found


def _spread(
    corpus: Corpus, store: DocumentStore, numbers: list[int], count: int, most: int
) -> Iterator[Passage]:
    """Yield passages of documents in their order, each document's share as even as can be."""
    if count <= 0 or not numbers:
        return
    if len(numbers) > count:
        places = np.linspace(0, len(numbers) - 1, count).astype(int).tolist()
        numbers = [numbers[place] for place in places]
    there = {number: len(_parts(store, number, most)) for number in numbers}
    shares = dict.fromkeys(numbers, 0)
    while count and (open_ones := [one for one in numbers if shares[one] < there[one]]):
        for number in open_ones[:count]:
            shares[number] += 1
        count -= min(count, len(open_ones))
    records = store.records
    labels = corpus.source_labels({int(value) for value in records["source"][numbers]})
    for number in numbers:
        record = records[number]
        parts = _parts(store, number, most)
        for place in np.linspace(0, len(parts) - 1, shares[number]).astype(int).tolist():
            held_out = int(record["status"]) != _TRAIN
            label = labels[int(record["source"])]
            yield Passage(bytes(record["hash"]).hex(), label, parts[place], held_out)


def _parts(store: DocumentStore, number: int, most: int) -> list[str]:
    parts = cut(store.text(number), most, estimated_tokens)
    return [part for part in parts if len(part.encode()) >= _LEAST_TEXT]
