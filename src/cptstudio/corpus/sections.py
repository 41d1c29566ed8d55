"""Cuts long documents into sections, so that one book alone can be trained and measured.

Whole documents are held out (`split`), which is of no use where one document is the corpus, or most
of it: its whole text would be on one side. Such a document is cut at paragraph boundaries into
sections of some kilobytes, which are given sides as documents are, by their own content. Sections
of the training side that follow each other are then joined again, so that training sees text that
is as long as it can be. No text is lost and none is on two sides.

A boundary is, where there are enough, a blank line after the end of a sentence; else any blank line
(source code, verse); else the end of a line that ends a sentence. A document without any is whole.

Once cut, a document stays cut in later builds, however many others come to it, and none of its
sections changes its side; what was whole in a former build stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.document_store import FRAME, RECORD, DocumentStore
from cptstudio.corpus.near_duplicates import SignatureMaker, Signatures
from cptstudio.corpus.split import SplitRule, new_content_hash, sides_of
from cptstudio.corpus.token_store import SIDES

LONG = 1 << 14
"""Bytes of a document that is worth cutting."""
_FEW = 10
_LARGE_SHARE = 0.5
"""Cut is a long document of so few, or one with so much of the text."""
_LARGEST, _SMALLEST, _SECTIONS = 8192, 1024, 40
_FEWEST_SECTIONS = 5
_BREAK = re.compile(rb"\n(?:[ \t\f]*\n)*")
_ENDS_SENTENCE = re.compile(
    "[.!?\u2026:;\u3002\uff01\uff1f\uff0e\u061f\u06d4\u0964]"
    "[\"'\u2019\u201d\u00bb\u203a)\\]\u300d\u300f*_]*\\s*$"
)
_LOOKED_AT = 32


@dataclass(frozen=True)
class Sectioned:
    """Documents after long ones were cut.

    Attributes:
        records: `RECORD`, in the order they were read.
        numbers: int64 [documents before], the number that a document has now; of one that was
            cut, that of its first section.
        cut: bool [documents before], those that were cut.
        signatures: of the sections, by their numbers now.
        rule: with the documents that are cut, and pins for their sections.
    """

    records: npt.NDArray[Any]
    numbers: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]
    signatures: Signatures
    rule: SplitRule


def cut_long_documents(
    store: DocumentStore,
    records: npt.NDArray[Any],
    rule: SplitRule,
    settled: npt.NDArray[np.void] | None,
    meter: ProgressMeter,
) -> Sectioned | None:
    """Cut what is to be cut; None where that is nothing.

    Args:
        store: has the text.
        records: `RECORD` [documents] as they were read.
        rule: shares, and what former builds decided.
        settled: content hashes of the former build's documents.
        meter: is told how far it is; the text is read three times.
    """
    chosen = _chosen(records, rule, settled)
    if not chosen:
        return None
    meter.begin("cutting long documents", 3 * int(records["length"][chosen].sum()))
    meter.tell()
    text = _Text(store, meter)
    ends: dict[int, list[int]] = {}
    for number in chosen:
        found = _section_ends(text, number)
        if len(found) >= _FEWEST_SECTIONS:
            ends[number] = found
    if not ends:
        return None
    hashes = {number: list(_hashes(text, number, found)) for number, found in ends.items()}
    sides, rule = _sides(records, rule, settled, ends, hashes)
    return _replaced(text, records, ends, sides, rule)


class _Text:
    """The text of documents, with a meter that counts what is read of it."""

    def __init__(self, store: DocumentStore, meter: ProgressMeter) -> None:
        self._store = store
        self._more = meter.more

    def length(self, number: int) -> int:
        return int(self._store.records[number]["length"])

    def between(self, number: int, begin: int, end: int) -> Iterator[bytes]:
        for data in self._store.between(number, begin, end):
            yield data
            self._more(len(data))


def _chosen(
    records: npt.NDArray[Any], rule: SplitRule, settled: npt.NDArray[np.void] | None
) -> list[int]:
    if not (rule.validation or rule.test):
        return []
    hashes, lengths = _first_words(records["hash"]), np.asarray(records["length"])
    before = np.isin(hashes, _first_words(_as_hashes(map(bytes.fromhex, rule.sectioned))))
    wanted = lengths > _LARGE_SHARE * int(lengths.sum())
    if len(np.unique(hashes[: 4 * _FEW])) < _FEW > len(hashes) // 4:
        wanted[:] = True
    if settled is not None:
        wanted &= ~np.isin(hashes, _first_words(settled))
    return [int(number) for number in np.flatnonzero((lengths >= LONG) & (wanted | before))]


def _first_words(hashes: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(hashes).view("<u8").reshape(-1, 2)[:, 0]


def _as_hashes(names: Iterable[bytes]) -> npt.NDArray[Any]:
    return np.array(list(names), dtype="V16")


def _section_ends(text: _Text, number: int) -> list[int]:
    """Where the sections of a document end, in bytes; the last one with the document."""
    length = text.length(number)
    size = min(_LARGEST, max(_SMALLEST, length // _SECTIONS))
    for kept in _boundaries(text, number, size // 2):
        ends: list[int] = []
        for place in kept:
            if place - (ends[-1] if ends else 0) >= size and length - place >= size // 2:
                ends.append(place)
        if len(ends) + 1 >= max(_FEWEST_SECTIONS, length // (8 * size)):
            return [*ends, length]
    return [length]


def _boundaries(text: _Text, number: int, apart: int) -> tuple[list[int], ...]:
    """Places after paragraphs, by the kinds of boundaries, no closer to each other than `apart`."""
    paragraphs: list[int] = []
    blank_lines: list[int] = []
    lines: list[int] = []
    held, begin = b"", 0
    for part in text.between(number, 0, text.length(number)):
        held += part
        for match in _BREAK.finditer(held):
            if match.end() == len(held):
                break  # Blank lines may go on in the next part.
            place = begin + match.end()
            blank = match[0].count(b"\n") > 1
            before = held[max(0, match.start() - _LOOKED_AT) : match.start()]
            sentence = _ENDS_SENTENCE.search(before.decode("utf-8", "ignore")) is not None
            for kind, fits in (
                (paragraphs, blank and sentence),
                (blank_lines, blank),
                (lines, sentence),
            ):
                if fits and place - (kind[-1] if kind else 0) >= apart:
                    kind.append(place)
        # Blank lines at the end are looked at again, with what stands before them.
        last = len(held.rstrip(b"\n\t\f "))
        last = max(0, (last if len(held) - last < FRAME else len(held)) - _LOOKED_AT)
        held, begin = held[last:], begin + last
    return paragraphs, blank_lines, lines


def _hashes(text: _Text, number: int, ends: list[int]) -> Iterator[bytes]:
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        yield _digest(text, number, begin, end)


def _digest(text: _Text, number: int, begin: int, end: int) -> bytes:
    digest = new_content_hash()
    for data in text.between(number, begin, end):
        digest.update(data)
    return digest.digest()


def _sides(
    records: npt.NDArray[Any],
    rule: SplitRule,
    settled: npt.NDArray[np.void] | None,
    ends: dict[int, list[int]],
    hashes: dict[int, list[bytes]],
) -> tuple[dict[int, list[int]], SplitRule]:
    """Sides of the sections, as if each were a document, by document."""
    kept = np.ones(len(records), dtype=np.bool_)
    kept[list(ends)] = False
    names = [name for number in ends for name in hashes[number]]
    sizes = [
        end - begin
        for found in ends.values()
        for begin, end in zip([0, *found[:-1]], found, strict=True)
    ]
    others = np.ascontiguousarray(records["hash"][kept])
    every = np.concatenate([others, _as_hashes(names)])
    lengths = np.concatenate([records["length"][kept].astype(np.int64), np.array(sizes)])
    _, first = np.unique(every, return_index=True)
    former = [] if settled is None else [np.asarray(settled)]
    for number in ends:
        if bytes(records["hash"][number]).hex() in rule.sectioned:
            former.append(_as_hashes(hashes[number]))
    settled = np.concatenate(former) if former else None
    given, rule = sides_of(every[first], lengths[first], rule, settled)
    by_name = dict(zip(map(bytes, every[first]), given.tolist(), strict=True))
    sides = {number: [by_name[name] for name in hashes[number]] for number in ends}
    sectioned = {*rule.sectioned, *(bytes(records["hash"][number]).hex() for number in ends)}
    return sides, rule.model_copy(update={"sectioned": sorted(sectioned)})


def _replaced(
    text: _Text,
    records: npt.NDArray[Any],
    ends: dict[int, list[int]],
    sides: dict[int, list[int]],
    rule: SplitRule,
) -> Sectioned:
    """Put the sections in the place of their documents; those that are trained on are joined."""
    runs: dict[int, list[tuple[int, int, int]]] = {}
    for number, found in ends.items():
        joined: list[tuple[int, int, int]] = []
        for begin, end, side in zip([0, *found[:-1]], found, sides[number], strict=True):
            if joined and not side and not joined[-1][2]:
                joined[-1] = (joined[-1][0], end, side)
            else:
                joined.append((begin, end, side))
        runs[number] = joined
    amounts = np.ones(len(records), dtype=np.int64)
    amounts[list(runs)] = [len(one) for one in runs.values()]
    numbers = np.cumsum(amounts) - amounts
    cut = np.zeros(len(records), dtype=np.bool_)
    cut[list(runs)] = True
    made = np.empty(int(amounts.sum()), dtype=RECORD)
    made[numbers[~cut]] = records[~cut]
    signatures = SignatureMaker()
    pinned = dict(rule.pinned)
    for number, joined in runs.items():
        for place, (begin, end, side) in enumerate(joined, start=int(numbers[number])):
            made[place] = records[number]
            made[place]["start"] += begin
            made[place]["length"] = end - begin
            digest = new_content_hash()
            for data in text.between(number, begin, end):
                digest.update(data)
                signatures.part(data)
            signatures.end(place)
            made[place]["hash"] = np.frombuffer(digest.digest(), dtype="V16")[0]
            # Its own hash would give what was joined a side of its own.
            pinned[digest.hexdigest()] = SIDES[side]
    rule = rule.model_copy(update={"pinned": pinned})
    return Sectioned(made, numbers, cut, signatures.take(), rule)
