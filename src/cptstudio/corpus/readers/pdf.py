"""PDF files: each is one document, read by PDFium."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from cptstudio.corpus.readers.guard import attempt
from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.packages import seekable
from cptstudio.corpus.readers.pdf_columns import arrange
from cptstudio.corpus.readers.pdf_heads import drop_running_heads
from cptstudio.corpus.readers.pdf_layout import Composer
from cptstudio.corpus.readers.pdf_lines import PageText
from cptstudio.corpus.readers.pdf_ocr import PageRecognition
from cptstudio.corpus.readers.pdf_page import read_page
from cptstudio.corpus.readers.pdf_words import Vocabulary
from cptstudio.corpus.readers.words import words_of

_PAGES_GIVEN_UP = 100
_TOGETHER = 100
"""Pages that are looked at together for running heads; what bounds the memory of a long file."""
BETWEEN = "\n\n"


def pdf(item: Item, field: str) -> Iterator[Iterable[str]]:
    """Yield the paragraphs of a PDF file; pages without text are counted, damaged ones named."""
    import pypdfium2

    with seekable(item) as file:
        try:
            document = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as error:
            raise Unreadable(_why_not_opened(error)) from None
        except Exception as error:
            raise Unreadable(f"unreadable PDF file: {words_of(error)}") from None
        try:
            yield _blocks(item, document)
        finally:
            document.close()


def _why_not_opened(error: Exception) -> str:
    code = getattr(error, "err_code", None)
    if code == pdfium.FPDF_ERR_PASSWORD:
        return "password-protected"
    if code == pdfium.FPDF_ERR_SECURITY:
        return "uses an unsupported encryption"
    return "damaged PDF file"


def _blocks(item: Item, document: Any) -> Iterator[str]:
    vocabulary = Vocabulary()
    composer = Composer(vocabulary)
    recognition = (
        PageRecognition(item, item.recognizer, document) if item.recognizer is not None else None
    )
    if not pdfium.FPDF_DocumentHasValidCrossReferenceTable(document.raw):
        item.notes.append(
            "damaged PDF file: its object table was rebuilt, so something may be missing"
        )
    tally = _Tally(item, len(document), recognition)
    between = ""
    number = 0
    while number < tally.pages:
        pages = _some_pages(item, document, number, tally)
        number += _TOGETHER
        item.left_out["running heads and page numbers"] += drop_running_heads(pages)
        for page in pages:
            vocabulary.add(page.lines)
        for page in pages:
            arrange(page)
            for block in composer.add(page):
                yield between + block
                between = BETWEEN
        if tally.failed_in_a_row >= _PAGES_GIVEN_UP and number < tally.pages:
            item.notes.append(
                f"of {tally.pages:,} pages, those from page {number + 1:,} on were left out"
            )
            break
    for block in composer.finish():
        yield between + block
        between = BETWEEN
    tally.tell()


def _some_pages(item: Item, document: Any, start: int, tally: _Tally) -> list[PageText]:
    """The pages that can be read of those that are looked at together."""
    pages = []
    with _no_collection():
        for number in range(start, min(start + _TOGETHER, tally.pages)):
            page = attempt(item, f"page {number + 1:,}", partial(read_page, document, number))
            if page is not None and tally.recognition is not None:
                page = attempt(
                    item, f"page {number + 1:,}", partial(tally.recognition.better, page)
                )
            tally.count(page)
            if page is not None:
                pages.append(page)
    return pages


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let Python not look for cycles meanwhile: words are in none, and looking costs a sixth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Tally:
    """Counts what is told of a file."""

    def __init__(self, item: Item, pages: int, recognition: PageRecognition | None) -> None:
        self._item = item
        self.pages = pages
        self.recognition = recognition
        self.failed_in_a_row = 0
        self._failed = self._empty = self._pictures = 0
        self._unmapped = self._outside = self._invisible = self._doubtful = 0
        self._comments = self._sizeless = 0

    def count(self, page: PageText | None) -> None:
        """Count one page; None stands for one that cannot be read."""
        if page is None:
            self._failed += 1
            self.failed_in_a_row += 1
            return
        self.failed_in_a_row = 0
        self._empty += not page.lines and not page.pictures
        self._pictures += page.pictures
        self._unmapped += page.unmapped
        self._outside += page.outside
        self._invisible += page.invisible
        self._doubtful += page.doubtful
        self._comments += page.comments
        self._sizeless += page.sizeless

    def tell(self) -> None:
        """Note what was counted.

        Raises:
            Unreadable: no page can be read.
        """
        pages = f"of {self.pages:,} pages"
        counted = (
            (
                self._unmapped,
                "characters have no Unicode value in their font and were replaced with U+FFFD",
            ),
            *self._recognized(pages),
            (
                self._sizeless,
                f"{pages} contain text of size zero, which is invisible; they may be damaged",
            ),
            (self._pictures, f"{pages} are images with little or no text"),
            (self._empty, f"{pages} have no text"),
            (self._invisible, f"{pages} have OCR text behind an image"),
            (
                self._doubtful,
                f"{pages} have text that hardly matches what they show: fonts without "
                "character names, or poor OCR",
            ),
        )
        self._item.left_out["comments"] += self._comments
        self._item.left_out["words outside the visible page area"] += self._outside
        self._item.notes += [f"{count:,} {what}" for count, what in counted if count]
        self._item.pictures += self._pictures
        if self._failed == self.pages:
            raise Unreadable("none of its pages could be read")

    def _recognized(self, pages: str) -> list[tuple[int, str]]:
        read = self.recognition
        if read is None:
            return []
        self._item.recognized += read.pages
        return [
            (
                read.doubtful,
                f"{pages} were read by OCR and probably have many errors",
            ),
            (read.blank, f"{pages} are images in which OCR found no text"),
            (read.unread, f"{pages} are only read in a build; a preview runs OCR on a few pages"),
        ]
