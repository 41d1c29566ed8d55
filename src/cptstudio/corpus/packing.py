"""How the documents of one corpus become rows, one pass at a time.

A pass over a corpus visits its training documents once, in an order chosen by a key. Both
packings make rows of `length` targets (length + 1 tokens, because a row's inputs and targets
overlap by all but one), and neither pads nor cuts anything off:

concat: the documents are joined to one stream, `EOS d1 EOS d2 EOS ...`, or `BOS d1 EOS BOS d2
    EOS ...` where the tokenizer adds BOS. Row r covers stream[r*T : r*T + T + 1], so that every
    token but the stream's first is a target exactly once. What remains at the end of the pass
    is one shorter row.

decompose: each document, `start d EOS`, is cut by itself into rows of power-of-two length
    (Pouransari et al., "Dataset Decomposition", arXiv 2405.13226): no row crosses documents and
    no attention mask is needed. The paper leaves the order of a document's parts open and drops
    rows that are too short. Here the parts ascend in length, so that the short ones are the
    document's beginning, where the context is short anyway, and nothing is dropped.

Row counts per length depend on the documents' lengths alone, not on their order: they are equal
for all passes. Only one integer for every `_BLOCK` documents and length is kept in memory.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.permutation import Indices, KeyedPermutation, derive_key
from cptstudio.corpus.token_store import TokenizerFacts, TokenStore
from cptstudio.settings import Packing

Tokens = npt.NDArray[np.int32]
_BLOCK = 32
_CHUNK = _BLOCK * 8192
_PASSES_KEPT = 3


@dataclass(frozen=True)
class Segment:
    """The part of a row that comes from one document.

    Attributes:
        corpus: the corpus's name.
        document: the document's number in the document store.
        start: first token of the document in this row.
        stop: one after the last one; start == stop where only its EOS or BOS is in the row.
        position: of a conversation's text in the token store, which may have several of it.
    """

    corpus: str
    document: int
    start: int
    stop: int
    position: int | None = None


class PackedCorpus(Protocol):
    """The rows of a corpus under one packing.

    Attributes:
        row_counts: targets in a row -> rows of that length in each pass.
        counted: targets in a row -> those of all rows of that length that count, in each pass.
        targets_per_pass: targets in one pass that count.
    """

    row_counts: dict[int, int]
    counted: dict[int, int]
    targets_per_pass: int

    def rows(self, number_of_pass: int, length: int, rows: Indices) -> Tokens:
        """Return the tokens [len(rows), length + 1] of rows of one length of one pass."""

    def mask(self, number_of_pass: int, length: int, rows: Indices) -> npt.NDArray[np.bool_] | None:
        """Return which targets of these rows count, [len(rows), length]; None where all do."""

    def segments(self, number_of_pass: int, length: int, row: int) -> list[Segment]:
        """Return where a row's tokens come from, in their order."""

    def first_row(self, number_of_pass: int, document: int) -> tuple[int, int] | None:
        """Return the length and number of the first row that has tokens of a document of the store.

        None where the document is not trained on.
        """


def pack(
    store: TokenStore, name: str, context_length: int, packing: Packing, seed: int
) -> PackedCorpus:
    """Return the rows of a corpus's training side.

    Args:
        store: its tokens.
        name: its name, for `Segment`.
        context_length: targets in the longest row, at least 1.
        packing: "concat" or "decompose".
        seed: chooses, with the store's fingerprint, the order of every pass.
    """
    documents = _Documents(store, seed)
    if packing == "concat":
        return _Concatenation(documents, name, context_length)
    return _Decomposition(documents, name, context_length)


