"""Looks into a corpus a page at a time: its documents, what was found and what was dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.listed import (
    DroppedDocument,
    KeptDocument,
    ListedDocument,
    SourceFinding,
    WholeDocument,
)
from cptstudio.corpus.manifest import STATUSES, Dropped
from cptstudio.corpus.token_store import SIDES, Side

DROPPED: tuple[Dropped, ...] = get_args(Dropped)
_EXACT = STATUSES.index("exact duplicate")
_EXCERPT = 300
_SHORT_EXCERPT = 200
_BYTES_PER_CHARACTER = 4  # In UTF-8, at most.


def documents(
    corpus: Corpus, side: Side, offset: int, limit: int
) -> tuple[list[ListedDocument], int]:
    """A page of a side's documents, in the order they were read, and how many there are."""
    with closing(corpus.documents) as store:
        numbers = np.flatnonzero(np.asarray(store.records["status"]) == STATUSES.index(side))
        page = numbers[offset : offset + limit].tolist()
        labels = _labels(corpus, page, store.records)
        sizes = store.records["length"]
        found = [
            ListedDocument(n, labels[n], int(sizes[n]), _excerpt(store, n, _SHORT_EXCERPT))
            for n in page
        ]
        return found, len(numbers)


def document(corpus: Corpus, which: str, most: int) -> WholeDocument | None:
    """A document that is in a side; None where there is none.

    Args:
        corpus: the corpus.
        which: its number, or the hash of its text, hexadecimal.
        most: characters of its text.
    """
    with closing(corpus.documents) as store:
        number = _number_of(store, which)
        if number is None or store.records["status"][number] >= len(SIDES):
            return None
        size = int(store.records["length"][number])
        text = _beginning(store, number, most)
        return WholeDocument(
            document=number,
            label=_labels(corpus, [number], store.records)[number],
            bytes=size,
            side=SIDES[int(store.records["status"][number])],
            text=text,
            shortened=len(text.encode()) < size,
        )


def _number_of(store: DocumentStore, which: str) -> int | None:
    width = store.records.dtype["hash"].itemsize
    if which.isascii() and which.isdecimal() and len(which) < 2 * width:
        return int(which) if int(which) < len(store) else None
    try:
        digest = bytes.fromhex(which)
    except ValueError:
        return None
    if len(digest) != width:
        return None
    hashes = np.ascontiguousarray(store.records["hash"]).view(np.uint8).reshape(-1, width)
    equal = (hashes == np.frombuffer(digest, dtype=np.uint8)).all(axis=1)
    places = np.flatnonzero(equal & (np.asarray(store.records["status"]) < len(SIDES)))
    return int(places[0]) if len(places) else None


def _beginning(store: DocumentStore, number: int, most: int) -> str:
    data = b""
    for part in store.parts(number):
        data += part
        if len(data) >= most * _BYTES_PER_CHARACTER:
            break
    return data.decode("utf-8", "ignore")[:most]


def findings(
    corpus: Corpus, offset: int, limit: int, *, left_aside: bool = False
) -> list[SourceFinding]:
    """A page of what was found while reading, in the order of the sources.

    Args:
        corpus: the corpus.
        offset: findings to leave out.
        limit: of the page.
        left_aside: what was left aside on purpose, in place of problems.
    """
    page: list[SourceFinding] = []
    number = 0
    for source in corpus.sources():
        for text in source.problems(left_aside=left_aside):
            if number >= offset:
                page.append(SourceFinding(source.label, text, text is source.skipped))
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
        label = labels[number]
        reason = DROPPED[int(records["status"][number]) - len(SIDES)]
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


def _excerpt(store: DocumentStore, number: int, most: int = _EXCERPT) -> str:
    start = next(iter(store.parts(number)), b"")[: _BYTES_PER_CHARACTER * most]
    return start.decode("utf-8", "ignore")[:most]
