"""The first part of a build: every source is read, cleaned, hashed and stored."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import zstandard

from cptstudio import durable
from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.corpus import SOURCES
from cptstudio.corpus.document_store import DocumentWriter
from cptstudio.corpus.left_aside import Aside, KeyFinder, Kind, LeftAside
from cptstudio.corpus.manifest import BuildSettings, SourceRecord
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.guard import StepTimer, guarded, reason_of
from cptstudio.corpus.readers.items import Item, Unreadable, items_of
from cptstudio.corpus.sources import Skipped, SourceFile, printable
from cptstudio.corpus.split import new_content_hash

_PROBLEMS_SHOWN = 200
_TEXT_FREE = 1024 * durable.MEBIBYTE
_TEXT_EXPANSION = 1000


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
        problem_files: of how many files.
        asides: the first lines about what was left aside, "label: reason".
        skipped: files, or parts of them, that could not be read.
        left_aside: what was left aside on purpose, by kind.
        fingerprint: SHA-256 of the labels and contents of the source files, when finished.
    """

    def __init__(
        self,
        writer: DocumentWriter,
        observers: Sequence[DocumentObserver],
        settings: BuildSettings,
        meter: ProgressMeter,
    ) -> None:
        self._writer = writer
        self._observers = observers
        self._text_field = settings.text_field
        self._aside = LeftAside(settings.include)
        self._meter = meter
        self._timer = StepTimer()
        self._source = 0
        self._hash = hashlib.sha256()
        self._last_problem: str | None = None
        self._limit = 0
        self.labels: list[str] = []
        self.problems: list[str] = []
        self.asides: list[str] = []
        self.problem_count = 0
        self.problem_files = 0
        self.skipped = 0
        self.left_aside: dict[Kind, int] = {}

    def read(self, files: Sequence[SourceFile], skipped: Sequence[Skipped], folder: Path) -> None:
        """Read everything, and write `SOURCES` into a folder."""
        self._meter.begin("reading", sum(file.size for file in files))
        self._meter.files_total = len(files)
        with (
            (folder / SOURCES).open("xb") as raw,
            zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as out,
            # What libraries warn of is in the notes, or of no use to a user.
            warnings.catch_warnings(action="ignore"),
            self._timer,
        ):
            for thing in skipped:
                record = SourceRecord(label=thing.label, file=thing.label, size=0, modified_ns=0)
                record.left_aside = thing.aside
                self._record(out, record, thing.reason)
            for file in files:
                self._timer.allow(file.size)
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
        except (OSError, durable.UnusableFileError) as error:
            self._record(out, _record_of(file, None), reason_of(error))
            return
        try:
            self._hash.update(f"{file.label}\0{content}\0".encode())
            for item in guarded(items_of(file, self._aside), self._timer):
                record = _record_of(file, content, item.label)
                content = None
                self._record(out, record, self._read_item(item, record))
        except Unreadable as reason:
            self._record(out, _record_of(file, content), str(reason))

    def _read_item(self, item: Item, record: SourceRecord) -> str | None:
        """Store the documents of one item; returns why it could not be read to its end."""
        aside = item.aside
        self._limit = self._writer.position + _TEXT_FREE + _TEXT_EXPANSION * record.size
        reason = None
        keys = 0
        try:
            aside = aside or self._by_content(item)
            documents = () if aside else read_documents(item, self._text_field)
            for member, parts in enumerate(guarded(documents, self._timer)):
                try:
                    size = self._store(parts, item, member)
                except _HoldsKeyError:
                    keys += 1
                    continue
                if size:
                    record.documents += 1
                    record.text_bytes += size
        except Unreadable as unreadable:
            reason = str(unreadable)
            if record.documents:
                kept = (
                    f"the {record.documents:,} documents before are"
                    if (record.documents > 1)
                    else "the document before is"
                )
                reason += f"; {kept} kept"
        if keys and not record.documents and reason is None:
            aside = KeyFinder.aside
        elif keys:
            item.notes.append(f"{keys:,} of its documents were left aside: they hold private keys")
        item.findings.finish()
        if item.nulls:
            item.notes.append(f"{item.nulls:,} rows have no value in {self._text_field!r}")
        if aside is not None:
            record.left_aside, reason = aside.kind, aside.reason
        elif reason is None and not record.documents:
            reason = "holds no text"
        record.notes += item.notes
        return reason

    def _by_content(self, item: Item) -> Aside | None:
        size = self._aside.wants_head(item.suffix)
        if not size:
            return None

        def head() -> Iterator[bytes]:
            with item.open() as file:
                yield file.read(size)

        return self._aside.of_content(item.suffix, next(guarded(head(), self._timer), b""))

    def _store(self, parts: Iterable[str], item: Item, member: int) -> int:
        """Store one document; returns its size, 0 when it is empty.

        Raises:
            Unreadable: it ended before its end; what was read of it belongs to no document.
            _HoldsKeyError: it is left aside.
        """
        cleaner = Cleaner()
        keys = self._aside.key_finder()
        digest = new_content_hash()
        start = self._writer.position
        blank = True
        try:
            for data in guarded(_encoded(cleaner.clean(parts)), self._timer):
                if keys is not None and keys.holds_key(data):
                    raise _HoldsKeyError
                blank = blank and data.isspace()
                digest.update(data)
                self._writer.write(data)
                if self._writer.position > self._limit:
                    raise Unreadable("gives over 1,000 times its size in text, like a bomb")
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
        record.skipped = None if reason is None else printable(reason)
        record.notes = [printable(note) for note in record.notes]
        found = list(record.notes)
        if record.left_aside is not None:
            if len(self.asides) < _PROBLEMS_SHOWN:
                self.asides.append(
                    f"{record.label}: {record.skipped}, so it is left aside; include the kind "
                    f'"{record.left_aside}" to read it'
                )
            self.left_aside[record.left_aside] = self.left_aside.get(record.left_aside, 0) + 1
        elif record.skipped is not None:
            found.insert(0, record.skipped)
            self.skipped += 1
        for text in found:
            self.problem_count += 1
            if len(self.problems) < _PROBLEMS_SHOWN:
                self.problems.append(f"{record.label}: {text}")
        if found and record.file != self._last_problem:
            self.problem_files += 1
            self._last_problem = record.file
        line = durable.dump_json(record.model_dump(mode="json", exclude_defaults=True))
        out.write(line.encode() + b"\n")
        self.labels.append(record.label)
        self._source += 1


class _HoldsKeyError(Exception):
    """The document holds a private key."""


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
