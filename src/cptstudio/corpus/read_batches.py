"""Batches of documents, on their way from the readers to the corpus.

Reading is the same whether it happens in the process that builds or in one of its own, because
both make these batches: text, a record and a signature of each document, and what was seen in
them. A batch holds some mebibytes, so one document may extend over many, and a file of records
is never in memory whole. Between processes they travel through a file:

    a line of JSON (`_Head`), then the compressed text, the records and the signatures

What is read from such a file was written by a program that may have gone astray over a damaged
document, so nothing in it is believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from cptstudio import durable
from cptstudio.corpus.document_store import FRAME, RECORD
from cptstudio.corpus.inspection import Finding, Inspected, Inspector
from cptstudio.corpus.manifest import SourceRecord
from cptstudio.corpus.near_duplicates import BINS, SignatureMaker, Signatures

_DOCUMENTS = 1 << 15
_LINE = 64 * durable.MEBIBYTE
_LARGEST = 1024 * durable.MEBIBYTE


@dataclass(frozen=True)
class Batch:
    """A batch of documents, one after the other.

    Attributes:
        text: UTF-8, the next part of the text of all documents that are read together.
        records: `RECORD` [documents] of those that end here; `start` counts from the beginning of
            that text, and `source` from the first source of those that are read together.
        signatures: of these documents, which are numbered from 0.
        inspected: what was seen in them, numbered likewise.
    """

    text: bytes
    records: npt.NDArray[Any]
    signatures: Signatures
    inspected: Inspected


class BatchBuilder:
    """Puts documents into batches.

    Attributes:
        position: bytes of text so far.
        full: whether there is enough for a batch.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._records: list[tuple[int, int, bytes, int, int, int]] = []
        self._signatures = SignatureMaker()
        self._inspector = Inspector()
        self.position = 0

    @property
    def full(self) -> bool:
        """Return whether there is enough for a batch."""
        return len(self._text) >= FRAME or len(self._records) >= _DOCUMENTS

    def write(self, data: bytes, said: bytes | None = None) -> None:
        """Append UTF-8 text to the current document.

        Args:
            data: as it is stored.
            said: what is compared and looked at, where that is not the same.
        """
        said = data if said is None else said
        self._text += data
        self.position += len(data)
        self._signatures.part(said)
        self._inspector.part(said)

    def end(self, start: int, digest: bytes, source: int, member: int, label: str) -> None:
        """Complete a document that began at `start`; see `RECORD`."""
        number = len(self._records)
        self._records.append((start, self.position - start, digest, source, member, 0))
        self._signatures.end(number)
        self._inspector.end(number, label)

    def forget(self) -> None:
        """End a document that is not kept; its text, which may be on its way, is in none."""
        self._signatures.end(None)
        self._inspector.end(None, "")

    def take(self) -> Batch | None:
        """Return what is there, and forget it; None when that is nothing."""
        if not self._text and not self._records:
            return None
        batch = Batch(
            bytes(self._text),
            np.array(self._records, dtype=RECORD),
            self._signatures.take(),
            self._inspector.take(),
        )
        self._text.clear()
        self._records.clear()
        return batch


class DamagedBatchError(Exception):
    """A file of batches is not what a reader writes."""


class _Head(BaseModel):
    """Begins a batch, or is a source's record.

    Attributes:
        sizes: bytes of the compressed text, and of the text.
        documents: that end in the batch.
        signed: numbers of those with a signature.
    """

    model_config = ConfigDict(extra="forbid")

    source: SourceRecord | None = None
    sizes: tuple[int, int] = (0, 0)
    documents: int = 0
    signed: list[int] = []
    letters: list[int] = []
    findings: list[tuple[str, int, str, str]] = []


class BatchFile:
    """Writes batches and records of sources into a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)

    def write(self, one: Batch | SourceRecord) -> None:
        """Append one."""
        if isinstance(one, SourceRecord):
            self._line({"source": one.model_dump(mode="json", exclude_defaults=True)})
            return
        packed = self._compressor.compress(one.text)
        self._line(
            {
                "sizes": (len(packed), len(one.text)),
                "documents": len(one.records),
                "signed": one.signatures.numbers.tolist(),
                "letters": one.inspected.letters.tolist(),
                "findings": [tuple(asdict(found).values()) for found in one.inspected.findings],
            }
        )
        self._file.write(packed)
        self._file.write(one.records.tobytes())
        self._file.write(one.signatures.bins.tobytes())

    def _line(self, head: dict[str, Any]) -> None:
        self._file.write(durable.dump_json(head).encode() + b"\n")


def read_batches(file: IO[bytes]) -> Iterator[Batch | SourceRecord]:
    """Yield what a `BatchFile` wrote.

    Raises:
        DamagedBatchError: it is damaged.
    """
    decompressor = zstandard.ZstdDecompressor()
    position = sources = 0
    while line := file.readline(_LINE):
        try:
            head = _Head.model_validate(durable.parse_json(line))
            one = head.source or _batch(file, head, decompressor)
            if isinstance(one, Batch):
                position += len(one.text)
                ends = one.records["start"] + one.records["length"]
                # All but those of the last source come after its record.
                if (ends > position).any() or (one.records["source"] > sources).any():
                    raise ValueError("a place")
            else:
                sources += 1
        except (ValueError, ValidationError, zstandard.ZstdError) as error:
            raise DamagedBatchError(str(error)) from None
        yield one


def _batch(file: IO[bytes], head: _Head, decompressor: zstandard.ZstdDecompressor) -> Batch:
    packed, size = head.sizes
    signed = np.array(head.signed, dtype=np.int64)
    largest = max(packed, size, head.documents * RECORD.itemsize)
    if min(packed, size, head.documents) < 0 or largest > _LARGEST:
        raise ValueError("a size")
    text = decompressor.decompress(_exactly(file, packed), max_output_size=size)
    records = np.frombuffer(_exactly(file, head.documents * RECORD.itemsize), dtype=RECORD)
    bins = np.frombuffer(_exactly(file, len(signed) * BINS * 4), dtype=np.uint32)
    within = len(signed) <= head.documents and all(0 <= n < head.documents for n in head.signed)
    if (
        len(text) != size
        or not within
        or any(not 0 <= f[1] < head.documents for f in head.findings)
    ):
        raise ValueError("a number")
    letters = np.array(head.letters, dtype=np.int64)
    findings = [Finding(*found) for found in head.findings]
    signatures = Signatures(signed, bins.reshape(-1, BINS))
    return Batch(text, records, signatures, Inspected(letters, findings))


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("its end")
    return data