class _Documents:
    """The training documents of a store in the order of each pass."""

    def __init__(self, store: TokenStore, seed: int) -> None:
        self.store = store
        self.facts: TokenizerFacts = store.tokenizer
        self._positions = store.documents_of("train")
        self._seed = seed
        self.count = len(self._positions)

    def permutation(self, number_of_pass: int) -> KeyedPermutation:
        key = derive_key("documents", self.store.fingerprint, self._seed, number_of_pass)
        return KeyedPermutation(self.count, key)

    def in_order(self, permutation: KeyedPermutation | None, ranks: Indices) -> Indices:
        """Return the positions in the store of the documents at the given ranks of a pass."""
        return self._positions[permutation(ranks) if permutation else ranks].astype(np.int64)

    def rank_of(self, number_of_pass: int, document: int) -> int | None:
        """The rank in a pass of a document of the document store; None where it is not in it."""
        position = int(np.searchsorted(self.store.documents, document))
        if position == len(self.store.documents) or self.original(position) != document:
            return None
        place = int(np.searchsorted(self._positions, position))
        if place == self.count or int(self._positions[place]) != position:
            return None
        return self.permutation(number_of_pass).place_of(place)

    def lengths(self, positions: Indices) -> Indices:
        offsets = self.store.offsets
        return np.asarray(offsets[positions + 1] - offsets[positions])

    def original(self, position: int) -> int:
        return int(self.store.documents[position])


