"""Text from right to left: pages of it are mirrored, so that what follows is one case.

PDFium gives the letters of most words in their order, but the words of a line in the order in which
they are drawn. On a mirrored page the first word is the leftmost; words of the other direction
within a line are put into their own order (Unicode Standard Annex 9, rule L2).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.readers.pdf_lines import Word

RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_MARK_BEFORE = re.compile("([.,:!\u060c\u061b\u061f]+)([\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+)")
_PUNCTUATION = ".,:;!?)]\u060c\u061b\u061f"
_LETTER = re.compile(r"[^\W\d_]")


def is_right_to_left(text: str) -> bool:
    """Return whether most of a page's letters are of Hebrew, Arabic or another such script."""
    if text.isascii():
        return False
    count = len(RIGHT_TO_LEFT.findall(text))
    return count > 0 and 2 * count > len(_LETTER.findall(text))


def mirrored(boxes: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    """Return the boxes (left, top, right, bottom) as in a mirror."""
    left, top, right, bottom = boxes.T
    return np.stack((width - right, top, width - left, bottom), axis=1)


def turned_round(text: str) -> str:
    """Return a word whose last letter stands where its first should; others as they are.

    Marks stay behind the letters that they belong to, and punctuation at the end.
    """
    if not RIGHT_TO_LEFT.match(text):
        return text
    letters: list[str] = []
    end = len(text.rstrip(_PUNCTUATION))
    for char in text[:end]:
        if letters and unicodedata.combining(char):
            letters[-1] += char
        else:
            letters.append(char)
    return "".join(reversed(letters)) + text[end:]


def reading_order(words: list[Word]) -> tuple[list[Word], float]:
    """Return a mirrored line's words from left to right, and the widest gap between them.

    Runs of the other direction are turned; in a line with such a run no gap sets cells apart.
    """
    result: list[Word] = []
    in_place = sorted(words, key=lambda word: word.left)
    gap = max((b.left - a.right for a, b in pairwise(in_place)), default=0.0)
    for other, group in groupby(in_place, key=_is_left_to_right):
        run = list(group)
        if other and len(run) > 1:
            run.reverse()
            gap = 0.0
        result += run
    return [_with_mark_behind(word) for word in result], gap


def _with_mark_behind(word: Word) -> Word:
    """The word with a mark that ends it at its end: PDFium puts it before, by its place."""
    found = _MARK_BEFORE.fullmatch(word.text)
    return word._replace(text=found[2] + found[1]) if found else word


def _is_left_to_right(word: Word) -> bool:
    return not RIGHT_TO_LEFT.search(word.text) and bool(_LETTER.search(word.text))
