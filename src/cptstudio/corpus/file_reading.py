"""Reads source files: every document is cleaned, hashed and looked at.

The same in the process that builds and in one that only reads (`read_program`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from cptstudio import durable
from cptstudio.child_limits import PAGE_SECONDS
from cptstudio.corpus.cleaning import LONGEST_RUN, Cleaner
from cptstudio.corpus.conversations.cleaning import ConversationCleaner
from cptstudio.corpus.conversations.conversation import Conversation, ConversationError
from cptstudio.corpus.conversations.reading import leave_out, read_conversations
from cptstudio.corpus.conversations.texts import said, said_in
from cptstudio.corpus.former_documents import FormerFile
from cptstudio.corpus.left_aside import Aside, KeyFinder, LeftAside
from cptstudio.corpus.manifest import BuildSettings, SourceRecord
from cptstudio.corpus.ocr import Recognizer
from cptstudio.corpus.private_data import PrivateData
from cptstudio.corpus.read_batches import Batch, BatchBuilder
from cptstudio.corpus.readers import conversations
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.guard import ReadTimer, guarded, reason_of
from cptstudio.corpus.readers.items import Item, Unreadable, items_of
from cptstudio.corpus.sources import SourceFile
from cptstudio.corpus.split import new_content_hash

_TEXT_FREE = 1024 * durable.MEBIBYTE
_TEXT_EXPANSION = 1000
_BOMB = "expands to over 1,000 times its size (possible decompression bomb)"

Sink = Callable[[Batch | SourceRecord], None]


class FileReader:
    """Reads files one after the other; a context around all of it.

    Args:
        settings: of the build.
        sink: gets what was read: batches of documents, and the record of each source after its
            last document.
        tell: called with the place of each page whose text is recognized before it, and with None
            after it.
    """

    def __init__(
        self,
        settings: BuildSettings,
        sink: Sink,
        tell: Callable[[str | None], None] = lambda place: None,
    ) -> None:
        self._settings = settings
        self._aside = LeftAside(settings.include)
        self._sink = sink
        self._timer = ReadTimer()
        self._recognizer = recognizer_for(settings, self._timer, tell)
        # What libraries warn of is in the notes, or of no use to a user.
        self._warnings = warnings.catch_warnings(action="ignore")
        self._batch = BatchBuilder()
        self._sources = 0
        self._limit = 0

    def __enter__(self) -> FileReader:
        self._warnings.__enter__()
        self._timer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._timer.__exit__(*error)
        if self._recognizer is not None:
            self._recognizer.close()
        self._warnings.__exit__(*error)

    def read(self, file: SourceFile) -> None:
        """Read one more file."""
        self._timer.begin(file.size)
        try:
            content: str | None = durable.sha256_of_file(file.path)
        except (OSError, durable.UnusableFileError) as error:
            self._record(record_of(file, None), reason_of(error))
            return
        try:
            for item in guarded(items_of(file, self._aside), self._timer):
                record = record_of(file, content, item.label)
                content = None
                self._record(record, self._read_item(item, record))
            if content is not None:
                self._record(record_of(file, content), "no file in it")
        except Unreadable as reason:
            self._record(record_of(file, content), str(reason))

    def repeat(self, file: SourceFile, former: FormerFile) -> None:
        """Hand over what a former version has of a file that did not change."""
        for record, documents in former.sources:
            for document in documents:
                start = self._batch.position
                stored = former.store.stored_parts(document.number)
                if self._settings.kind == "conversations":
                    conversation = b"".join(stored)
                    self._batch.write(conversation, said_in(conversation).encode())
                    stored = iter(())
                for data in stored:
                    self._batch.write(data)
                    if self._batch.full:
                        self._flush()
                self._batch.end(
                    start, document.digest, self._sources, document.member, record.label
                )
            record.modified_ns = file.modified_ns
            self._record(record, record.skipped)

    def finish(self) -> None:
        """Hand over what is left; what is read after it is counted anew."""
        self._flush()
        self._batch = BatchBuilder()
        self._sources = 0

    def _read_item(self, item: Item, record: SourceRecord) -> str | None:
        """Read the documents of one item; returns why it could not be read to its end."""
        aside = item.aside
        self._limit = self._batch.position + _TEXT_FREE + _TEXT_EXPANSION * record.size
        reason = None
        keys = empty = documents_read = text_bytes = 0
        try:
            aside = aside or self._by_content(item)
            documents = () if aside else self._documents(item)
            for member, one in enumerate(guarded(documents, self._timer)):
                try:
                    if isinstance(one, Conversation):
                        size = self._read_conversation(one, item, member, record)
                    else:
                        size = self._read_document(one, item, member, record)
                except ConversationError as error:
                    leave_out(item, error)
                    continue
                except _HoldsKeyError:
                    keys += 1
                    continue
                if size:
                    documents_read += 1
                    text_bytes += size
                else:
                    empty += 1
        except Unreadable as unreadable:
            reason = str(unreadable)
        # Not for each one: a record's fields are checked when they are set.
        record.documents, record.text_bytes = documents_read, text_bytes
        if reason is not None and record.documents:
            kept = (
                f"the {record.documents:,} documents before it are"
                if (record.documents > 1)
                else "the document before it is"
            )
            reason += f"; {kept} kept"
        if keys and not record.documents and reason is None:
            aside = KeyFinder.aside
        elif keys:
            item.notes.append(f"{keys:,} documents that contain private keys were excluded")
        read_notes(item, self._settings.text_field)
        if empty and record.documents:
            item.notes.append(f"{empty:,} of {record.documents + empty:,} records have no text")
        record.conversations = sum(item.conversations.values())
        record.forms, record.no_conversations = dict(item.forms), dict(item.no_conversations)
        record.recognized, record.pictures = item.recognized, item.pictures
        if aside is not None:
            record.left_aside, reason = aside.kind, aside.reason
        elif reason is None and not record.documents and not record.conversations:
            is_talk = self._settings.kind == "conversations"
            reason = "no conversation found" if is_talk else "no text found"
        record.notes += item.notes
        record.left_out = dict(+item.left_out)
        return reason

    def _documents(self, item: Item) -> Iterator[Iterable[str] | Conversation]:
        """What an item holds, of the kind that is wanted."""
        item.main_text, item.recognizer = self._settings.main_text, self._recognizer
        item.conversations_as_text = self._settings.conversations
        if self._settings.kind == "conversations":
            return read_conversations(item, self._settings.columns)
        return read_documents(item, self._settings.text_field)

    def _by_content(self, item: Item) -> Aside | None:
        size = self._aside.wants_head(item.suffix)
        if not size:
            return None

        def head() -> Iterator[bytes]:
            with item.open() as file:
                yield file.read(size)

        return self._aside.of_content(item.suffix, next(guarded(head(), self._timer), b""))

    def _read_document(
        self, parts: Iterable[str], item: Item, member: int, record: SourceRecord
    ) -> int:
        """Read one document; returns its size, 0 when it is empty.

        Raises:
            Unreadable: it ended before its end; what was read of it belongs to no document.
            _HoldsKeyError: it is left aside.
        """
        cleaner = Cleaner()
        private = PrivateData(self._settings.mask)
        keys = self._aside.key_finder()
        digest = new_content_hash()
        start = self._batch.position
        blank = True
        try:
            for data in guarded(_encoded(cleaner, private, parts), self._timer):
                if keys is not None and keys.holds_key(data):
                    raise _HoldsKeyError
                blank = blank and data.isspace()
                digest.update(data)
                self._batch.write(data)
                if self._batch.position > self._limit:
                    raise Unreadable(_BOMB)
                if self._batch.full:
                    self._flush()
        except BaseException:
            self._batch.forget()
            raise
        _note_cleaning(item, cleaner)
        if blank:
            self._batch.forget()
            return 0
        for kind, count in private.counts.items():
            record.private[kind] = record.private.get(kind, 0) + count
        self._batch.end(start, digest.digest(), self._sources, member, item.label)
        return self._batch.position - start

    def _read_conversation(
        self, conversation: Conversation, item: Item, member: int, record: SourceRecord
    ) -> int:
        """Read one conversation; returns its size.

        Raises:
            Unreadable: as `_read_document`.
            ConversationError: nothing is left of one of its turns.
            _HoldsKeyError: it is left aside.
        """
        cleaner = ConversationCleaner(self._settings.mask)
        clean = cleaner.clean(conversation)
        words, data = said(clean).encode(), clean.to_json().encode()
        keys = self._aside.key_finder()
        if keys is not None and keys.holds_key(words):
            raise _HoldsKeyError
        if self._batch.position + len(data) > self._limit:
            raise Unreadable(_BOMB)
        digest = new_content_hash()
        digest.update(data)
        start = self._batch.position
        self._batch.write(data, words)
        _note_cleaning(item, cleaner)
        for kind, count in cleaner.private.items():
            record.private[kind] = record.private.get(kind, 0) + count
        self._batch.end(start, digest.digest(), self._sources, member, item.label)
        if self._batch.full:
            self._flush()
        return len(data)

    def _record(self, record: SourceRecord, reason: str | None) -> None:
        record.skipped = reason
        self._sources += 1
        self._sink(record)

    def _flush(self) -> None:
        batch = self._batch.take()
        if batch is not None:
            self._sink(batch)


class _HoldsKeyError(Exception):
    """The document holds a private key."""


def _note_cleaning(item: Item, cleaner: Cleaner | ConversationCleaner) -> None:
    if cleaner.replaced_surrogates:
        item.notes.append(
            f"{cleaner.replaced_surrogates:,} lone surrogates were replaced with U+FFFD"
        )
    if cleaner.long_runs:
        item.notes.append(
            f"sequences of over {LONGEST_RUN} combining marks were not normalized "
            f"({cleaner.long_runs:,} times)"
        )


def recognizer_for(
    settings: BuildSettings,
    timer: ReadTimer,
    tell: Callable[[str | None], None],
    most: int | None = None,
) -> Recognizer | None:
    """Return what recognizes the text of pages that are pictures, if that is wanted.

    Args:
        settings: of the build.
        timer: of the file, whose limit is longer by each page.
        tell: is told of each page before it, and None after it.
        most: pages at most; None for any number.
    """
    if not settings.ocr:
        return None

    def begin(place: str | None) -> None:
        if place is not None:
            timer.extend(PAGE_SECONDS)
        tell(place)

    return Recognizer(settings.ocr_language, most=most, tell=begin)


def record_of(file: SourceFile, sha256: str | None, label: str | None = None) -> SourceRecord:
    """Return the record of a file, or of something in it, of which nothing is known yet."""
    return SourceRecord(
        label=label or file.label,
        file=file.label,
        size=file.size,
        modified_ns=file.modified_ns,
        sha256=sha256,
    )


def read_notes(item: Item, field: str) -> list[str]:
    """Return what was found in an item that was read, for its record; called once."""
    item.findings.finish()
    if item.nulls:
        item.notes.append(f"{item.nulls:,} rows have no value in {field!r}")
    item.notes += conversations.in_words(item.conversations)
    return item.notes


def left_out_in_words(counts: Mapping[str, int]) -> list[str]:
    """Return what a file has that is in no document by design, as notes."""
    return [f"{count:,} {what} left out" for what, count in counts.items() if count]


def _encoded(cleaner: Cleaner, private: PrivateData, parts: Iterable[str]) -> Iterator[bytes]:
    if isinstance(parts, tuple) and len(parts) == 1:
        # A whole record, of which there are millions: it need not be cut.
        if text := private.part(cleaner.part(parts[0])):
            yield text.encode("utf-8")
        return
    for part in private.clean(cleaner.clean(parts)):
        yield part.encode("utf-8")
