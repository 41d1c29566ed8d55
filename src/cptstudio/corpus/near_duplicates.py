"""Finds documents whose words are nearly the same, by MinHash (Broder, 1997).

A document's shingles are its runs of five words. One hash of each shingle fills `BINS` bins with
the least value that falls into each (one permutation hashing: Li, Owen and Zhang, 2012), and an
empty bin borrows from another one chosen by hash (optimal densification: Shrivastava, 2017).
Two documents agree in a bin with a probability of their Jaccard similarity. Documents that agree
in all eight bins of one of fourteen bands are compared (the bands find pairs from a similarity
of about 0.72 on), and those that agree in `THRESHOLD` of all bins count as near duplicates.

Words are runs of letters and digits, folded to lower case in ASCII; each character of the
scripts that are written without spaces (UTF-8 lead bytes E3 to ED) is a word of its own. Shorter
documents than five words have no signature. Hashing is vectorised over batches of documents;
signatures go to a scratch file, so memory does not grow with them.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.permutation import split_mix

BANDS, ROWS = 14, 8
BINS = BANDS * ROWS
SHINGLE = 5
THRESHOLD = 0.75
_BATCH = 1 << 20
_EMPTY = np.uint32(0xFFFFFFFF)
_PROBES = 64
_BLOCK = 1 << 16
_COMPARED = 1 << 16
_GAP = 8
"""Signatures between two that are read with them, since one read takes as long as some rows."""
_READ_ROWS = 1 << 14
Words = npt.NDArray[np.uint64]


def _fold_table() -> npt.NDArray[np.uint8]:
    """Maps a byte to what is hashed: 0 ends a word."""
    table = np.zeros(256, dtype=np.uint8)
    for byte in range(256):
        if byte >= 0x80 or chr(byte).isalnum():
            table[byte] = ord(chr(byte).lower()) if byte < 0x80 else byte
    return table


_FOLD = _fold_table()
_BYTE_HASH: Words = split_mix(np.arange(1, 257, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
_STEP = 0x9E3779B97F4A7C15 | 1
_POWERS: Words = np.array([pow(_STEP, n, 1 << 64) for n in range(64)], dtype=np.uint64)
_PROBE_BINS = (
    split_mix(np.arange(BINS * _PROBES, dtype=np.uint64)) % np.uint64(BINS)
).astype(np.int64).reshape(BINS, _PROBES)  # fmt: skip


def shingles(data: bytes) -> tuple[Words, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Hashes of the runs of five words of a text, and where their first and last words begin."""
    folded = _FOLD[np.frombuffer(data, dtype=np.uint8)]
    inside = folded > 0
    before = np.concatenate(([False], inside[:-1]))
    lone = (folded >= 0xE3) & (folded <= 0xED)
    # The word that follows a character of a script without spaces begins anew.
    after_lone = np.zeros(len(folded), dtype=bool)
    after_lone[3:] = lone[:-3]
    starts = np.flatnonzero(inside & (~before | lone | after_lone))
    if len(starts) < SHINGLE:
        return np.zeros(0, dtype=np.uint64), starts[:0], starts[:0]
    positions = np.arange(len(folded)) - np.repeat(
        np.concatenate(([0], starts)), np.diff(np.concatenate(([0], starts, [len(folded)])))
    )
    weighted = _BYTE_HASH[folded] * _POWERS[positions & 63]
    weighted[~inside] = 0
    words = split_mix(np.add.reduceat(weighted, starts))
    runs = words[: len(words) - SHINGLE + 1].copy()
    for offset in range(1, SHINGLE):
        runs *= np.uint64(_STEP)
        runs += words[offset : len(words) - SHINGLE + 1 + offset]
    return split_mix(runs), starts[: len(runs)], starts[SHINGLE - 1 :]


