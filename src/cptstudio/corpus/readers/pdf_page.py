"""The lines of a PDF's page: PDFium's characters, with their places, as lines of words.

PDFium gives a page's text in the order in which the page draws it, with spaces and line breaks that
it finds by geometry, and marks the hyphen that ends a line. Words are cut from that text, and only
their first and last characters are asked for their place: Python's way into the library costs a
microsecond a call. Lines are then put together by place, because PDFium breaks a line at every
raised letter.
"""

from __future__ import annotations

import ctypes
import math
import re
from collections import Counter, deque
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pypdfium2.raw as pdfium  # type: ignore[import-untyped]

from cptstudio.corpus.readers.pdf_annotations import annotations_of, make_part_of
from cptstudio.corpus.readers.pdf_characters import NO_VALUE, ODD, expanded, mapped, needs_expanding
from cptstudio.corpus.readers.pdf_direction import (
    RIGHT_TO_LEFT,
    is_right_to_left,
    mirrored,
    reading_order,
    turned_round,
)
from cptstudio.corpus.readers.pdf_doubt import is_doubtful
from cptstudio.corpus.readers.pdf_lines import Line, PageText, Word, ends_with_hyphen

Boxes = npt.NDArray[np.float64]
Column = npt.NDArray[np.float64]
_HYPHEN = "\ufffe"
"""What PDFium makes of a hyphen that ends a line; also of a character without a value."""
_WORD = re.compile(f"[^\\s{_HYPHEN}]+{_HYPHEN}?|{_HYPHEN}")
_MONO = re.compile(rb"mono|monl|courier|typewr|consol|menlo|cmtt|sltt|fixed|lettergothic", re.I)
_BOLD = re.compile(rb"bold|black|heavy|demi|cmb|sfbx|ecbx|-bd", re.I)
_BREAKS = ("", "\n", "\r\n")
_BOX_BYTES = ctypes.sizeof(pdfium.FS_RECTF)
# Called with plain addresses, which takes half the time of making pointers for each call.
_loose_box = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ctypes.cast(pdfium.FPDFText_GetLooseCharBox, ctypes.c_void_p).value or 0
)
_WORDS_ASKED = 40
_FAR = 100_000.0
"""Points, well over the largest page; far outside lie only words of damaged pages."""
_NAME_BYTES = 128
_FEW_WORDS = 25
_WHOLE_PAGE = 0.8
_NO_SIZE = 1e-9
_FIXED_PITCH = 1  # Of a font's flags (ISO 32000-1, table 123).
_INVISIBLE = 3  # Of text rendering modes (ISO 32000-1, table 106).
_GAP_IN_WORD = 0.12
"""Of the size: parts of a word that PDFium took apart are no farther from each other."""


def read_page(document: Any, number: int) -> PageText:
    """Return the lines of a page of a `pypdfium2.PdfDocument`.

    Raises:
        pypdfium2.PdfiumError: it cannot be loaded.
    """
    page = document[number]
    try:
        written = annotations_of(page)
        if written.drawn and make_part_of(page):
            page.close()
            page = document[number]
        text_page = page.get_textpage()
        try:
            result = PageText(number, *page.get_size())
            text = _characters(text_page.raw, result)
            turns_round = is_right_to_left(text)
            words = _words(text, text_page.raw, page, result, turns_round)
            if words:
                result.lines = _lines(words, _Fonts(text_page.raw, page, result.turn == 0))
                if turns_round:
                    for line in result.lines:
                        line.words, line.gap = reading_order(line.words)
                result.invisible = _is_invisible(text_page.raw, words)
                result.doubtful = is_doubtful(text, result.invisible)
            result.comments = written.comments
            if written.boxes:
                left, bottom, _, _ = page.get_cropbox()
                result.lines += written.lines(left, bottom)
            if len(words) < _FEW_WORDS and not result.invisible:
                # A page that was scanned may have a line of its own, such as a library's stamp.
                share = _WHOLE_PAGE if words else 0.0
                _look_at_objects(page, share * result.width * result.height, result)
            return result
        finally:
            text_page.close()
    finally:
        page.close()


def _look_at_objects(page: Any, least: float, result: PageText) -> None:
    """Look for a picture that covers so many square points, and for text that has no size."""
    edges = page.get_cropbox()
    matrix = pdfium.FS_MATRIX()
    for thing in page.get_objects([pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_TEXT]):
        if thing.type == pdfium.FPDF_PAGEOBJ_TEXT:
            pdfium.FPDFPageObj_GetMatrix(thing, matrix)
            result.sizeless |= abs(matrix.a * matrix.d - matrix.b * matrix.c) < _NO_SIZE
            continue
        left, bottom, right, top = thing.get_bounds()
        across = min(right, edges[2]) - max(left, edges[0])
        up = min(top, edges[3]) - max(bottom, edges[1])
        result.pictures |= not least or (across > 0 and up > 0 and across * up >= least)


