"""Shows one document before and after cleaning: what is dropped, what is masked, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np

from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.conversations.cleaning import ConversationCleaner
from cptstudio.corpus.conversations.conversation import ConversationError
from cptstudio.corpus.conversations.reading import leave_out, read_conversations
from cptstudio.corpus.conversations.texts import readable
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.file_reading import left_out_in_words, read_notes, recognizer_for
from cptstudio.corpus.left_aside import LeftAside
from cptstudio.corpus.listed import Piece, Preview
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.corpus.ocr import USUAL, engine_for, engine_in_words
from cptstudio.corpus.private_data import MASKS, Private, spans
from cptstudio.corpus.readers.dispatch import read_documents
from cptstudio.corpus.readers.guard import ReadTimer, guarded
from cptstudio.corpus.readers.items import Item, Unreadable, items_of
from cptstudio.corpus.sources import SourceFile
from cptstudio.errors import UserError

MOST = 100_000
"""Characters of a document that are shown."""
_RECOGNIZED = 5
BOILERPLATE = "repeated in many documents; one of them keeps it"


def preview_file(
    path: Path,
    settings: BuildSettings,
    *,
    label: str | None = None,
    item: str | None = None,
    document: int = 1,
    tell: Callable[[str | None], None] = lambda place: None,
) -> Preview:
    """Read one document of a file.

    Args:
        path: the file.
        settings: how it is read and cleaned.
        label: the file's name in reports.
        item: in an archive, the label of the member; the first one with a document where left out.
        document: its number in the file, or the member, from 1; one without text is passed over.
        tell: called before and after each page whose text is recognized, of which there are few.

    Raises:
        UserError: there is no such document, or the file cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{label or path} is not a file. Choose a file.")
    information = path.stat()
    name = label or path.name
    file = SourceFile(str(path), name, information.st_size, information.st_mtime_ns)
    timer = ReadTimer()
    timer.begin(file.size)
    why = f"{name} has no document {document:,}."
    if settings.ocr:
        engine_for(settings.ocr_language or USUAL)
    recognizer = recognizer_for(settings, timer, tell, _RECOGNIZED)
    try:
        with timer, closing(recognizer) if recognizer is not None else nullcontext():
            for one in guarded(items_of(file, LeftAside(settings.include)), timer):
                if item is not None and one.label != item:
                    continue
                if one.aside is not None:
                    why = f"{one.label} is excluded: {one.aside.reason}."
                    continue
                one.main_text, one.recognizer = settings.main_text, recognizer
                one.conversations_as_text = settings.conversations
                found = _in_item(one, settings, document, timer)
                if found is not None:
                    return found
                notes = read_notes(one, settings.text_field)
                why = f"{one.label} has no document {document:,}." + (
                    f" Warnings: {'; '.join(notes)}." if notes else ""
                )
    except Unreadable as reason:
        why = f"{name}: {reason}."
    raise UserError(why)


def _in_item(
    item: Item, settings: BuildSettings, document: int, timer: ReadTimer
) -> Preview | None:
    for number, parts in enumerate(guarded(_documents(item, settings), timer), 1):
        if number < document:
            continue
        cleaner = Cleaner()
        text, size = "", 0
        for part in guarded(cleaner.clean(parts), timer):
            size += len(part)
            text += part
            if size > MOST:
                break
        # One without text is none; the next one is shown.
        if not text.strip():
            continue
        notes = read_notes(item, settings.text_field) + left_out_in_words(item.left_out)
        if item.recognized:
            engine = engine_in_words(settings.ocr_language)
            notes.append(f"{item.recognized:,} pages were read by OCR ({engine})")
        if cleaner.dropped_controls:
            notes.append(f"{cleaner.dropped_controls:,} control characters were removed")
        pieces = masked_pieces(text[:MOST], settings.mask)
        return _preview(item.label, number, pieces, shortened=size > MOST, read=True, notes=notes)
    return None


def _documents(item: Item, settings: BuildSettings) -> Iterator[Iterable[str]]:
    """The documents of an item; conversations as people read them."""
    if settings.kind == "documents":
        yield from read_documents(item, settings.text_field)
        return
    for conversation in read_conversations(item, settings.columns):
        try:
            yield (readable(ConversationCleaner().clean(conversation)),)
        except ConversationError as error:
            leave_out(item, error)
            yield ()


