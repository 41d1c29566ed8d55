"""Annotations on a PDF page: filled form fields, text boxes, stamps, comments.

PDFium leaves annotations out of a page's text. What has a drawn form is made part of the page;
a text box without one, which viewers draw themselves, becomes lines in its place. Comments, of
which a page shows a sign only, are counted.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from cptstudio.corpus.readers.pdf_lines import Line, Word

_MOST = 1_000
_LONGEST = 100_000
_SIZE = 10.0
_LEADING = 1.2
_WIDTH = 0.5
"""Of the size: a character that nobody has drawn."""
_DRAWN = (pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP)
_COMMENTS = (pdfium.FPDF_ANNOT_TEXT,)


@dataclass
class Annotations:
    """A page's annotations.

    Attributes:
        drawn: some of it has a drawn form.
        comments: of which a page shows a sign only.
        boxes: text without a drawn form, with its left and upper edge in points.
    """

    drawn: bool = False
    comments: int = 0
    boxes: list[tuple[str, float, float]] = field(default_factory=list)

    def lines(self, left: float, bottom: float) -> list[Line]:
        """Return the boxes as lines, on a page that begins at these edges."""
        return [
            _line(text, x - left, y - bottom - number * _LEADING * _SIZE)
            for box, x, y in self.boxes
            for number, text in enumerate(box.splitlines())
            if text.strip()
        ]


def annotations_of(page: Any) -> Annotations:
    """Return what is written onto a page of a `pypdfium2.PdfDocument`."""
    found = Annotations()
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page.raw), _MOST)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            hidden = pdfium.FPDFAnnot_GetFlags(annotation) & (
                pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
            )
            if kind in _COMMENTS:
                found.comments += 1
            elif kind in _DRAWN and not hidden:
                has_form = pdfium.FPDFAnnot_GetAP(annotation, 0, None, 0) > 2
                found.drawn = found.drawn or has_form
                if not has_form and kind == pdfium.FPDF_ANNOT_FREETEXT:
                    _add_box(annotation, found)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return found


def make_part_of(page: Any) -> bool:
    """Make what is drawn onto a page part of it; it has to be loaded again where this is True."""
    done: int = pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY)
    return done == int(pdfium.FLATTEN_SUCCESS)


def _add_box(annotation: Any, found: Annotations) -> None:
    size = pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", None, 0)
    buffer = (ctypes.c_ushort * (min(size, _LONGEST) // 2 + 1))()
    pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, ctypes.sizeof(buffer))
    text = bytes(buffer).decode("utf-16-le", "replace").partition("\0")[0]
    place = pdfium.FS_RECTF()
    if text.strip() and pdfium.FPDFAnnot_GetRect(annotation, place):
        found.boxes.append((text, place.left, max(place.top, place.bottom)))


def _line(text: str, left: float, top: float) -> Line:
    words, width = [], _WIDTH * _SIZE
    bottom = top - _SIZE
    place = left
    for word in text.split():
        end = place + width * len(word)
        words.append(Word(word, place, end, bottom, top, 0))
        place = end + width
    return Line(words, left, place - width, bottom, top, _SIZE, bottom + 0.2 * _SIZE)
