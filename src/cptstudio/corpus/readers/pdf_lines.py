"""Words, lines and pages of a PDF, as the modules about its layout pass them on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Word(NamedTuple):
    """A run of characters without a space, and its box in points from the page's lower left."""

    text: str
    left: float
    right: float
    bottom: float
    top: float
    first: int


@dataclass(slots=True)
class Line:
    """Words beside each other.

    Attributes:
        words: in reading order.
        left, right, bottom, top: its box, in points; raised letters do not change its height.
        size: of its type, in points.
        base: the height of its baseline.
        mono, bold: all of it is set in such a font.
        hyphen: its last character is a hyphen that ends the line.
        turned: it runs up or down the page.
        gap: the widest between its words.
    """

    words: list[Word]
    left: float
    right: float
    bottom: float
    top: float
    size: float = 0.0
    base: float = 0.0
    mono: bool = False
    bold: bool = False
    hyphen: bool = False
    turned: bool = False
    gap: float = 0.0

    def text(self) -> str:
        """Return its words with single spaces."""
        return " ".join([word.text for word in self.words])


@dataclass(slots=True)
class PageText:
    """A page's text.

    Attributes:
        number: from 0.
        width, height: as its text stands upright, in points.
        turn: clockwise, in degrees, for that.
        lines: in the order in which they are drawn.
        unmapped: characters without a Unicode value; U+FFFD stands for each.
        outside: words outside the page's visible part, which are left out.
        invisible: its text is not shown; it lies under a picture, as OCR leaves it.
        doubtful: its text is hardly what it shows.
        comments: written onto it, of which it shows a sign only.
        sizeless: it draws text without width or height; looked for only where there are few words.
        pictures: it is a picture: without text it shows one, with few words one all over it.
    """

    number: int
    width: float
    height: float
    turn: int = 0
    lines: list[Line] = field(default_factory=list)
    unmapped: int = 0
    outside: int = 0
    invisible: bool = False
    doubtful: bool = False
    comments: int = 0
    sizeless: bool = False
    pictures: bool = False


def ends_with_hyphen(text: str) -> bool:
    """Return whether it ends with a hyphen after a letter or a digit."""
    return len(text) > 1 and text[-1] in "-\N{HYPHEN}\N{SOFT HYPHEN}" and text[-2].isalnum()


def usual_size(lines: list[Line]) -> float:
    """Return the size of most words, in points."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.words)
    return sizes.most_common(1)[0][0] if sizes else 0.0