def preview_of_corpus(corpus: Corpus, number: int, source: Path | None) -> Preview:
    """Show a document of a corpus, with what the build dropped of it.

    Args:
        corpus: the corpus.
        number: of the document in its store.
        source: the file it was read from; None where it is not there, or is not to be read.

    Raises:
        UserError: there is no such document, or the file cannot be read.
    """
    store = corpus.readable
    try:
        if not 0 <= number < len(store):
            raise UserError(f"The corpus {corpus.name!r} has no document {number:,}.")
        record = store.records[number]
        member = int(record["member"])
        sources = list(corpus.sources_between(int(record["source"]), 1))
        label = sources[0].label if sources else ""
        cuts = [(int(cut["begin"]), int(cut["length"])) for cut in store.cuts_of(number)]
        data = b""
        for part in store.stored_parts(number) if store.as_stored else store.parts(number):
            data += part
            if len(data) > 4 * MOST:
                break
        notes = [one for r in sources for one in (*r.notes, *left_out_in_words(r.left_out))]
        near = store.records[max(0, number - 1) : number + 2]
        whole = np.sum((near["source"] == record["source"]) & (near["member"] == member)) == 1
    finally:
        store.close()
    stored = data.decode("utf-8", "ignore")
    mask = corpus.manifest.settings.mask
    pieces: list[Piece] | None = None
    if source is not None and mask and whole:
        # Only the file still has what is masked, but of a section it has too much.
        try:
            read = preview_file(
                source, corpus.manifest.settings, label=label.split("!")[0], item=label,
                document=member + 1,
            )  # fmt: skip
        except (UserError, OSError):
            read = None
        if read is not None and stored.startswith(_after(read.pieces)[: MOST // 2]):
            pieces = read.pieces
    was_read = pieces is not None
    if pieces is None:
        pieces = masked_pieces(stored[:MOST], ())
    pieces = _without(pieces, cuts)
    return _preview(
        label, member + 1, pieces, shortened=len(stored) > MOST, read=was_read, notes=notes
    )


def masked_pieces(text: str, mask: Iterable[Private]) -> list[Piece]:
    """Return a text in pieces: what is masked, what could be, and all else."""
    wanted = frozenset(mask)
    pieces, place = [], 0
    for begin, end, kind in spans(text):
        if begin > place:
            pieces.append(Piece(text=text[place:begin]))
        if kind in wanted:
            pieces.append(
                Piece(kind="masked", text=text[begin:end], becomes=MASKS[kind], found=kind)
            )
        else:
            pieces.append(Piece(kind="found", text=text[begin:end], found=kind))
        place = end
    if place < len(text):
        pieces.append(Piece(text=text[place:]))
    return pieces


def _without(pieces: list[Piece], cuts: list[tuple[int, int]]) -> list[Piece]:
    """The pieces, of which parts are dropped: bytes of the text that they become."""
    for begin, length in cuts:
        made, place = [], 0
        for piece in pieces:
            text = piece.text if piece.becomes is None else piece.becomes
            data = text.encode()
            low, high = max(0, begin - place), min(len(data), begin + length - place)
            place += len(data)
            if low >= high or piece.kind == "dropped":
                made.append(piece)
                continue
            if piece.becomes is not None:
                made.append(_dropped(piece.text))
                continue
            for part, dropped in (
                (data[:low], False),
                (data[low:high], True),
                (data[high:], False),
            ):
                if part:
                    shown = part.decode("utf-8", "ignore")
                    made.append(
                        _dropped(shown) if dropped else piece.model_copy(update={"text": shown})
                    )
        pieces = made
    return pieces


def _dropped(text: str) -> Piece:
    return Piece(kind="dropped", text=text, reason=BOILERPLATE)


def _after(pieces: list[Piece]) -> str:
    return "".join(
        "" if one.kind == "dropped" else one.text if one.becomes is None else one.becomes
        for one in pieces
    )


def _preview(
    label: str, document: int, pieces: list[Piece], *, shortened: bool, read: bool, notes: list[str]
) -> Preview:
    return Preview(
        label=label,
        document=document,
        pieces=pieces,
        before=sum(len(one.text) for one in pieces),
        after=len(_after(pieces)),
        shortened=shortened,
        read=read,
        notes=notes,
    )
