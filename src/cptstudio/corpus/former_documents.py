"""Documents of files that did not change since a corpus was built: they are not read again.

The former version of the corpus has them, cleaned, with what was noted of them. So there is no
other cache, and nothing of a document stays when its corpus is deleted. A file's size and time of
change are a hint, its content's SHA-256 is the truth (`versions.is_unchanged`). Files that could
not be read to their end are tried again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.manifest import AFTER_READING, BuildSettings, SourceRecord
from cptstudio.corpus.reader_versions import reader_versions
from cptstudio.corpus.sources import SourceFile
from cptstudio.corpus.versions import is_unchanged
from cptstudio.errors import UserError


@dataclass(frozen=True)
class FormerDocument:
    """A document of a former version, by its number there; `member` as in `RECORD`."""

    number: int
    digest: bytes
    member: int


@dataclass(frozen=True)
class FormerFile:
    """A file as a former version has it.

    Attributes:
        sources: records of what it held, each with its documents.
        store: has their text.
    """

    sources: list[tuple[SourceRecord, list[FormerDocument]]]
    store: DocumentStore


class FormerDocuments:
    """Finds unchanged files in the former version of a corpus; to be closed.

    Args:
        former: the corpus as it is; None where there is none.
        settings: of the build.
    """

    def __init__(self, former: Corpus | None, settings: BuildSettings) -> None:
        self._store: DocumentStore | None = None
        self._groups: Iterator[tuple[list[str], list[tuple[int, SourceRecord]]]] = iter(())
        self._next: tuple[list[str], list[tuple[int, SourceRecord]]] | None = None
        if former is None or not _reads_alike(former, settings):
            return
        try:
            self._store = former.documents
        except UserError:
            return
        self._scanned_ns = former.manifest.scanned_ns
        self._records: Any = self._store.records
        self._sources = np.ascontiguousarray(self._records["source"])
        self._groups = _by_file(former)

    def find(self, file: SourceFile) -> FormerFile | None:
        """Return what is there of a file that did not change.

        Args:
            file: files are to be asked for in the order of sources, so that the former ones pass
                by once and are never in memory all together.
        """
        key = file.label.split("/")
        try:
            while self._next is None or self._next[0] < key:
                self._next = next(self._groups)
        except (StopIteration, UserError, ValueError):
            self._next = ([], [])
            self._groups = iter(())
        if self._next[0] != key:
            return None
        records = self._next[1]
        broken = any(one.skipped and not one.left_aside for _, one in records)
        # Two files whose names look the same have one label.
        alone = sum(one.sha256 is not None for _, one in records) == 1
        if broken or not alone or not is_unchanged(file, records[0][1], self._scanned_ns):
            return None
        return self._whole([(record, self._documents(number)) for number, record in records])

    def close(self) -> None:
        """Close the former version."""
        if self._store is not None:
            self._store.close()

    def _documents(self, source: int) -> list[FormerDocument]:
        first, end = np.searchsorted(self._sources, [source, source + 1]).tolist()
        here = self._records[first:end]
        return [
            FormerDocument(first + place, bytes(digest), member)
            for place, (digest, member) in enumerate(
                zip(here["hash"], here["member"].tolist(), strict=True)
            )
        ]

    def _whole(self, sources: list[tuple[SourceRecord, list[FormerDocument]]]) -> FormerFile | None:
        """The file, if its text is there and intact, as its check sums say."""
        assert self._store is not None
        try:
            for record, documents in sources:
                if len(documents) != record.documents:
                    return None
                for document in documents:
                    for _ in self._store.stored_parts(document.number):
                        pass
        except (UserError, OSError):
            return None
        return FormerFile(sources, self._store)


def _reads_alike(former: Corpus, settings: BuildSettings) -> bool:
    manifest = former.manifest
    return manifest.reader_versions == reader_versions(settings) and manifest.settings.model_dump(
        exclude=AFTER_READING
    ) == settings.model_dump(exclude=AFTER_READING)


def _by_file(former: Corpus) -> Iterator[tuple[list[str], list[tuple[int, SourceRecord]]]]:
    # What was left aside without being opened comes before all files.
    numbered = (one for one in enumerate(former.sources()) if one[1].modified_ns)
    for label, records in groupby(numbered, key=lambda one: one[1].file):
        yield label.split("/"), list(records)
