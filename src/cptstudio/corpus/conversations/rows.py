"""Token rows of conversations: whole ones, of which only the answers count.

No conversation is ever cut inside an answer. One that is longer than a row loses the turns behind
the last answer that fits, or is left out; how many is told. What a row has beyond its conversations
is padding, which comes last, so that no network sees it before what counts.

concat: conversations are packed into rows of full length, each into the fullest row that still has
    room for it, the longest first (best fit decreasing, as in Ding et al., arXiv 2404.10830). Which
    ones share a row is the same in all passes. Attention sees the conversations before in its row.

decompose: each conversation is a row of its own, of the next power of two of targets. Attention
    sees nothing else; the padding costs up to half of the computation.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.packing import Segment, Tokens
from cptstudio.corpus.permutation import Indices, KeyedPermutation, derive_key
from cptstudio.corpus.token_store import TokenStore
from cptstudio.settings import LongConversations, Packing

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FittedConversations:
    """The training side of a store of conversations, for rows of a length.

    Attributes:
        positions: int64 [texts], of those that are trained on, in the store.
        lengths: int64 [texts], tokens of each that are in a row.
        counted: int64 [texts], how many of them count.
        shortened: texts whose later turns are left out.
        left_out: texts that are not trained on.
        tokens_left_out: counted tokens that are not trained on.
    """

    positions: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    counted: npt.NDArray[np.int64]
    shortened: int
    left_out: int
    tokens_left_out: int


def fit_conversations(
    store: TokenStore, length: int, long: LongConversations
) -> FittedConversations:
    """Return what of a store's training side fits into rows of so many targets."""
    return _kept("fitted", store, length, long, lambda: _fitted(store, length, long))


_Value = TypeVar("_Value")
_MOST_KEPT: Final = 8
_results: Final[OrderedDict[tuple[Any, ...], Any]] = OrderedDict()
_LOCK: Final = threading.Lock()


def _kept(
    what: str, store: TokenStore, length: int, long: str, make: Callable[[], _Value]
) -> _Value:
    """What was computed of the same tokens before.

    A plan asks at every keystroke, and a million conversations take seconds. No store is kept, so
    that the disk space of a deleted one is free.
    """
    key = (what, store.fingerprint, length, long)
    with _LOCK:
        if key in _results:
            _results.move_to_end(key)
            found: _Value = _results[key]
            return found
    value = make()
    with _LOCK:
        _results[key] = value
        if len(_results) > _MOST_KEPT:
            _results.popitem(last=False)
    return value


def _fitted(store: TokenStore, length: int, long: LongConversations) -> FittedConversations:
    counts = store.counts
    assert counts is not None
    positions = store.documents_of("train").astype(np.int64)
    starts = store.offsets[positions]
    lengths = np.asarray(store.offsets[positions + 1] - starts)
    # Nothing predicts a text's first token.
    sums = _sums(counts, store.offsets)[positions] - _first(counts, starts, lengths)
    room = length + 1
    counted = sums.copy()
    fitting = lengths.copy()
    for place in np.flatnonzero(lengths > room).tolist():
        fitting[place] = 0
        counted[place] = 0
        if long == "shorten":
            begin, stop = int(starts[place]), int(starts[place] + lengths[place])
            end = _last_end(np.asarray(counts[begin:stop]), room)
            fitting[place] = end
            counted[place] = int(counts[begin + 1 : begin + end].sum())
    kept = counted > 0
    return FittedConversations(
        positions=positions[kept],
        lengths=fitting[kept],
        counted=counted[kept],
        shortened=int((kept & (fitting < lengths)).sum()),
        left_out=int((~kept).sum()),
        tokens_left_out=int((sums - counted).sum()),
    )