def densify(bins: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Fill the empty bins of signatures, uint32 [documents, BINS], from their own other bins."""
    given = np.ascontiguousarray(bins).ravel()
    filled = given.copy()
    empty = np.flatnonzero(given == _EMPTY)
    places = empty % BINS
    rows = empty - places
    for probe in _PROBE_BINS.T:
        if not len(empty):
            break
        borrowed = given.take(rows + probe.take(places))
        found = borrowed != _EMPTY
        filled[empty[found]] = borrowed[found]
        left = np.flatnonzero(~found)
        empty, places, rows = empty.take(left), places.take(left), rows.take(left)
    return filled.reshape(bins.shape)


@dataclass(frozen=True)
class Signatures:
    """Signatures of documents; one without enough words has none.

    Attributes:
        numbers: int64 [signatures], which documents'.
        bins: uint32 [signatures, BINS].
    """

    numbers: npt.NDArray[np.int64]
    bins: npt.NDArray[np.uint32]


class SignatureMaker:
    """Makes the signatures of documents that come one after the other, in parts."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ends: list[tuple[int, int | None]] = []
        self._bins: npt.NDArray[np.uint32] | None = None
        self._numbers: list[int] = []
        self._made: list[npt.NDArray[np.uint32]] = []

    def part(self, data: bytes) -> None:
        """Take the next part of the current document."""
        self._buffer += data
        if len(self._buffer) >= 2 * _BATCH:
            self._flush()
        if len(self._buffer) >= 2 * _BATCH:
            # A long document is hashed as it comes; the last words are kept for the next part.
            cut = len(self._buffer) - 4096
            self._bins = self._fill(bytes(self._buffer), 1, [len(self._buffer)], self._bins)
            del self._buffer[:cut]

    def end(self, number: int | None) -> None:
        """Complete the current document; None forgets it."""
        if self._bins is not None:
            bins = self._fill(bytes(self._buffer), 1, [len(self._buffer)], self._bins)
            self._bins = None
            self._buffer.clear()
            self._keep(bins, [number])
            return
        # The newline ends a word; shingles that cross documents are left out in `_fill`.
        self._buffer += b"\n"
        self._ends.append((len(self._buffer), number))
        if len(self._buffer) >= _BATCH:
            self._flush()

    def take(self) -> Signatures:
        """Return those of the documents that are complete, and forget them."""
        self._flush()
        made = np.concatenate([np.empty((0, BINS), np.uint32), *self._made])
        taken = Signatures(np.array(self._numbers, dtype=np.int64), made)
        self._numbers, self._made = [], []
        return taken

    def _flush(self) -> None:
        """Hash the documents that are complete; the current one's bytes stay."""
        if not self._ends:
            return
        ends = [end for end, _ in self._ends]
        bins = self._fill(bytes(self._buffer[: ends[-1]]), len(ends), ends, None)
        self._keep(bins, [number for _, number in self._ends])
        del self._buffer[: ends[-1]]
        self._ends.clear()

    @staticmethod
    def _fill(
        data: bytes, documents: int, ends: list[int], bins: npt.NDArray[np.uint32] | None
    ) -> npt.NDArray[np.uint32]:
        """Add the shingles of consecutive documents to their bins."""
        flat = np.full(documents * BINS, _EMPTY) if bins is None else bins.ravel()
        hashes, first, last = shingles(data)
        document = np.searchsorted(np.asarray(ends), first, side="right")
        whole = document == np.searchsorted(np.asarray(ends), last, side="right")
        bin_of = ((hashes >> np.uint64(32)) * np.uint64(BINS)) >> np.uint64(32)
        values = np.minimum((hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32), _EMPTY - 1)
        places = document * BINS + bin_of.astype(np.int64)
        np.minimum.at(flat, places[whole], values[whole])
        return flat.reshape(documents, BINS)

    def _keep(self, bins: npt.NDArray[np.uint32], numbers: list[int | None]) -> None:
        filled = (bins != _EMPTY).any(axis=1).tolist()
        # A document of fewer words than a shingle has none.
        some = [row for row, number in enumerate(numbers) if number is not None and filled[row]]
        self._numbers += [number for row in some if (number := numbers[row]) is not None]
        self._made.append(densify(bins[some]))


@dataclass(frozen=True)
class Likeness:
    """Which documents are like which others.

    Attributes:
        group: int64 [documents], the first document that a document is like, directly or through
            others; its own number where there is none.
        similarity: float32 [documents], the greatest one seen to another document.
    """

    group: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]


class NearDuplicateIndex:
    """Collects signatures while documents are stored, and compares them at the end.

    Signatures and the keys of their bands go to scratch files, so memory grows by some dozens of
    bytes a document only.

    Args:
        scratch: a new folder, which `likeness` deletes.
    """

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self._scratch = scratch
        self._bins = (scratch / "bins").open("xb")
        self._keys = (scratch / "keys").open("xb")
        self._numbers = array("q")
        self._waiting: list[npt.NDArray[np.uint64]] = []
        self._blocks: list[int] = []

    def add(self, signatures: Signatures, first: int) -> None:
        """Take signatures.

        Args:
            signatures: of some documents.
            first: the number of the document that they call 0.
        """
        self._numbers.frombytes((signatures.numbers + first).tobytes())
        self._bins.write(signatures.bins.tobytes())
        self._waiting.append(_keys(signatures.bins))
        if sum(map(len, self._waiting)) >= _BLOCK:
            self._write_keys()

    def renumber(self, numbers: npt.NDArray[np.int64], gone: npt.NDArray[np.bool_]) -> None:
        """Give documents other numbers.

        Args:
            numbers: int64 [documents], the new ones.
            gone: bool [documents], those that are no longer there.
        """
        former = np.frombuffer(self._numbers, dtype=np.int64)
        self._numbers = array("q", np.where(gone[former], -1, numbers[former]).tobytes())

    def likeness(
        self,
        documents: int,
        left_out: npt.NDArray[np.bool_],
        reached: Callable[[float], None] = lambda share: None,
    ) -> Likeness:
        """Compare all; there is nothing to be added after that.

        Args:
            documents: how many there are.
            left_out: bool [documents], those that need not be compared.
            reached: told which share of the work is done.
        """
        self._write_keys()
        self._bins.close()
        self._keys.close()
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        there = numbers >= 0
        chosen = np.flatnonzero(there & ~left_out[numbers])
        parent = np.arange(len(numbers))
        best = np.zeros(len(numbers), dtype=np.float32)
        if len(chosen) > 1:
            with (self._scratch / "bins").open("rb") as bins:
                for band in range(BANDS):
                    for share, one, other in _candidates(self._band(band), chosen):
                        _compare(bins, one, other, parent, best)
                        reached((band + share) / BANDS)
                    _flatten(parent)
                    reached((band + 1) / BANDS)
        shutil.rmtree(self._scratch)
        group = np.arange(documents)
        group[numbers[there]] = numbers[parent[there]]
        similarity = np.zeros(documents, dtype=np.float32)
        similarity[numbers[there]] = best[there]
        return Likeness(group, similarity)

    def _write_keys(self) -> None:
        keys = np.concatenate([np.empty((0, BANDS), np.uint64), *self._waiting])
        self._keys.write(np.ascontiguousarray(keys.T).tobytes())
        self._blocks.append(len(keys))
        self._waiting.clear()

    def _band(self, band: int) -> Words:
        keys = np.empty(sum(self._blocks), dtype=np.uint64)
        place = 0
        with (self._scratch / "keys").open("rb") as file:
            for size in self._blocks:
                file.seek((place * BANDS + band * size) * 8)
                keys[place : place + size] = np.frombuffer(file.read(size * 8), dtype=np.uint64)
                place += size
        return keys


