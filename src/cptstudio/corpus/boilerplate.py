"""Finds paragraphs that stand in many documents, such as headers, licenses and cookie notices.

A paragraph is what stands between blank lines; one of at least `SHORTEST` bytes that is the same
in at least `DOCUMENTS` documents, and in one of a thousand, is boilerplate, white space aside. It
stays in the first document of the training side that has it, so that nothing is lost, and is
dropped from all others, together with the blank lines after it. A document that would have next to
nothing left stays as it is. Documents that are dropped themselves do not count.

What is dropped stays in the store; only which parts is written (`document_store.CUTS`). So a
document keeps its identity and its side, whatever other documents there are.

Paragraphs are named by hashes of 64 bits in a scratch file. While it is written, a table of fixed
size counts them by a part of their hash, so that nearly all of those that stand in few documents
are passed by; the others are sorted, in parts, and memory does not grow with the text.
"""

from __future__ import annotations

import heapq
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.document_store import CUT, DocumentStore
from cptstudio.corpus.token_store import SIDES
from cptstudio.validation import LateModel

SHORTEST = 60
DOCUMENTS = 10
_SHARE = 1000
_LEAST_LEFT = 16
_LONGEST = 1 << 26
"""Bytes of a document that is looked at."""
_ROW = np.dtype([("hash", "<i8"), ("document", "<i8"), ("begin", "<i8"), ("length", "<i8")])
_SORTED_AT_ONCE = 1 << 21
_WRITTEN_AT_ONCE = 1 << 16
_COUNTERS = 1 << 24
_EXAMPLES = 50
_SHOWN = 300
_BREAK = re.compile(rb"\n(?:[ \t\f]*\n)+")


class RepeatedParagraph(LateModel):
    """A paragraph that stands in many documents, and in how many; long ones are shortened."""

    model_config = ConfigDict(extra="forbid")

    text: str
    documents: int


class Boilerplate(LateModel):
    """Boilerplate that was found in a corpus.

    Attributes:
        paragraphs: different ones.
        documents: that have one or more of them.
        places: where they stand.
        text_bytes: of all places that may be dropped; each paragraph stays once.
        dropped: they were.
        examples: the most frequent ones.
    """

    model_config = ConfigDict(extra="forbid")

    paragraphs: int = 0
    documents: int = 0
    places: int = 0
    text_bytes: int = 0
    dropped: bool = False
    examples: list[RepeatedParagraph] = []


