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

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    filled = bins.copy()
    rows, places = np.nonzero(bins == _EMPTY)
    for probe in range(_PROBES):
        if not len(rows):
            break
        borrowed = bins[rows, _PROBE_BINS[places, probe]]
        found = borrowed != _EMPTY
        filled[rows[found], places[found]] = borrowed[found]
        rows, places = rows[~found], places[~found]
    return filled


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


class NearDuplicateIndex:
    """Collects signatures while documents are stored, and compares them at the end.

    Args:
        scratch: a new file for the signatures.
    """

    def __init__(self, scratch: Path) -> None:
        self._file = scratch.open("xb")
        self._path = scratch
        self._numbers = array("q")

    def add(self, signatures: Signatures, first: int) -> None:
        """Take signatures.

        Args:
            signatures: of some documents.
            first: the number of the document that they call 0.
        """
        self._numbers.extend((signatures.numbers + first).tolist())
        self._file.write(signatures.bins.tobytes())

    def pairs(self) -> Iterator[tuple[int, int, float]]:
        """Yield near duplicates: (earlier document, later document, estimated similarity)."""
        self._file.close()
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        if len(numbers) < 2:
            return
        signatures = np.memmap(self._path, np.uint32, "r", shape=(len(numbers), BINS))
        for band in range(BANDS):
            rows = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
            keys = _keys(rows)
            order = np.argsort(keys, kind="stable")
            equal = np.flatnonzero(np.diff(keys[order]) == 0) + 1
            if not len(equal):
                continue
            begins = np.concatenate(([True], np.diff(keys[order]) != 0))
            first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
            # Each document meets its bucket's first one and its neighbour, never all of them.
            for other in (first[equal], equal - 1):
                left, right = order[other], order[equal]
                for start in range(0, len(left), 65_536):
                    a, b = left[start : start + 65_536], right[start : start + 65_536]
                    similarity = (signatures[a] == signatures[b]).mean(axis=1)
                    for place in np.flatnonzero(similarity >= THRESHOLD):
                        yield (
                            int(numbers[min(a[place], b[place])]),
                            int(numbers[max(a[place], b[place])]),
                            float(similarity[place]),
                        )


def _keys(rows: npt.NDArray[np.uint32]) -> Words:
    key = np.zeros(len(rows), dtype=np.uint64)
    for column in range(rows.shape[1]):
        key = split_mix((key ^ rows[:, column]) * np.uint64(_STEP))
    return key
