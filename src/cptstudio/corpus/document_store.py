"""Cleaned documents on disk, compressed, with random access.

    text-00000.zst, ...   the documents' UTF-8 text one after the other: independent zstandard
                          frames of `FRAME` bytes each, `FRAMES_PER_SHARD` to a file
    frames.npy            int64 [frames, 3]: shard, offset in it, compressed size
    documents.npy         one record a document, `RECORD`
    cuts.npy              what of the documents' text is left out, `CUT`; only where something is
    sources.jsonl.zst     one JSON object a source file, see `source_list`

A document is a range of the whole text, so one of any length can be written and read in parts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import zstandard

from cptstudio import durable
from cptstudio.corpus.token_store import damaged
from cptstudio.durable import UnusableFileError

FRAME = 4 * durable.MEBIBYTE
FRAMES_PER_SHARD = 256
_RECORDS = "records.part"
_COPIED = 1 << 16
RECORD = np.dtype(
    [
        ("start", "<u8"),
        ("length", "<u8"),
        ("hash", "V16"),
        ("source", "<u4"),
        ("member", "<u4"),
        ("status", "u1"),
    ]
)


CUT = np.dtype([("document", "<i8"), ("begin", "<i8"), ("length", "<i8")])
"""A part of a document's stored text that is left out, by bytes from its beginning. The `length` of
a document's record is without it, its `hash` with it."""
_CUTS = "cuts.npy"