class _PassIndex:
    """Prefix sums over blocks of documents, for each of the last few passes."""

    def __init__(self, documents: _Documents, columns: int) -> None:
        self._documents = documents
        self._columns = columns
        self._kept: OrderedDict[int, npt.NDArray[np.int64]] = OrderedDict()

    def amounts(self, lengths: Indices) -> npt.NDArray[np.int64]:
        """Return each document's contribution to each column, int64 [documents, columns]."""
        raise NotImplementedError

    def block_starts(self, number_of_pass: int) -> npt.NDArray[np.int64]:
        """Return the sums before each block, int64 [blocks + 1, columns]."""
        if number_of_pass in self._kept:
            self._kept.move_to_end(number_of_pass)
            return self._kept[number_of_pass]
        sums = self._sums(self._documents.permutation(number_of_pass))
        self._kept[number_of_pass] = sums
        if len(self._kept) > _PASSES_KEPT:
            self._kept.popitem(last=False)
        return sums

    def totals(self) -> npt.NDArray[np.int64]:
        """Return the sums over all documents, int64 [columns]."""
        result: npt.NDArray[np.int64] = self._sums(None)[-1]
        return result

    def _sums(self, permutation: KeyedPermutation | None) -> npt.NDArray[np.int64]:
        count = self._documents.count
        blocks = -(-count // _BLOCK)
        sums = np.zeros((blocks + 1, self._columns), dtype=np.int64)
        for first in range(0, count, _CHUNK):
            ranks = np.arange(first, min(first + _CHUNK, count))
            positions = self._documents.in_order(permutation, ranks)
            amounts = self.amounts(self._documents.lengths(positions))
            block = first // _BLOCK
            per_block = np.add.reduceat(amounts, np.arange(0, len(ranks), _BLOCK), axis=0)
            sums[block + 1 : block + 1 + len(per_block)] = per_block
        np.cumsum(sums, axis=0, out=sums)
        return sums

    def before(self, number_of_pass: int, rank: int) -> tuple[npt.NDArray[np.int64], int]:
        """Sums before a document of a pass, int64 [columns], and how many tokens it has."""
        block, place = divmod(rank, _BLOCK)
        _, lengths = self.block(number_of_pass, np.array([block]))
        inside = self.amounts(lengths[0])[:place].sum(axis=0)
        sums: npt.NDArray[np.int64] = self.block_starts(number_of_pass)[block] + inside
        return sums, int(lengths[0, place])

    def block(self, number_of_pass: int, blocks: Indices) -> tuple[Indices, Indices]:
        """Return the documents of some blocks: positions and lengths, int64 [blocks, _BLOCK].

        Beyond the last document the position is that of an arbitrary one and the length -1.
        """
        ranks = blocks[:, None] * _BLOCK + np.arange(_BLOCK)
        inside = ranks < self._documents.count
        permutation = self._documents.permutation(number_of_pass)
        positions = self._documents.in_order(permutation, np.where(inside, ranks, 0))
        return positions, np.where(inside, self._documents.lengths(positions), -1)


class _StreamIndex(_PassIndex):
    """One column: the tokens that a document takes in the stream, with its specials."""

    def __init__(self, documents: _Documents, extra: int) -> None:
        super().__init__(documents, columns=1)
        self._extra = extra

    def amounts(self, lengths: Indices) -> npt.NDArray[np.int64]:
        return np.where(lengths >= 0, lengths + self._extra, 0)[:, None]


class _Concatenation:
    def __init__(self, documents: _Documents, name: str, context_length: int) -> None:
        facts = documents.facts
        self._documents = documents
        self._name = name
        self._before = [facts.start] if facts.adds_bos else []
        self._lead = [] if facts.adds_bos else [facts.start]
        self._extra = len(self._before) + 1
        self._index = _StreamIndex(documents, self._extra)
        total = len(self._lead) + int(self._index.totals()[0]) if documents.count else 1
        self.targets_per_pass = total - 1
        self._full, tail = divmod(self.targets_per_pass, context_length)
        self._context_length = context_length
        self.row_counts = {context_length: self._full, tail: 1}
        self.row_counts = {n: count for n, count in self.row_counts.items() if n and count}
        self.counted = {n: n * count for n, count in self.row_counts.items()}

    def _first(self, length: int, row: int) -> int:
        return (row if length == self._context_length else self._full) * self._context_length

    def _walk(self, number_of_pass: int, start: int, stop: int) -> list[tuple[int, int, int, int]]:
        """Documents that overlap stream[start:stop]: (position, length, first, last + 1).

        `first` is where the document's part, with its specials, begins in the stream.
        """
        sums = self._index.block_starts(number_of_pass)[:, 0] + len(self._lead)
        block = max(0, int(np.searchsorted(sums, start, side="right")) - 1)
        found = []
        while block < len(sums) - 1 and sums[block] < stop:
            positions, lengths = self._index.block(number_of_pass, np.array([block]))
            amounts = self._index.amounts(lengths[0])[:, 0]
            ends = sums[block] + np.cumsum(amounts)
            for place in np.flatnonzero((ends > start) & (ends - amounts < stop) & (amounts > 0)):
                end, length = int(ends[place]), int(lengths[0, place])
                found.append((int(positions[0, place]), length, end - int(amounts[place]), end))
            block += 1
        return found

    def rows(self, number_of_pass: int, length: int, rows: Indices) -> Tokens:
        out = np.empty((len(rows), length + 1), dtype=np.int32)
        for row, target in zip(rows.tolist(), out, strict=True):
            start = self._first(length, row)
            stop = start + length + 1
            if start < len(self._lead):
                target[0] = self._lead[0]
            for position, size, first, last in self._walk(number_of_pass, start, stop):
                store = self._documents.store
                head = first + len(self._before)
                low, high = max(start, head), min(stop, head + size)
                if low < high:
                    offset = int(store.offsets[position]) - head
                    target[low - start : high - start] = store.tokens[offset + low : offset + high]
                if self._before and start <= first < stop:
                    target[first - start] = self._before[0]
                if start < last <= stop:
                    target[last - 1 - start] = self._documents.facts.end
        return out

    def mask(self, number_of_pass: int, length: int, rows: Indices) -> None:
        return None

    def segments(self, number_of_pass: int, length: int, row: int) -> list[Segment]:
        start = self._first(length, row)
        stop = start + length + 1
        result = []
        for position, size, first, _ in self._walk(number_of_pass, start, stop):
            head = first + len(self._before)
            low, high = max(start - head, 0), min(stop - head, size)
            low = min(low, size)
            result.append(
                Segment(self._name, self._documents.original(position), low, max(low, high))
            )
        return result

    def first_row(self, number_of_pass: int, document: int) -> tuple[int, int] | None:
        rank = self._documents.rank_of(number_of_pass, document)
        if rank is None:
            return None
        sums, _ = self._index.before(number_of_pass, rank)
        # A document without tokens has only its specials.
        first = len(self._lead) + int(sums[0]) + len(self._before)
        row = min(first, self.targets_per_pass - 1) // self._context_length
        if row < self._full:
            return self._context_length, row
        return self.targets_per_pass % self._context_length, 0


class _PowersIndex(_PassIndex):
    """Column k: rows of 2**k targets; the last one is the longest and may repeat."""

    def amounts(self, lengths: Indices) -> npt.NDArray[np.int64]:
        # A document of n tokens has n + 1 targets, its EOS being one; -1 stands for none.
        targets = lengths + 1
        last = self._columns - 1
        counts = (targets[..., None] >> np.arange(self._columns)) & 1
        counts[..., last] = targets >> last
        return counts


class _Decomposition:
    def __init__(self, documents: _Documents, name: str, context_length: int) -> None:
        self._documents = documents
        self._name = name
        self._last = context_length.bit_length() - 1
        self._index = _PowersIndex(documents, self._last + 1)
        totals = self._index.totals().tolist()
        self.row_counts = {1 << k: count for k, count in enumerate(totals) if count}
        self.counted = {length: length * n for length, n in self.row_counts.items()}
        self.targets_per_pass = sum(self.counted.values())

    def _locate(
        self, number_of_pass: int, length: int, rows: Indices
    ) -> tuple[Indices, Indices, Indices]:
        """Each row's document (position, length) and its first token's place in `start d EOS`."""
        column = length.bit_length() - 1
        sums = self._index.block_starts(number_of_pass)[:, column]
        blocks = np.searchsorted(sums, rows, side="right") - 1
        unique, which = np.unique(blocks, return_inverse=True)
        positions, lengths = self._index.block(number_of_pass, unique)
        counts = self._index.amounts(lengths)[..., column]
        ends = np.cumsum(counts, axis=1)
        rest = rows - sums[blocks]
        place = (ends[which] <= rest[:, None]).sum(axis=1)
        targets = lengths[which, place] + 1
        repeat = rest - (ends - counts)[which, place]
        begin = (targets & (length - 1)) + repeat * length
        return positions[which, place], lengths[which, place], begin

    def rows(self, number_of_pass: int, length: int, rows: Indices) -> Tokens:
        positions, lengths, begin = self._locate(number_of_pass, length, rows)
        facts, store = self._documents.facts, self._documents.store
        # Place 0 is the start token, place i + 1 is the document's token i.
        inside = begin[:, None] + np.arange(length + 1) - 1
        taken = np.clip(inside, 0, np.maximum(lengths - 1, 0)[:, None])
        places = np.asarray(store.offsets[positions])[:, None] + taken
        out: Tokens = store.tokens[places].astype(np.int32)
        out[inside < 0] = facts.start
        out[inside >= lengths[:, None]] = facts.end
        return out

    def mask(self, number_of_pass: int, length: int, rows: Indices) -> None:
        return None

    def segments(self, number_of_pass: int, length: int, row: int) -> list[Segment]:
        positions, lengths, begin = self._locate(number_of_pass, length, np.array([row]))
        start = max(int(begin[0]) - 1, 0)
        stop = min(int(begin[0]) + length, int(lengths[0]))
        document = self._documents.original(int(positions[0]))
        return [Segment(self._name, document, start, max(start, stop))]

    def first_row(self, number_of_pass: int, document: int) -> tuple[int, int] | None:
        rank = self._documents.rank_of(number_of_pass, document)
        if rank is None:
            return None
        sums, size = self._index.before(number_of_pass, rank)
        column = min(((size + 1) & -(size + 1)).bit_length() - 1, self._last)
        return 1 << column, int(sums[column])
