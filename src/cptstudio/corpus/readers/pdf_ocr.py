"""Pages of a PDF that are pictures, or whose text is hardly what they show, read by recognition.

A page is drawn in shades of gray, and what the engine finds on it becomes words and lines with
their places, so that heads, columns and paragraphs are found as on any other page.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cptstudio.corpus.ocr import RecognizedLine, Recognizer
from cptstudio.corpus.ocr_program import DPI
from cptstudio.corpus.readers.items import Item
from cptstudio.corpus.readers.pdf_doubt import is_doubtful
from cptstudio.corpus.readers.pdf_lines import Line, PageText, Word, ends_with_hyphen, usual_size
from cptstudio.errors import UserError

_PIXELS = 40_000_000
_LONGEST = 30_000
"""Pixels of a page, and of its longer side: a larger one is drawn more coarsely."""
_GIVEN_UP = 5
"""Pages in a row."""
_DOUBTFUL = 70.0
_NOTHING = 45.0
"""Of 100, how sure the engine is of a page's words; below the second they are a picture's grain."""
_SAME_SIZE = 0.13
_MORE_WORDS = 2


@dataclass(frozen=True)
class _Picture:
    """A page as PGM, with the pixels of a point."""

    data: bytes
    width: int
    height: int
    scale: float


class PageRecognition:
    """Reads pages of one document.

    Attributes:
        pages: that were read.
        doubtful: of them, those that the engine is not sure of.
        blank: on which it found nothing.
        unread: that would have been read if it read more, or had not been given up.
    """

    def __init__(self, item: Item, recognizer: Recognizer, document: Any) -> None:
        self._item, self._recognizer, self._document = item, recognizer, document
        self._failed = 0
        self.pages = self.doubtful = self.blank = self.unread = 0

    def better(self, page: PageText) -> PageText:
        """Return a page as it is, or as the engine reads it."""
        if not (page.pictures or page.doubtful):
            return page
        if self._recognizer.exhausted or self._failed >= _GIVEN_UP:
            self.unread += 1
            return page
        place = f"page {page.number + 1:,}"
        try:
            picture = _drawn(self._document, page.number)
            lines, turn = self._recognizer.read(picture.data, f"{place} of {len(self._document):,}")
        except UserError as error:
            self._failed += 1
            self._item.findings.add(f"OCR failed on {place}: {error.message.rstrip('. ')}")
            if self._failed == _GIVEN_UP:
                self._item.notes.append(f"OCR was given up after {_GIVEN_UP} pages in a row")
            return page
        self._failed = 0
        return self._chosen(page, lines, _page_of(page.number, lines, turn, picture))

    def _chosen(self, page: PageText, lines: list[RecognizedLine], read: PageText) -> PageText:
        sure = [word.confidence for line in lines for word in line.words]
        confidence = statistics.fmean(sure) if sure else 0.0
        words = sum(len(line.words) for line in page.lines)
        if confidence < _NOTHING or (page.pictures and len(sure) < _MORE_WORDS * words):
            # Of a picture with a few words of its own these are exact.
            self.blank += page.pictures and not words
            return page
        self.pages += 1
        text = " ".join([line.text() for line in read.lines])
        self.doubtful += confidence < _DOUBTFUL or is_doubtful(text, recognized=True)
        return read


def _drawn(document: Any, number: int) -> _Picture:
    page = document[number]
    try:
        width, height = page.get_size()
        scale = DPI / 72
        scale = min(scale, math.sqrt(_PIXELS / max(width * height, 1.0)))
        scale = min(scale, _LONGEST / max(width, height, 1.0))
        bitmap = page.render(scale=scale, grayscale=True)
        try:
            rows, stride = bitmap.height, bitmap.stride
            data = bytes(bitmap.buffer)
            if stride != bitmap.width:
                data = b"".join(
                    data[row * stride : row * stride + bitmap.width] for row in range(rows)
                )
            head = b"P5 %d %d 255\n" % (bitmap.width, rows)
            return _Picture(head + data, bitmap.width, rows, scale)
        finally:
            bitmap.close()
    finally:
        page.close()


def _page_of(number: int, lines: list[RecognizedLine], turn: int, picture: _Picture) -> PageText:
    scale = picture.scale
    width, height = picture.width / scale, picture.height / scale
    if turn in (90, 270):
        width, height = height, width
    page = PageText(number, width, height)
    slopes = [line.slope for line in lines if len(line.words) > 2 and not line.turned]
    slope = statistics.median(slopes) if slopes else 0.0
    page.lines = [_line_of(line, scale, height, slope) for line in lines]
    usual = usual_size(page.lines)
    for line in page.lines:
        # An engine measures each line by the letters that it happens to have.
        if abs(line.size - usual) < _SAME_SIZE * usual:
            line.size = usual
    return page


def _line_of(line: RecognizedLine, scale: float, height: float, slope: float) -> Line:
    """A line in points from the lower left, as if the page had not been laid down askew."""
    size = max(line.size / scale, 0.01)
    middle = (line.words[0].left + line.words[-1].right) / 2
    base = height - (line.base - slope * middle) / scale
    shift = slope * line.base
    low, high = base - 0.22 * size, base + 0.78 * size
    if line.turned:
        low = height - max(word.bottom for word in line.words) / scale
        high = height - min(word.top for word in line.words) / scale
    words = [
        Word(word.text, (word.left + shift) / scale, (word.right + shift) / scale, low, high, 0)
        for word in line.words
    ]
    return Line(
        words,
        min(word.left for word in words),
        max(word.right for word in words),
        low,
        high,
        size,
        base,
        hyphen=ends_with_hyphen(words[-1].text),
        turned=line.turned != 0,
        gap=max((b.left - a.right for a, b in pairwise(words)), default=0.0),
    )