def _sums(counts: Flags, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many tokens of each text count."""
    found = np.zeros(len(offsets) - 1, dtype=np.int64)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        found[filled] = np.add.reduceat(counts, offsets[:-1][filled], dtype=np.int64)
    return found


def _first(counts: Flags, starts: Indices, lengths: Indices) -> npt.NDArray[np.int64]:
    """1 for each text whose first token counts."""
    result: npt.NDArray[np.int64] = np.zeros(len(starts), dtype=np.int64)
    there = lengths > 0
    result[there] = counts[starts[there]]
    return result


def _last_end(counts: Flags, room: int) -> int:
    """The end of the last answer that lies within so many tokens; 0 where there is none."""
    after = np.append(counts[1:], False)
    ends = np.flatnonzero(counts & ~after) + 1
    ends = ends[ends <= room]
    return int(ends[-1]) if len(ends) else 0


def _packed(
    store: TokenStore, fitted: FittedConversations, length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which texts share a row: their places row after row, and where each row begins in them."""
    key = derive_key("conversations", store.fingerprint)
    shuffled = KeyedPermutation(len(fitted.lengths), key)(np.arange(len(fitted.lengths)))
    order = shuffled[np.argsort(-fitted.lengths[shuffled], kind="stable")]
    rows: list[list[int]] = []
    by_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    for place, size in zip(order.tolist(), fitted.lengths[order].tolist(), strict=True):
        at = bisect.bisect_left(rooms, size)
        if at < len(rooms):
            left = rooms[at]
            row = by_room[left].pop()
            if not by_room[left]:
                del by_room[left], rooms[at]
        else:
            left, row = length + 1, len(rows)
            rows.append([])
        rows[row].append(place)
        left -= size
        if left not in by_room:
            by_room[left] = []
            bisect.insort(rooms, left)
        by_room[left].append(row)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)])
    flat = [place for row in rows for place in row]
    return np.array(flat, dtype=np.int64), starts.astype(np.int64)


class ConversationRows:
    """The rows of a corpus of conversations; a `PackedCorpus`."""

    def __init__(
        self,
        store: TokenStore,
        name: str,
        context_length: int,
        packing: Packing,
        long: LongConversations,
    ) -> None:
        self._store, self._name = store, name
        fitted = self._fitted = fit_conversations(store, context_length, long)
        if packing == "concat":
            places, starts = _kept(
                "packed",
                store,
                context_length,
                long,
                lambda: _packed(store, fitted, context_length),
            )
            self._rows = {context_length: (places, starts)} if len(places) else {}
        else:
            self._rows = _own_rows(fitted)
        self.row_counts = {length: len(starts) - 1 for length, (_, starts) in self._rows.items()}
        self.counted = {
            length: int(fitted.counted[places].sum()) for length, (places, _) in self._rows.items()
        }
        self.targets_per_pass = sum(self.counted.values())

    def _texts(self, length: int, row: int) -> Sequence[int]:
        places, starts = self._rows[length]
        found: list[int] = places[starts[row] : starts[row + 1]].tolist()
        return found

    def rows(self, number_of_pass: int, length: int, rows: Indices) -> Tokens:
        """As in `PackedCorpus`; padding is the tokenizer's end token."""
        out = np.full((len(rows), length + 1), self._store.tokenizer.end, dtype=np.int32)
        for row, target in zip(rows.tolist(), out, strict=True):
            at = 0
            for place in self._texts(length, row):
                begin, size = self._text(place)
                target[at : at + size] = self._store.tokens[begin : begin + size]
                at += size
        return out

    def mask(self, number_of_pass: int, length: int, rows: Indices) -> Flags:
        """As in `PackedCorpus`."""
        counts = self._store.counts
        assert counts is not None
        out = np.zeros((len(rows), length + 1), dtype=bool)
        for row, target in zip(rows.tolist(), out, strict=True):
            at = 0
            for place in self._texts(length, row):
                begin, size = self._text(place)
                # A text's first token is predicted from nothing of it.
                target[at + 1 : at + size] = counts[begin + 1 : begin + size]
                at += size
        return out[:, 1:]

    def _text(self, place: int) -> tuple[int, int]:
        """Where a text begins in the store's tokens, and how many of them are in its row."""
        position = int(self._fitted.positions[place])
        return int(self._store.offsets[position]), int(self._fitted.lengths[place])

    def segments(self, number_of_pass: int, length: int, row: int) -> list[Segment]:
        """As in `PackedCorpus`."""
        found = []
        for place in self._texts(length, row):
            position = int(self._fitted.positions[place])
            number = int(self._store.documents[position])
            stop = int(self._fitted.lengths[place])
            found.append(Segment(self._name, number, 0, stop, position))
        return found

    def first_row(self, number_of_pass: int, document: int) -> tuple[int, int] | None:
        """As in `PackedCorpus`."""
        of = self._store.documents[self._fitted.positions]
        wanted = np.flatnonzero(of == document)
        for length, (places, starts) in self._rows.items():
            at = np.flatnonzero(np.isin(places, wanted))
            if len(at):
                return length, int(np.searchsorted(starts, at[0], side="right")) - 1
        return None


def _own_rows(
    fitted: FittedConversations,
) -> dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """A row for each text, by length: the next power of two of its targets."""
    targets = np.maximum(fitted.lengths - 1, 1)
    powers = np.ceil(np.log2(targets)).astype(np.int64)
    found = {}
    for power in np.unique(powers).tolist():
        places = np.flatnonzero(powers == power).astype(np.int64)
        found[1 << power] = (places, np.arange(len(places) + 1, dtype=np.int64))
    return found