def find_boilerplate(
    store: DocumentStore,
    records: npt.NDArray[Any],
    scratch: Path,
    meter: ProgressMeter | None = None,
) -> tuple[Boilerplate, npt.NDArray[Any]]:
    """Return what was found, and what of which documents may be dropped: `CUT`, in order.

    Args:
        store: has the documents.
        records: with their final status.
        scratch: a new file, which is deleted.
        meter: is told how far it is.
    """
    alive = np.asarray(records["status"]) < len(SIDES)
    documents = int(alive.sum())
    least = max(DOCUMENTS, documents // _SHARE)
    if documents < least:
        return Boilerplate(), np.empty(0, dtype=CUT)
    meter = meter or ProgressMeter(None)
    text_bytes = int(records["length"][alive].sum())
    meter.begin("finding boilerplate", text_bytes)
    try:
        most = text_bytes // SHORTEST
        counts = np.zeros(min(_COUNTERS, 4 << most.bit_length()), dtype=np.uint32)
        with scratch.open("xb") as file:
            amount = _write_paragraphs(store, records, alive, file, counts, meter)
        meter.tell(final=True)
        if not amount or int(counts.max()) < least:
            return Boilerplate(), np.empty(0, dtype=CUT)
        with scratch.open("rb") as rows:
            return _repeated(store, records, rows, counts >= least, least)
    finally:
        scratch.unlink(missing_ok=True)


def paragraphs_of(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the paragraphs of a text: begin, end with the blank lines after it, and its text."""
    begin = 0
    for match in _BREAK.finditer(text):
        yield begin, match.end(), text[begin : match.start()]
        begin = match.end()
    if begin < len(text):
        yield begin, len(text), text[begin:]


def _write_paragraphs(
    store: DocumentStore,
    records: npt.NDArray[Any],
    alive: npt.NDArray[np.bool_],
    file: IO[bytes],
    counts: npt.NDArray[np.uint32],
    meter: ProgressMeter,
) -> int:
    """Write the paragraphs of documents in their order, and count them; returns how many."""
    rows = array("q")
    amount = 0
    # Looking into the mapped records for each document takes longer than all of the rest.
    for first in range(0, len(records), _WRITTEN_AT_ONCE):
        here = np.flatnonzero(alive[first : first + _WRITTEN_AT_ONCE]) + first
        places = (records[name][here].tolist() for name in ("start", "length"))
        for number, start, length in zip(here.tolist(), *places, strict=True):
            if length < SHORTEST:
                continue
            text = store.stored(start, length) if length <= _LONGEST else b""
            if b"\n" in text:
                for begin, end, paragraph in paragraphs_of(text):
                    if len(paragraph) >= SHORTEST:
                        name = hash(b" ".join(paragraph.split()))
                        rows.extend((name, number, begin, end - begin))
                if len(rows) >= 4 * _WRITTEN_AT_ONCE:
                    amount += _write(rows, file, counts)
            meter.more(length)
    return amount + _write(rows, file, counts)


def _write(rows: array[int], file: IO[bytes], counts: npt.NDArray[np.uint32]) -> int:
    hashes = np.frombuffer(rows, dtype=_ROW)["hash"]
    np.add.at(counts, hashes & (len(counts) - 1), np.uint32(1))
    rows.tofile(file)
    amount = len(hashes)
    del hashes, rows[:]
    return amount


def _repeated(
    store: DocumentStore,
    records: npt.NDArray[Any],
    rows: IO[bytes],
    frequent_hash: npt.NDArray[np.bool_],
    least: int,
) -> tuple[Boilerplate, npt.NDArray[Any]]:
    found = Boilerplate()
    cuts = [np.empty(0, dtype=CUT)]
    frequent: list[tuple[int, int, int, int]] = []
    affected = np.zeros(len(records), dtype=np.bool_)
    held_out = np.asarray(records["status"]) > 0
    candidates = sum(int(chosen.sum()) for _, chosen in _chosen(rows, frequent_hash))
    parts = -(-candidates // _SORTED_AT_ONCE)
    for part in range(parts):
        here = np.concatenate(
            [
                some[chosen & (np.mod(some["hash"], parts) == part)]
                for some, chosen in _chosen(rows, frequent_hash)
            ]
        )
        # They are in the order of the documents, which stays.
        here = here[np.argsort(here["hash"], kind="stable")]
        for group in _groups(here, least):
            documents = np.unique(group["document"])
            if len(documents) < least:
                continue
            found.paragraphs += 1
            found.places += len(group)
            affected[documents] = True
            one = group[0]
            heapq.heappush(
                frequent,
                (len(documents), int(one["document"]), int(one["begin"]), int(one["length"])),
            )
            if len(frequent) > _EXAMPLES:
                heapq.heappop(frequent)
            trained = np.flatnonzero(~held_out[group["document"]])
            keep = int(trained[0]) if len(trained) else 0
            made = np.empty(len(group), dtype=CUT)
            for name in ("document", "begin", "length"):
                made[name] = group[name]
            cuts.append(np.delete(made, keep))
    found.documents = int(affected.sum())
    every = np.concatenate(cuts)
    every = every[np.lexsort((every["begin"], every["document"]))]
    every = every[_leaves_text(every, records)]
    found.text_bytes = int(every["length"].sum())
    for count, number, begin, length in sorted(frequent, reverse=True):
        text = store.piece(number, begin, begin + length)[: 4 * _SHOWN].decode("utf-8", "ignore")
        found.examples.append(RepeatedParagraph(text=text.strip()[:_SHOWN], documents=count))
    return found, every


def _chosen(
    rows: IO[bytes], frequent_hash: npt.NDArray[np.bool_]
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]]:
    """Yield all rows, some at once, and which of them may stand in enough documents."""
    rows.seek(0)
    # Not mapped into memory, where its pages would stay.
    while len(some := np.fromfile(rows, dtype=_ROW, count=_SORTED_AT_ONCE)):
        yield some, frequent_hash[some["hash"] & (len(frequent_hash) - 1)]


def _groups(rows: npt.NDArray[Any], least: int) -> Iterator[npt.NDArray[Any]]:
    """Rows of one hash, where there are so many of them."""
    if not len(rows):
        return
    begins = np.flatnonzero(np.concatenate(([True], rows["hash"][1:] != rows["hash"][:-1])))
    sizes = np.diff(np.concatenate((begins, [len(rows)])))
    for place in np.flatnonzero(sizes >= least).tolist():
        yield rows[begins[place] : begins[place] + sizes[place]]


def _leaves_text(cuts: npt.NDArray[Any], records: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which cuts are of documents that have text left after them."""
    documents, which, inverse = np.unique(cuts["document"], return_index=True, return_inverse=True)
    if not len(which):
        return np.zeros(0, dtype=np.bool_)
    taken = np.add.reduceat(cuts["length"], which)
    left = records["length"][documents].astype(np.int64) - taken
    kept: npt.NDArray[np.bool_] = (left >= _LEAST_LEFT)[inverse.ravel()]
    return kept
