"""The first part of a build: every source is read, cleaned, hashed and stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import zstandard

from cptstudio import durable
from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.corpus import SOURCES
from cptstudio.corpus.document_store import DocumentWriter
from cptstudio.corpus.manifest import SourceRecord
from cptstudio.corpus.progress import ProgressMeter
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.items import Item, Unreadable, items_of
from cptstudio.corpus.sources import Skipped, SourceFile
from cptstudio.corpus.split import new_content_hash

_PROBLEMS_SHOWN = 200


class DocumentObserver(Protocol):
    """Sees the cleaned text of every document while it is stored."""

    def part(self, data: bytes) -> None:
        """Take the next part of the current document's UTF-8 text."""

    def end(self, number: int | None, label: str) -> None:
        """Complete the current document; its number is None when it is not kept."""


class SourceReader:
    """Reads sources into a document writer.

    Attributes:
        labels: of the sources so far, by number.
        problems: the first report lines, "label: reason".
        problem_count: how many there are.
        skipped: files, or parts of them, that could not be read.
        fingerprint: SHA-256 of the labels and contents of the source files, when finished.
    """

    def __init__(
        self,
        writer: DocumentWriter,
        observers: Sequence[DocumentObserver],
        text_field: str,
        meter: ProgressMeter,
    ) -> None:
        self._writer = writer
        self._observers = observers
        self._text_field = text_field
        self._meter = meter
        self._source = 0
        self._hash = hashlib.sha256()
        self.labels: list[str] = []
        self.problems: list[str] = []
        self.problem_count = 0
        self.skipped = 0

    def read(self, files: Sequence[SourceFile], skipped: Sequence[Skipped], folder: Path) -> None:
        """Read everything, and write `SOURCES` into a folder."""
        self._meter.begin("reading", sum(file.size for file in files))
        self._meter.files_total = len(files)
        with (
            (folder / SOURCES).open("xb") as raw,
            zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as out,
        ):
            for thing in skipped:
                record = SourceRecord(label=thing.label, file=thing.label, size=0, modified_ns=0)
                self._record(out, record, thing.reason)
            for file in files:
                self._read_file(file, out)
                self._meter.bytes_done += file.size
                self._meter.files_done += 1
                self._meter.tell()
        self._meter.tell(final=True)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what was read."""
        return self._hash.hexdigest()

    def _read_file(self, file: SourceFile, out: IO[bytes]) -> None:
        try:
            content: str | None = durable.sha256_of_file(file.path)
        except OSError as error:
            self._record(out, _record_of(file, None), f"cannot be read: {error.strerror}")
            return
        except durable.UnusableFileError as error:
            self._record(out, _record_of(file, None), error.reason)
            return
        self._hash.update(f"{file.label}\0{content}\0".encode())
        try:
            for item in items_of(file):
                record = _record_of(file, content, item.label)
                content = None
                self._record(out, record, self._read_item(item, record))
        except Unreadable as reason:
            self._record(out, _record_of(file, content), str(reason))

    def _read_item(self, item: Item, record: SourceRecord) -> str | None:
        """Store the documents of one item; returns why it could not be read to its end."""
        reason = None
        try:
            for member, parts in enumerate(read_documents(item, self._text_field)):
                size = self._store(parts, item, member)
                if size:
                    record.documents += 1
                    record.text_bytes += size
        except Unreadable as unreadable:
            reason = str(unreadable)
        except (OSError, ValueError, MemoryError, RecursionError) as error:
            # What a reader's library makes of a hostile file ends that file, not the build.
            reason = f"cannot be read: {type(error).__name__}: {str(error)[:200]}"
        if reason is None and not record.documents:
            reason = "holds no text"
        record.notes += item.notes
        return reason

    def _store(self, parts: Iterable[str], item: Item, member: int) -> int:
        """Store one document; returns its size, 0 when it is empty."""
        cleaner = Cleaner()
        digest = new_content_hash()
        start = self._writer.position
        blank = True
        try:
            for data in _encoded(cleaner.clean(parts)):
                blank = blank and data.isspace()
                digest.update(data)
                self._writer.write(data)
                for observer in self._observers:
                    observer.part(data)
        except BaseException:
            for observer in self._observers:
                observer.end(None, item.label)
            raise
        if cleaner.replaced_surrogates:
            item.notes.append(
                f"{cleaner.replaced_surrogates:,} lone surrogates were replaced by U+FFFD"
            )
        number = None if blank else self._writer.count
        if number is not None:
            self._writer.end_document(start, digest.digest(), self._source, member)
        for observer in self._observers:
            observer.end(number, item.label)
        return 0 if blank else self._writer.position - start

    def _record(self, out: IO[bytes], record: SourceRecord, reason: str | None) -> None:
        record.skipped = reason
        for text in ([reason] if reason else []) + record.notes:
            self.problem_count += 1
            if len(self.problems) < _PROBLEMS_SHOWN:
                self.problems.append(f"{record.label}: {text}")
        self.skipped += reason is not None
        line = durable.dump_json(record.model_dump(mode="json", exclude_defaults=True))
        out.write(line.encode() + b"\n")
        self.labels.append(record.label)
        self._source += 1


def _record_of(file: SourceFile, sha256: str | None, label: str | None = None) -> SourceRecord:
    return SourceRecord(
        label=label or file.label,
        file=file.label,
        size=file.size,
        modified_ns=file.modified_ns,
        sha256=sha256,
    )


def _encoded(parts: Iterable[str]) -> Iterator[bytes]:
    for part in parts:
        yield part.encode("utf-8")
