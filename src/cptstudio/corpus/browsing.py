"""Looks into a corpus a page at a time: what was found while reading, and what was dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.manifest import STATUSES
from cptstudio.corpus.token_store import SIDES

DROPPED = STATUSES[len(SIDES) :]
_EXACT = STATUSES.index("exact duplicate")
_EXCERPT = 300


@dataclass(frozen=True)
class Finding:
    """Something found while a source was read.

    Attributes:
        label: the source.
        reason: what was found.
        skipped: the source, or the rest of it, gave no document.
    """

    label: str
    reason: str
    skipped: bool


@dataclass(frozen=True)
class KeptDocument:
    """The document that was kept in place of a dropped one; its number may be unknown."""

    document: int | None
    label: str


@dataclass(frozen=True)
class DroppedDocument:
    """A document that is in the store and in no side.

    Attributes:
        document: its number.
        label: the source it was read from.
        reason: one of `DROPPED`.
        bytes: UTF-8 bytes of its cleaned text.
        kept: the document kept in its place, where that was recorded.
        similarity: the estimated Jaccard index with it.
        excerpt: how it begins, at most 300 characters.
    """

    document: int
    label: str
    reason: str
    bytes: int
    kept: KeptDocument | None
    similarity: float | None
    excerpt: str


def findings(corpus: Corpus, offset: int, limit: int) -> list[Finding]:
    """A page of what was found while reading, in the order of the sources."""
    page: list[Finding] = []
    number = 0
    for source in corpus.sources():
        notes = [Finding(source.label, source.skipped, True)] if source.skipped else []
        notes += [Finding(source.label, note, False) for note in source.notes]
        for note in notes:
            if number >= offset:
                page.append(note)
            number += 1
            if len(page) == limit:
                return page
    return page


def dropped(
    corpus: Corpus, offset: int, limit: int, reason: str | None = None
) -> tuple[list[DroppedDocument], int]:
    """A page of the dropped documents, in the order they were read, and how many there are.

    Args:
        corpus: the corpus.
        offset: dropped documents to leave out.
        limit: of the page.
        reason: only those with this reason of `DROPPED`.
    """
    with closing(corpus.documents) as store:
        status = np.asarray(store.records["status"])
        wanted = status >= len(SIDES) if reason is None else status == STATUSES.index(reason)
        numbers = np.flatnonzero(wanted)
        page = numbers[offset : offset + limit].tolist()
        return _describe(corpus, store, page), len(numbers)


def _describe(corpus: Corpus, store: DocumentStore, page: list[int]) -> list[DroppedDocument]:
    records = store.records
    first = _first_of_equal(records, [n for n in page if records["status"][n] == _EXACT])
    labels = _labels(corpus, [*page, *first.values()], records)
    examples = {(one.dropped, str(one.reason)): one for one in corpus.manifest.report.duplicates}
    found = []
    for number in page:
        label, reason = labels[number], STATUSES[int(records["status"][number])]
        kept, similarity = None, None
        example = examples.get((label, reason))
        if number in first:
            kept, similarity = KeptDocument(first[number], labels[first[number]]), 1.0
        elif example is not None:
            kept, similarity = KeptDocument(None, example.kept), example.similarity
        size = int(records["length"][number])
        excerpt = _excerpt(store, number)
        found.append(DroppedDocument(number, label, reason, size, kept, similarity, excerpt))
    return found


def _first_of_equal(records: npt.NDArray[Any], numbers: Iterable[int]) -> dict[int, int]:
    """For exact duplicates the first, kept document with the same content."""
    numbers = list(numbers)
    if not numbers:
        return {}
    words = np.ascontiguousarray(records["hash"]).view("<u8").reshape(-1, 2)
    alive = np.flatnonzero(records["status"] != _EXACT)
    order = alive[np.argsort(words[alive, 0], kind="stable")]
    sorted_words = words[order, 0]
    found = {}
    for number in numbers:
        place = int(np.searchsorted(sorted_words, words[number, 0]))
        while place < len(order) and sorted_words[place] == words[number, 0]:
            if words[order[place], 1] == words[number, 1]:
                found[number] = int(order[place])
                break
            place += 1
    return found


def _labels(corpus: Corpus, documents: Iterable[int], records: npt.NDArray[Any]) -> dict[int, str]:
    """Labels of some documents; the list of sources is read as far as they need it."""
    sources = {number: int(records["source"][number]) for number in documents}
    wanted = set(sources.values())
    names: dict[int, str] = {}
    if wanted:
        last = max(wanted)
        for place, line in enumerate(corpus.source_lines()):
            if place in wanted:
                names[place] = str(json.loads(line)["label"])
            if place == last:
                break
    labels = {}
    for number, source in sources.items():
        member = int(records["member"][number])
        labels[number] = names.get(source, "") + (f" #{member + 1}" if member else "")
    return labels


def _excerpt(store: DocumentStore, number: int) -> str:
    start = next(iter(store.parts(number)), b"")[: 4 * _EXCERPT]
    return start.decode("utf-8", "ignore")[:_EXCERPT]
