"""Pages through a corpus's documents, all or those that are sought, without reading all of them.

A page begins at a document's number and goes on or back from there until it is full, nothing is
left, or its time is over; it says how far it came, so that whoever asks goes on from there. Text is
searched as it is stored, some megabytes at once, and only where the words are found are its
documents looked at one by one. Case makes no difference.
"""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.listed import FoundDocument, FoundText
from cptstudio.corpus.manifest import STATUSES
from cptstudio.corpus.row_samples import document_labels
from cptstudio.corpus.token_store import SIDES

_DOCUMENTS = 1 << 16
"""Documents of a block by whose status pages are made."""
_SEARCHED_DOCUMENTS = 1 << 14
_SEARCHED_BYTES = 1 << 22
_EXCERPT = 200
_BEFORE = 60
"""Characters of a text that are shown in front of what was found."""
_OVERLAP = 4096
"""Bytes of a long document that are looked at twice, since what is sought may lie across."""


@dataclass(frozen=True)
class Sought:
    """Which documents.

    Attributes:
        statuses: of `STATUSES`; None for all.
        words: that stand in their name or their text; "" for any.
    """

    statuses: frozenset[str] | None = None
    words: str = ""


@dataclass(frozen=True)
class FoundPage:
    """Documents in the order of their numbers.

    Attributes:
        first, last: numbers of the documents that were looked through, the last not among them.
        full: there are as many as were asked for, or there are no more.
    """

    documents: list[FoundDocument]
    first: int
    last: int
    full: bool


def find_documents(
    corpus: Corpus,
    sought: Sought,
    start: int,
    limit: int,
    *,
    back: bool = False,
    seconds: float = 1.0,
) -> FoundPage:
    """Return a page of documents.

    Args:
        corpus: the corpus.
        sought: which ones.
        start: the number of the first document that may be on the page; going back, that after
            the last one.
        limit: documents on the page.
        back: the page is the one before `start`.
        seconds: after which the page ends, however many were found.
    """
    until = time.monotonic() + seconds
    words = unicodedata.normalize("NFC", sought.words.strip()).lower()
    with closing(corpus.readable) as store:
        count = len(store)
        start = min(start, count)
        place = start
        found: list[tuple[int, bool]] = []
        size = _SEARCHED_DOCUMENTS if words else _DOCUMENTS
        while len(found) < limit and place != (0 if back else count) and time.monotonic() < until:
            begin, end = (max(0, place - size), place) if back else (place, place + size)
            if words:
                begin, end = _of_some_bytes(store, begin, min(end, count), back)
            some = _in_block(corpus, store, sought, words, begin, end, back)
            found += islice(some, limit - len(found))
            if len(found) == limit:
                place = found[-1][0] + (not back)
            else:
                place = begin if back else min(end, count)
        found.sort()
        ended = len(found) == limit or place == (0 if back else count)
        first, last = (place, start) if back else (start, place)
        return FoundPage(_described(corpus, store, found, words), first, last, ended)


def _of_some_bytes(store: DocumentStore, begin: int, end: int, back: bool) -> tuple[int, int]:
    """Shorten a block of documents to some megabytes of stored text, one document at least."""
    starts = np.asarray(store.records["start"][begin:end]).astype(np.int64)
    if back:
        within = int(np.searchsorted(starts, int(starts[-1]) - _SEARCHED_BYTES, side="left"))
        return begin + within, end
    within = int(np.searchsorted(starts, int(starts[0]) + _SEARCHED_BYTES, side="left"))
    return begin, begin + max(1, within)


def _in_block(
    corpus: Corpus,
    store: DocumentStore,
    sought: Sought,
    words: str,
    begin: int,
    end: int,
    back: bool,
) -> Iterator[tuple[int, bool]]:
    """Yield the numbers of what is sought, and whether its name has the words."""
    numbers = np.arange(begin, min(end, len(store)))
    if sought.statuses is not None:
        status = np.asarray(store.records["status"][begin:end])
        codes = [STATUSES.index(one) for one in sought.statuses]
        numbers = numbers[np.isin(status, codes)]
    if back:
        numbers = numbers[::-1]
    if not words:
        yield from ((number, False) for number in numbers.tolist())
        return
    named = _named(corpus, np.asarray(store.records["source"][begin:end]), words)
    in_text = _may_hold(store, begin, end, words)
    for number in numbers.tolist():
        if bool(named[number - begin]):
            yield number, True
        elif in_text and _holds(store, number, words):
            yield number, False


def _named(corpus: Corpus, sources: npt.NDArray[Any], words: str) -> npt.NDArray[np.bool_]:
    """Return which documents have the words in the name of their source, bool [documents]."""
    first, last = int(sources.min()), int(sources.max())
    plain = words.encode() if words.isascii() and not set(words) & set('"\\/') else None
    found = [
        place
        for place, line in enumerate(islice(corpus.source_lines(first), last - first + 1), first)
        if (plain is None or plain in line.lower()) and words in json.loads(line)["label"].lower()
    ]
    return np.isin(sources, found)


def _may_hold(store: DocumentStore, begin: int, end: int, words: str) -> bool:
    """Whether the stored text of a block has the words, in whichever document.

    Where its last document is long it is not read for that: it is asked by itself. So is each one
    where texts are shown in another way than they are stored.
    """
    if not store.as_stored:
        return True
    last = store.records[end - 1]
    start = int(store.records[begin]["start"])
    size = int(last["start"]) + store.stored_length(end - 1) - start
    if size > 2 * _SEARCHED_BYTES:
        return True
    return words in store.stored(start, size).decode("utf-8", "ignore").lower()


def _holds(store: DocumentStore, number: int, words: str) -> bool:
    return _place(store, number, words) is not None


def _place(store: DocumentStore, number: int, words: str) -> tuple[str, int] | None:
    """Return a part of a document's text, and where the words stand in it in lower case."""
    rest = b""
    for part in store.parts(number):
        text = (rest + part).decode("utf-8", "ignore")
        place = text.lower().find(words)
        if place >= 0:
            return text, place
        rest = part[-_OVERLAP:]
    return None


def _described(
    corpus: Corpus, store: DocumentStore, found: list[tuple[int, bool]], words: str
) -> list[FoundDocument]:
    labels = document_labels(corpus, store, [number for number, _ in found])
    documents = []
    for number, named in found:
        record = store.records[number]
        status = STATUSES[int(record["status"])]
        documents.append(
            FoundDocument(
                document=number,
                label=labels[number],
                status=status,
                kept=int(record["status"]) < len(SIDES),
                bytes=int(record["length"]),
                text=_shown(store, number, "" if named else words),
                in_name=named,
            )
        )
    return documents


def _shown(store: DocumentStore, number: int, words: str) -> FoundText:
    place = _place(store, number, words) if words else None
    if place is None:
        start = next(iter(store.parts(number)), b"")[: 4 * _EXCERPT].decode("utf-8", "ignore")
        return FoundText(before="", found="", after=start[:_EXCERPT])
    text, at = place
    # In lower case a text may be longer: then it is only nearly the right place that is shown.
    end = at + len(words)
    return FoundText(
        before=("…" if at > _BEFORE else "") + text[max(0, at - _BEFORE) : at],
        found=text[at:end],
        after=text[end : end + _EXCERPT - _BEFORE],
    )