def _characters(text_page: Any, result: PageText) -> str:
    """The page's text, a character of it for a character of PDFium's."""
    count = pdfium.FPDFText_CountChars(text_page)
    if count <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    got = pdfium.FPDFText_GetText(text_page, 0, count, buffer)
    text = bytes(buffer)[: max(got - 1, 0) * 2].decode("utf-16-le", "replace")
    if len(text) != count:
        # Beyond the Basic Multilingual Plane, or left out by PDFium: the numbers would not match.
        codes = [pdfium.FPDFText_GetUnicode(text_page, index) for index in range(count)]
        text = "".join([chr(code) if code <= 0x10FFFF else NO_VALUE for code in codes])
        text = text.replace("\2", _HYPHEN)
    odd = [match.start() for match in ODD.finditer(text)]
    if not odd:
        return text
    # A page may be all odd: a list is changed in one step a character.
    characters = list(text)
    for index in odd:
        if characters[index] == _HYPHEN and pdfium.FPDFText_IsHyphen(text_page, index):
            continue
        before, after = text[index - 1 : index], text[index + 1 : index + 2]
        characters[index] = mapped(characters[index], before, after)
        result.unmapped += characters[index] == NO_VALUE
    return "".join(characters)


def _boxes(text_page: Any, places: Sequence[int]) -> Boxes:
    """Left, top, right, bottom of characters, as high as their fonts: float64 [characters, 4]."""
    boxes = np.zeros((len(places), 4), dtype=np.float32)
    start = boxes.ctypes.data
    ends = range(start, start + len(places) * _BOX_BYTES, _BOX_BYTES)
    page = ctypes.cast(text_page, ctypes.c_void_p).value
    deque(map(_loose_box, repeat(page), places, ends), maxlen=0)
    return boxes.astype(np.float64)