class DocumentWriter:
    """Appends documents to a new document store.

    Args:
        folder: an existing, empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self._buffer = bytearray()
        self._frames = array("q")
        self._shard: IO[bytes] | None = None
        # Not in memory, which would grow with their number.
        self._records = (folder / _RECORDS).open("xb")
        self.position = 0
        self.count = 0

    def add(self, text: bytes, records: npt.NDArray[Any]) -> None:
        """Append documents.

        Args:
            text: the next part of the text of all documents, UTF-8. What of it belongs to no
                document (one that could not be read to its end) is never read again.
            records: `RECORD` [documents] of those that end in it.
        """
        self._buffer += text
        self.position += len(text)
        while len(self._buffer) >= FRAME:
            self._write_frame(bytes(self._buffer[:FRAME]))
            del self._buffer[:FRAME]
        self._records.write(records.tobytes())
        self.count += len(records)

    def records(self) -> npt.NDArray[Any]:
        """Return one record a document, memory-mapped; there is nothing to be added after that."""
        self._records.close()
        records = np.lib.format.open_memmap(
            self._folder / "documents.npy", "w+", dtype=RECORD, shape=(self.count,)
        )
        place = 0
        with (self._folder / _RECORDS).open("rb") as file:
            while data := file.read(_COPIED * RECORD.itemsize):
                part = np.frombuffer(data, dtype=RECORD)
                records[place : place + len(part)] = part
                place += len(part)
        (self._folder / _RECORDS).unlink()
        return records

    def finish(self, records: npt.NDArray[Any]) -> None:
        """Write what is left, and the records; then the store can be read."""
        if self._buffer:
            self._write_frame(bytes(self._buffer))
            self._buffer.clear()
        if self._shard is not None:
            self._shard.close()
        frames = np.frombuffer(self._frames, dtype=np.int64).reshape(-1, 3)
        np.save(self._folder / "frames.npy", frames, allow_pickle=False)
        if isinstance(records, np.memmap):
            records.flush()

    def settle(self, records: npt.NDArray[Any], cuts: npt.NDArray[Any]) -> None:
        """Write the records as they shall be.

        Args:
            records: their lengths are made those without what is left out.
            cuts: `CUT`, by document and place.
        """
        if len(cuts):
            np.save(self._folder / _CUTS, cuts, allow_pickle=False)
            np.subtract.at(records["length"], cuts["document"], cuts["length"].astype(np.uint64))
        if isinstance(records, np.memmap):
            records.flush()
        else:
            np.save(self._folder / "documents.npy", records, allow_pickle=False)

    def _write_frame(self, data: bytes) -> None:
        number = len(self._frames) // 3
        shard = number // FRAMES_PER_SHARD
        if number % FRAMES_PER_SHARD == 0:
            if self._shard is not None:
                self._shard.close()
            self._shard = (self._folder / _shard_name(shard)).open("xb")
        assert self._shard is not None
        compressed = self._compressor.compress(data)
        self._frames.extend((shard, self._shard.tell(), len(compressed)))
        self._shard.write(compressed)


def _shard_name(number: int) -> str:
    return f"text-{number:05d}.zst"


class DocumentStore:
    """Reads a document store.

    Attributes:
        records: `RECORD` [documents], memory-mapped.
        cuts: `CUT` [cuts], what is left out of the text, by document and place.
        as_stored: it hands out texts as they are stored, but for the cuts.
    """

    as_stored = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            for name in ("documents.npy", "frames.npy"):
                # np.load would wait for ever for somebody to write into a FIFO.
                durable.open_regular_file(folder / name).close()
            self.records: npt.NDArray[Any] = np.load(
                folder / "documents.npy", mmap_mode="r", allow_pickle=False
            )
            self._frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, UnusableFileError) as error:
            raise damaged(folder, str(error)) from None
        if self.records.dtype != RECORD:
            raise damaged(folder, "documents.npy has a different layout")
        self.cuts = self._read_cuts()
        self._cut_documents = np.ascontiguousarray(self.cuts["document"])
        # Quicker for millions of documents than to search for each.
        self._is_cut = np.zeros(len(self.records), dtype=np.bool_)
        self._is_cut[self._cut_documents] = True
        self._decompressor = zstandard.ZstdDecompressor()
        self._shards: dict[int, IO[bytes]] = {}
        self._last: tuple[int, bytes] = (-1, b"")

    def __len__(self) -> int:
        return len(self.records)

    def parts(self, number: int) -> Iterator[bytes]:
        """A document's UTF-8 text in parts of at most `FRAME` bytes; characters may be cut."""
        yield from self.between(number, 0, int(self.records[number]["length"]))

    def piece(self, number: int, begin: int, end: int) -> bytes:
        """Return the bytes `begin` to `end` of a document's UTF-8 text; characters may be cut."""
        return b"".join(self.between(number, begin, end))

    def between(self, number: int, begin: int, end: int) -> Iterator[bytes]:
        """Yield the same in parts of at most `FRAME` bytes."""
        start, length = (int(self.records[number][field]) for field in ("start", "length"))
        end = min(end, length)
        for first, last in self.kept(number):
            if end <= 0:
                break
            size = last - first
            low, high = min(size, max(0, begin)), min(size, end)
            yield from self._range(start + first + low, start + first + high)
            begin, end = begin - size, end - size

    def kept(self, number: int) -> list[tuple[int, int]]:
        """Return which parts of a document's stored text are its text: begin and end in bytes."""
        length = int(self.records[number]["length"])
        kept, place = [], 0
        for cut in self.cuts_of(number):
            begin, size = int(cut["begin"]), int(cut["length"])
            if begin > place:
                kept.append((place, begin))
            length += size
            place = begin + size
        if length > place:
            kept.append((place, length))
        return kept

    def stored_length(self, number: int) -> int:
        """Return the bytes of a document with what is left out of it."""
        return int(self.records[number]["length"]) + sum(
            int(cut["length"]) for cut in self.cuts_of(number)
        )

    def cuts_of(self, number: int) -> npt.NDArray[Any]:
        """Return the parts of a document that are left out."""
        if not len(self.cuts):
            return self.cuts
        first, last = np.searchsorted(self._cut_documents, [number, number + 1]).tolist()
        return self.cuts[first:last]

    def stored_parts(self, number: int) -> Iterator[bytes]:
        """Yield a document with what is left out of it, as `parts`."""
        start = int(self.records[number]["start"])
        yield from self._range(start, start + self.stored_length(number))

    def _range(self, place: int, end: int) -> Iterator[bytes]:
        while place < end:
            frame, offset = divmod(place, FRAME)
            taken = min(end - place, FRAME - offset)
            yield self._frame(frame)[offset : offset + taken]
            place += taken

    def stored(self, start: int, length: int) -> bytes:
        """Stored text by what a document's record says; quicker than by its number."""
        frame, offset = divmod(start, FRAME)
        if offset + length <= FRAME:
            return self._frame(frame)[offset : offset + length]
        return b"".join(self._range(start, start + length))

    def _read_cuts(self) -> npt.NDArray[Any]:
        path = self._folder / _CUTS
        try:
            durable.open_regular_file(path).close()
            cuts: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            return np.empty(0, dtype=CUT)
        except (OSError, ValueError, EOFError, UnusableFileError) as error:
            raise damaged(self._folder, str(error)) from None
        if cuts.dtype != CUT:
            raise damaged(self._folder, f"{_CUTS} has a different layout")
        if len(cuts) and not (0 <= cuts["document"].min() <= cuts["document"].max() < len(self)):
            raise damaged(self._folder, f"{_CUTS} refers to documents that do not exist")
        return cuts

    def text(self, number: int) -> str:
        """Return a whole document."""
        return b"".join(self.parts(number)).decode("utf-8")

    def text_at(self, number: int, start: int, length: int) -> str:
        """Return a whole document by what its record says; quicker than by its number alone."""
        if self._is_cut[number]:
            return self.text(number)
        return self.stored(start, length).decode("utf-8")

    def close(self) -> None:
        """Close the shards."""
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()

    def _frame(self, number: int) -> bytes:
        if self._last[0] == number:
            return self._last[1]
        shard, offset, size = self._frames[number].tolist()
        if shard not in self._shards:
            self.close()
            try:
                self._shards[shard] = durable.open_regular_file(self._folder / _shard_name(shard))
            except FileNotFoundError:
                raise damaged(self._folder, f"{_shard_name(shard)} is missing") from None
        self._shards[shard].seek(offset)
        try:
            data = self._decompressor.decompress(
                self._shards[shard].read(size), max_output_size=FRAME
            )
        except zstandard.ZstdError as error:
            raise damaged(self._folder, f"{_shard_name(shard)}: {error}") from None
        self._last = (number, data)
        return data