def _candidates(
    keys: Words, chosen: npt.NDArray[np.int64]
) -> Iterator[tuple[float, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Signatures that agree in a band: each with its bucket's first one and with its neighbour.

    Each some comes with the share of all that it completes.
    """
    keys = keys[chosen]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    equal = np.flatnonzero(keys[1:] == keys[:-1]) + 1
    if not len(equal):
        return
    begins = np.concatenate(([True], np.diff(equal) != 1))
    first = (equal[begins] - 1)[np.cumsum(begins) - 1]
    for half, other in ((0, first), (1, equal - 1)):
        for start in range(0, len(equal), _COMPARED):
            share = (half + min(1, (start + _COMPARED) / len(equal))) / 2
            one = chosen[order[other[start : start + _COMPARED]]]
            yield share, one, chosen[order[equal[start : start + _COMPARED]]]


def _compare(
    bins: IO[bytes],
    one: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
    parent: npt.NDArray[np.int64],
    best: npt.NDArray[np.float32],
) -> None:
    """Join the groups of those that are alike."""
    # Most that agree in one band agree in others, and are in one group already.
    apart = _roots(parent, one) != _roots(parent, other)
    one, other = one[apart], other[apart]
    similarity = (_rows(bins, one) == _rows(bins, other)).mean(axis=1, dtype=np.float32)
    alike = similarity >= THRESHOLD
    one, other = one[alike], other[alike]
    for side in (one, other):
        np.maximum.at(best, side, similarity[alike])
    while True:
        left, right = _roots(parent, one), _roots(parent, other)
        differ = left != right
        if not differ.any():
            return
        left, right = left[differ], right[differ]
        np.minimum.at(parent, np.maximum(left, right), np.minimum(left, right))


def _rows(bins: IO[bytes], places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Signatures by their places, uint32 [places, BINS], read from their file.

    Mapped into memory, the pages around each would stay there: gigabytes for ten million.
    """
    if not len(places):
        return np.empty((0, BINS), np.uint32)
    wanted, inverse = np.unique(places, return_inverse=True)
    found = np.empty((len(wanted), BINS), np.uint32)
    apart = np.flatnonzero(np.diff(wanted) > _GAP) + 1
    begins = [0, *apart.tolist()]
    for begin, end in zip(begins, [*begins[1:], len(wanted)], strict=True):
        while begin < end:
            first = int(wanted[begin])
            last = min(end, int(np.searchsorted(wanted, first + _READ_ROWS)))
            size = (int(wanted[last - 1]) - first + 1) * BINS
            data = os.pread(bins.fileno(), 4 * size, 4 * BINS * first)
            rows = np.frombuffer(data, dtype=np.uint32).reshape(-1, BINS)
            found[begin:last] = rows[wanted[begin:last] - first]
            begin = last
    return found[inverse.ravel()]


def _roots(parent: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    roots = parent[places]
    while True:
        further = parent[roots]
        if (further == roots).all():
            return roots
        roots = further


def _flatten(parent: npt.NDArray[np.int64]) -> None:
    for start in range(0, len(parent), _BLOCK):
        parent[start : start + _BLOCK] = _roots(parent, parent[start : start + _BLOCK])


def _keys(bins: npt.NDArray[np.uint32]) -> Words:
    """Return the keys of the bands, uint64 [signatures, BANDS]."""
    rows = bins.reshape(len(bins), BANDS, ROWS)
    keys = np.zeros((len(bins), BANDS), dtype=np.uint64)
    for column in range(ROWS):
        keys = split_mix((keys ^ rows[:, :, column]) * np.uint64(_STEP))
    return keys
