"""The first part of a build: every source is read and stored, in one order.

Files are read in this process, or in others (`reader_pool`); what comes of it is stored in the
order of the files, so a corpus is the same however many there are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from cptstudio import durable
from cptstudio.corpus.build_progress import ProgressMeter
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentWriter
from cptstudio.corpus.former_documents import FormerDocuments
from cptstudio.corpus.inspection import Inspection
from cptstudio.corpus.left_aside import Kind
from cptstudio.corpus.manifest import BuildSettings, SourceRecord
from cptstudio.corpus.near_duplicates import NearDuplicateIndex
from cptstudio.corpus.ocr import engine_in_words
from cptstudio.corpus.private_data import PRIVATE, Private
from cptstudio.corpus.read_batches import Batch
from cptstudio.corpus.reader_pool import ReaderPool
from cptstudio.corpus.source_list import SourceListWriter
from cptstudio.corpus.sources import Skipped, SourceFile, printable

_PROBLEMS_SHOWN = 200
_READ = "read"


class SourceReader:
    """Reads sources into a document writer.

    Args:
        writer: gets the documents.
        index: gets their signatures.
        settings: of the build.
        meter: is told how far it is.
        workers: processes that read, at most; None for one a core.

    Attributes:
        labels: of the sources so far, by number.
        files: given, without those that were left aside unread.
        problems: the first report lines, "label: reason".
        problem_count: how many there are.
        problem_files: of how many files.
        asides: the first lines about what was left aside, "label: reason".
        skipped: files, or parts of them, that could not be read.
        left_aside: what was left aside on purpose, by kind.
        left_out: what of the files is in no document by design, by its name.
        conversations: records that are conversations, and so no documents.
        forms, no_conversations: of a corpus of conversations, as in `SourceRecord`.
        recognized, pictures: pages, as in `SourceRecord`.
        private: e-mail addresses and the like that were found, by kind.
        inspection: what was seen in the documents.
        fingerprint: SHA-256 of the labels and contents of the source files, when finished.
    """

    def __init__(
        self,
        writer: DocumentWriter,
        index: NearDuplicateIndex,
        settings: BuildSettings,
        meter: ProgressMeter,
        workers: int | None = None,
    ) -> None:
        self._writer = writer
        self._index = index
        self._settings = settings
        self._meter = meter
        self._workers = workers
        self._text_before = self._sources_before = 0
        self._source = 0
        self._hash = hashlib.sha256()
        self._last_problem: str | None = None
        self.files = 0
        self.inspection = Inspection()
        self.labels: list[str] = []
        self.problems: list[str] = []
        self.asides: list[str] = []
        self.problem_count = 0
        self.problem_files = 0
        self.skipped = 0
        self.left_aside: dict[Kind, int] = {}
        self.left_out: Counter[str] = Counter()
        self.conversations = 0
        self.forms: Counter[str] = Counter()
        self.no_conversations: Counter[str] = Counter()
        self.recognized = self.pictures = 0
        self.private: dict[Private, int] = dict.fromkeys(PRIVATE, 0)

    def read(
        self,
        files: Sequence[SourceFile],
        skipped: Sequence[Skipped],
        folder: Path,
        former: Corpus | None = None,
    ) -> None:
        """Read everything, and write the list of sources into a folder.

        Args:
            files: in order.
            skipped: what else there is.
            folder: of the documents.
            former: the corpus as it is, which has the documents of files that did not change.
        """
        self._meter.begin("reading", sum(file.size for file in files))
        self._meter.files_total = len(files)
        self.files = len(files) + sum(thing.aside is None for thing in skipped)
        scratch = folder / _READ
        scratch.mkdir()
        with (
            SourceListWriter(folder) as out,
            closing(FormerDocuments(former, self._settings)) as known,
            ReaderPool(self._settings, scratch, self._meter, self._workers) as pool,
        ):
            for thing in skipped:
                record = SourceRecord(label=thing.label, file=thing.label, size=0, modified_ns=0)
                record.left_aside, record.skipped = thing.aside, thing.reason
                self._record(out, record)

            def begin() -> None:
                self._text_before, self._sources_before = self._writer.position, self._source

            def take(one: Batch | SourceRecord) -> None:
                if isinstance(one, SourceRecord):
                    self._record(out, one)
                else:
                    self._store(one)

            pool.read(files, known, begin, take)
        scratch.rmdir()
        self._meter.tell(final=True)

    @property
    def recognized_by(self) -> str | None:
        """The engine that recognized pages, None where there were none."""
        return engine_in_words(self._settings.ocr_language) if self.recognized else None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what was read."""
        return self._hash.hexdigest()

    def _store(self, batch: Batch) -> None:
        first = self._writer.count
        records = batch.records.copy()
        records["start"] += self._text_before
        records["source"] += self._sources_before
        self._writer.add(batch.text, records)
        self._index.add(batch.signatures, first)
        self.inspection.add(batch.inspected, first)

    def _record(self, out: SourceListWriter, record: SourceRecord) -> None:
        if record.skipped is not None:
            record.skipped = printable(record.skipped)
        record.notes = [printable(note) for note in record.notes]
        found = list(record.notes)
        if record.left_aside is not None:
            if len(self.asides) < _PROBLEMS_SHOWN:
                self.asides.append(
                    f"{record.label}: {record.skipped}; add --include {record.left_aside} "
                    "to read it"
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
        self.left_out.update(record.left_out)
        self.conversations += record.conversations
        self.forms.update(record.forms)
        self.no_conversations.update(record.no_conversations)
        self.recognized += record.recognized
        self.pictures += record.pictures
        for kind, count in record.private.items():
            self.private[kind] += count
        if record.sha256 is not None:
            self._hash.update(f"{record.file}\0{record.sha256}\0".encode())
        line = durable.dump_json(record.model_dump(mode="json", exclude_defaults=True))
        out.add(line.encode())
        self.labels.append(record.label)
        self._source += 1