def _direction(heads: Boxes, tails: Boxes, lengths: list[int], turned: int) -> int:
    """By how much the page has to be turned clockwise for most of its words to stand upright.

    What a viewer turns it by says little: pages are scanned and set sideways with it and without.
    """
    votes: Counter[int] = Counter()
    asked = slice(0, None, max(1, len(lengths) // _WORDS_ASKED))
    moved = (tails[asked, :2] - heads[asked, :2]).tolist()
    for length, (across, up) in zip(lengths[asked], moved, strict=True):
        if length > 3:
            if abs(across) > abs(up):
                votes[0 if across > 0 else 180] += 1
            else:
                votes[90 if up > 0 else 270] += 1
    return votes.most_common(1)[0][0] if votes else turned


def _turned(boxes: Boxes, turn: int, edges: tuple[float, float, float, float]) -> Boxes:
    """Boxes turned clockwise, and counted from the page's lower left corner then."""
    left, bottom, right, top = edges
    if turn == 0 and left == 0 and bottom == 0:
        return boxes
    x, high, other, low = boxes.T
    if turn == 0:
        seen = (x - left, high - bottom, other - left, low - bottom)
    elif turn == 90:
        seen = (low - bottom, right - x, high - bottom, right - other)
    elif turn == 180:
        seen = (right - other, top - low, right - x, top - high)
    else:
        seen = (top - high, other - left, top - low, x - left)
    return np.stack(seen, axis=1)


def _words(text: str, text_page: Any, page: Any, result: PageText, mirror: bool) -> list[Word]:
    spans = [match.span() for match in _WORD.finditer(text)]
    edges = page.get_cropbox()
    firsts = [first for first, _ in spans]
    lasts = [last for _, last in spans]
    heads = _boxes(text_page, firsts)
    # The last letter tells the direction; a mark at the end may stand anywhere.
    ends = [_letter_end(text, *span) for span in spans] if mirror else lasts
    tails = _boxes(text_page, [end - 1 for end in ends])
    # Words from right to left run backwards on an upright page.
    turn: int = page.get_rotation()
    if not mirror:
        turn = _direction(heads, tails, [last - first for first, last in spans], turn)
    heads, tails = _turned(heads, turn, edges), _turned(tails, turn, edges)
    width, height = edges[2] - edges[0], edges[3] - edges[1]
    if turn in (90, 270):
        width, height = height, width
    result.width, result.height, result.turn = width, height, turn
    texts = [text[first:last] for first, last in spans]
    if mirror:
        heads, tails = mirrored(heads, width), mirrored(tails, width)
        backwards = (tails[:, 0] < heads[:, 0]).tolist()
        texts = [turned_round(t) if b else t for t, b in zip(texts, backwards, strict=True)]
    if needs_expanding(text):
        texts = [expanded(word) for word in texts]
    boxes = np.empty_like(heads)
    boxes[:, (0, 3)] = np.fmin(heads[:, (0, 3)], tails[:, (0, 3)])
    boxes[:, (1, 2)] = np.fmax(heads[:, (1, 2)], tails[:, (1, 2)])
    left, top, right, bottom = boxes.T
    # Written so that what is no number, or endless, is outside too.
    inside = (left > -_FAR) & (left <= width) & (right >= 0) & (right < _FAR)
    inside &= (bottom > -_FAR) & (bottom <= height) & (top >= 0) & (top < _FAR)
    if not (inside.all() and all(texts)):
        result.outside += int(len(spans) - inside.sum())
        # A soft hyphen that stands alone is no word.
        kept = [n for n, here in enumerate(inside.tolist()) if here and texts[n]]
        firsts, lasts = [firsts[n] for n in kept], [lasts[n] for n in kept]
        texts = [texts[n] for n in kept]
        left, top, right, bottom = boxes[kept].T
    columns = (left.tolist(), right.tolist(), bottom.tolist(), top.tolist())
    make = tuple.__new__  # Half the time of a call of the class, of which a page has hundreds.
    words = [make(Word, word) for word in zip(texts, *columns, firsts, strict=True)]
    return _joined(words, text, lasts, _near(left, right, bottom, top))


def _near(left: Column, right: Column, bottom: Column, top: Column) -> list[int]:
    """Which words stand so near to the one before that they may be parts of it."""
    high = top - bottom
    size = np.fmax(high[1:], high[:-1])
    gap = np.fmax(left[1:] - right[:-1], left[:-1] - right[1:])
    near: list[int] = (np.flatnonzero(gap < _GAP_IN_WORD * size) + 1).tolist()
    return near


def _joined(words: list[Word], text: str, lasts: list[int], near: list[int]) -> list[Word]:
    """Put words together that PDFium took apart, at a raised letter; at a space never."""
    wholes: dict[int, int] = {}
    for number in near:
        # What became part of a word makes it longer, so that the next one may be near to it, too.
        while number < len(words) and number not in wholes:
            # The word before may have become part of another one.
            whole = wholes.get(number - 1, number - 1)
            word, before = words[number], words[whole]
            if text[lasts[number - 1] : word.first] not in _BREAKS or not _same_word(before, word):
                break
            words[whole] = Word(
                before.text.replace(_HYPHEN, "-") + word.text,
                min(before.left, word.left),
                max(before.right, word.right),
                before.bottom,
                before.top,
                before.first,
            )
            wholes[number] = whole
            number += 1
    return [word for number, word in enumerate(words) if number not in wholes] if wholes else words


def _letter_end(text: str, first: int, last: int) -> int:
    """Where the last letter of a word ends."""
    while last > first + 1 and not text[last - 1].isalpha():
        last -= 1
    return last


def _same_word(former: Word, word: Word) -> bool:
    """Whether a part stands so near to the former word that no space is between."""
    size = max(former.top - former.bottom, word.top - word.bottom)
    gap = max(word.left - former.right, former.left - word.right)
    if not -0.5 * size < gap < _GAP_IN_WORD * size:
        return False
    return _beside(former.bottom, former.top, word.bottom, word.top)


def _beside(bottom: float, top: float, low: float, high: float) -> bool:
    """Whether two boxes are on one line, or one is a raised or lowered part of the other's."""
    if top - bottom < high - low:
        bottom, top, low, high = low, high, bottom, top
    quarter = (top - bottom) * 0.2
    return bottom - quarter < (low + high) / 2 < top + quarter


class _Fonts:
    """Properties of fonts by a character's number: fixed width, bold, size and baseline."""

    def __init__(self, text_page: Any, page: Any, upright: bool) -> None:
        self.page = text_page
        self._upright = upright
        self._bottom: float = page.get_cropbox()[1]
        self._matrix = pdfium.FS_MATRIX()
        self._x, self._y = ctypes.c_double(), ctypes.c_double()
        self._flags = ctypes.c_int()
        self._name = ctypes.create_string_buffer(_NAME_BYTES)
        self._known: dict[bytes, tuple[bool, bool]] = {}

    def of(self, index: int) -> tuple[bool, bool]:
        """Return whether the character's font is fixed in width, and whether it is bold."""
        name = self._name
        pdfium.FPDFText_GetFontInfo(self.page, index, name, _NAME_BYTES, self._flags)
        key = name.value
        known = self._known.get(key)
        if known is None:
            mono = bool(self._flags.value & _FIXED_PITCH) or bool(_MONO.search(key))
            known = self._known[key] = (mono, bool(_BOLD.search(key)))
        return known

    def size(self, index: int) -> float:
        """Return the size of a character as it is seen, 0 where it is unknown."""
        size = pdfium.FPDFText_GetFontSize(self.page, index)
        matrix = self._matrix
        if not pdfium.FPDFText_GetMatrix(self.page, index, matrix):
            return 0.0
        return float(size) * math.hypot(matrix.c, matrix.d)

    def baseline(self, index: int, bottom: float) -> float:
        """Return the height of a character's baseline; `bottom` is that of its box."""
        if not self._upright:
            return bottom
        pdfium.FPDFText_GetCharOrigin(self.page, index, self._x, self._y)
        return float(self._y.value) - self._bottom


def _lines(words: list[Word], fonts: _Fonts) -> list[Line]:
    lines: list[Line] = []
    line: Line | None = None
    end = 0.0
    low = high = math.nan
    for word in words:
        text, left, right, bottom, top, _ = word
        # As high as the one before, which its line has, and right of it.
        if bottom == low and top == high and left > end and line is not None:
            line.words.append(word)
            if left - end > line.gap:
                line.gap = left - end
            if right > line.right:
                line.right = right
            end = right
            continue
        low = high = math.nan
        if line is not None:
            # Most words stand right of the former one on the same line.
            if line.bottom < (bottom + top) / 2 < line.top and left > end and not line.turned:
                near = True
                low, high = bottom, top
            else:
                near = _continues(line, word)
            if near:
                line.words.append(word)
                if left - end > line.gap or line.left - right > line.gap:
                    line.gap = max(left - end, line.left - right)
                if left < line.left:
                    line.left = left
                if right > line.right:
                    line.right = right
                end = right
                if top - bottom > (line.top - line.bottom) * 1.15:
                    line.bottom, line.top = bottom, top
                continue
        # A word that is higher than wide and long runs up or down.
        turned = len(text) > 2 and top - bottom > (right - left) * 2
        line = Line([word], left, right, bottom, top, turned=turned)
        lines.append(line)
        end = right
        if bottom < top and not turned:
            low, high = bottom, top
    for line in lines:
        _describe(line, fonts)
    return lines


def _continues(line: Line, word: Word) -> bool:
    if line.turned:
        return abs(word.left - line.left) < (word.right - word.left) * 0.5
    if not _beside(line.bottom, line.top, word.bottom, word.top):
        return False
    size = line.top - line.bottom
    former = line.words[-1]
    if word.left > former.right - 0.5 * size:
        return True
    # Words that run from right to left are drawn in any order.
    return bool(RIGHT_TO_LEFT.search(word.text) or RIGHT_TO_LEFT.search(former.text)) and (
        word.right < line.left + 0.5 * size or word.left > line.right - 0.5 * size
    )


def _describe(line: Line, fonts: _Fonts) -> None:
    """Fill in the line's size, its fonts and whether it ends with a hyphen of its own."""
    words = line.words
    main = words[0]
    for word in words[1:4]:
        if word.right - word.left > main.right - main.left:
            main = word
    # In its middle: it may begin with the raised number of a note.
    index = main.first + len(main.text) // 2
    size = fonts.size(index)
    line.size = size if 0.01 < size < _FAR else max(line.top - line.bottom, 0.01)
    line.base = fonts.baseline(index, main.bottom)
    mono, bold = fonts.of(words[0].first)
    if len(words) > 1 and (mono or bold):
        for word in (words[-1], words[len(words) // 2]):
            one, other = fonts.of(word.first)
            mono, bold = mono and one, bold and other
    line.mono, line.bold = mono or _is_even(words), bold
    for index, word in enumerate(words):
        if _HYPHEN in word.text:
            words[index] = word._replace(text=word.text.replace(_HYPHEN, "-"))
    line.hyphen = ends_with_hyphen(words[-1].text)


def _is_even(words: list[Word]) -> bool:
    """Whether all characters are equally wide: fonts that are bitmaps have no telling names."""
    width = measured = 0.0
    for word in words:
        count = len(word.text)
        if count < 2:
            continue
        if not word.text.isascii():
            return False
        one = (word.right - word.left) / count
        if measured and abs(one - width) > 0.02 * width:
            return False
        width = one
        measured += count
    return measured >= 8 and len(words) > 1


def _is_invisible(text_page: Any, words: list[Word]) -> bool:
    """Whether text is drawn so that nobody sees it, judged by some of it."""
    for word in words[:: max(1, len(words) // 4)]:
        thing = pdfium.FPDFText_GetTextObject(text_page, word.first)
        if not thing or pdfium.FPDFTextObj_GetTextRenderMode(thing) != _INVISIBLE:
            return False
    return True
