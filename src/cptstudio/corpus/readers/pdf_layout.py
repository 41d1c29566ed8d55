"""Paragraphs of a PDF out of its lines.

A line goes on in the next one unless something tells that a paragraph ends: the next line's first
word would have found room, an indent, a larger distance, another size of type, a bullet. Lines of
code and of tables stay lines. What runs on over a column's or a page's end is one paragraph; the
notes at a page's foot follow it.
"""

# ruff: noqa: RUF001 - bullets and the ends of sentences in other scripts

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from cptstudio.corpus.readers.pdf_lines import Line, PageText, usual_size
from cptstudio.corpus.readers.pdf_words import UNSPACED, Vocabulary, joined

_WINDOW = 8
"""Lines before and after one that tell how far its column's lines reach."""
_STRIDE = 6
_INDENT = 0.7
_CELL_GAP = 1.6
_LEADERS = re.compile(r"(?:\s*[.·…]){4,}\s*")
_BULLET = re.compile(r"[•◦▪–—‣∙●○■□➢✓❑❖*·-]\Z")
_ITEM = re.compile(r"(?:\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5})[.)]|\[\d{1,3}\])\Z")
_ENDS_SENTENCE = re.compile(r"[.!?:;…。！？：；][\"'”’»)\]]*\Z")
_WIDEST = 400
"""Columns of code: a damaged page may put a word anywhere."""
_NOTE_SIZE = 0.93


@dataclass(slots=True)
class _Placed:
    """A line with what its column tells of it.

    Attributes:
        line: the line.
        reach: how far its column's lines reach to the right.
        margin: where most of them begin.
        pitch: the usual distance of their baselines.
        column: the number of its column's run on the page.
        text: its own, with tabs between cells and for leaders.
        row: it has cells or leaders, so that it stays a line.
    """

    line: Line
    reach: float
    margin: float
    pitch: float
    column: int
    text: str
    row: bool


@dataclass
class _Block:
    """A block under construction.

    Attributes:
        kind: "text", "code" or "rows".
        text: so far.
        last: its last line.
        first: its first line.
    """

    kind: str
    text: str
    last: _Placed
    first: _Placed
    before_last: _Placed | None = None
    lines: list[Line] = field(default_factory=list)
    item: bool = False


class Composer:
    """Puts a document's pages together, one after the other."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._open: _Block | None = None
        self._notes: list[str] = []

    def add(self, page: PageText) -> Iterator[str]:
        """Yield the blocks that end on the page, without what separates them."""
        body = usual_size(page.lines)
        lines, feet = _without_notes(page, body)
        new_page = True
        for placed in _placed(lines):
            yield from self._take(placed, new_page)
            new_page = False
        if feet:
            notes = Composer(self._vocabulary)
            for placed in _placed(feet):
                self._notes += notes._take(placed, False)
            self._notes += notes.finish()
            if self._open is None or self._open.kind != "text" or _is_closed(self._open):
                yield from self._close()

    def finish(self) -> Iterator[str]:
        """Yield what is left."""
        yield from self._close()

    def _close(self) -> Iterator[str]:
        block, self._open = self._open, None
        if block is not None:
            text = _code(block.lines) if block.kind == "code" else block.text
            if text.strip():
                yield text
        if self._notes:
            notes, self._notes = self._notes, []
            yield from notes

    def _take(self, placed: _Placed, new_page: bool) -> Iterator[str]:
        line = placed.line
        block = self._open
        kind = _kind(placed, block)
        if (
            block is not None
            and block.kind == "rows"
            and kind == "text"
            and not new_page
            and _continues_cell(block.last, placed)
        ):
            text = placed.text
            block.text = joined(block.text, text, block.last.line.hyphen, self._vocabulary)
            block.last = placed
            return
        if block is not None and block.kind == kind and not line.turned:
            if kind == "text" and self._continues(block, placed, new_page):
                text = placed.text
                block.text = joined(block.text, text, block.last.line.hyphen, self._vocabulary)
                block.before_last, block.last = block.last, placed
                return
            # Code runs on over a page's end.
            over = new_page and kind == "code"
            if kind != "text" and (over or (not new_page and _is_next_row(block.last, placed))):
                block.lines.append(line)
                block.text += "\n" + placed.text
                block.last = placed
                return
        yield from self._close()
        self._open = _Block(kind, placed.text, placed, placed, lines=[line], item=_is_item(line))

    def _continues(self, block: _Block, placed: _Placed, new_page: bool) -> bool:
        former, line = block.last.line, placed.line
        if not 0.88 < former.size / line.size < 1.14:
            return False
        if former.bold != line.bold and (former.bold or block.first.line is not former):
            return False
        if _BULLET.match(line.words[0].text) and len(line.words) > 1:
            return False
        if not _is_full(block, placed):
            return False
        if new_page or placed.column != block.last.column:
            return _runs_over(block, placed)
        distance = former.base - line.base
        if not 0.2 * line.size < distance < max(1.3 * placed.pitch, 1.3 * line.size):
            return False
        return self._is_aligned(block, placed)

    def _is_aligned(self, block: _Block, placed: _Placed) -> bool:
        former, line = block.last.line, placed.line
        offset = line.left - former.left
        indent = _INDENT * line.size
        starts_item = bool(_ITEM.match(line.words[0].text)) and len(line.words) > 1
        if block.before_last is None:
            # The block's second line: the first may be indented, or hang out.
            if starts_item and (block.item or offset < -indent):
                return False
            return offset < indent or block.item or _hangs(block, placed)
        if starts_item and block.item and offset < 0.2 * line.size:
            return False
        return abs(offset) < indent or _is_centered(former, line)


def _kind(placed: _Placed, block: _Block | None) -> str:
    line = placed.line
    if line.mono:
        if block is not None and block.kind == "text":
            former = block.last.line
            same_edge = abs(former.left - line.left) < 0.3 * line.size
            near = 0 < former.base - line.base < 1.3 * placed.pitch
            if same_edge and near and not former.mono and _is_full(block, placed):
                return "text"
        return "code"
    return "rows" if placed.row else "text"


def _is_full(block: _Block, placed: _Placed) -> bool:
    """Whether the next line's first word would have found no room on the block's last line."""
    last = block.last
    former, line = last.line, placed.line
    word = line.words[0]
    room = last.reach - former.right
    # A script without spaces breaks within what is one word here.
    unspaced = UNSPACED.match(word.text) is not None
    width = 1.5 * line.size if unspaced else word.right - word.left
    if room < width + 0.25 * line.size:
        return True
    before = block.before_last
    if before is not None and abs(before.line.right - former.right) < 0.1 * line.size:
        return True
    # In a box, lines are shorter than around it: what has not ended goes on in lower case.
    long = former.right - former.left > 0.5 * (last.reach - former.left)
    goes_on = (unspaced and UNSPACED.match(block.text[-1])) or word.text[0].islower()
    return bool(long and goes_on and not _ENDS_SENTENCE.search(block.text))


def _runs_over(block: _Block, placed: _Placed) -> bool:
    """Whether a paragraph goes on in the next column or on the next page."""
    line = placed.line
    if line.left - placed.margin > _INDENT * line.size and not block.item:
        return False
    if block.last.line.hyphen:
        return True
    first = line.words[0].text[:1]
    if _ENDS_SENTENCE.search(block.text):
        return first.islower()
    return not _ITEM.match(line.words[0].text)


def _is_closed(block: _Block) -> bool:
    return bool(_ENDS_SENTENCE.search(block.text))


def _hangs(block: _Block, placed: _Placed) -> bool:
    """Whether a second line that is indented goes on, as in a list of references."""
    return placed.line.left - placed.margin < _INDENT * placed.line.size


def _is_centered(former: Line, line: Line) -> bool:
    middle = (former.left + former.right) / 2 - (line.left + line.right) / 2
    return abs(middle) < 0.3 * line.size


def _is_item(line: Line) -> bool:
    first = line.words[0].text
    return len(line.words) > 1 and bool(_BULLET.match(first) or _ITEM.match(first))


def _is_next_row(former: _Placed, placed: _Placed) -> bool:
    distance = former.line.base - placed.line.base
    return former.column == placed.column and 0 < distance < 3.0 * placed.line.size


def _continues_cell(former: _Placed, placed: _Placed) -> bool:
    """Whether a line goes on below the last cell of a row, as in a list of terms."""
    line, above = placed.line, former.line
    least = _CELL_GAP * line.size
    left = above.left
    for one, word in pairwise(above.words):
        if word.left - one.right > least:
            left = word.left
    near = 0.2 * line.size < above.base - line.base < 1.3 * max(placed.pitch, line.size)
    room = former.reach - above.right - (line.words[0].right - line.words[0].left)
    return near and -0.3 < (line.left - left) / line.size < 2.0 and room < 0.25 * line.size


def _text_of(line: Line) -> tuple[str, bool]:
    """The line's text, and whether it is a row of cells, or of a table of contents."""
    cells = _cells(line)
    text = "\t".join(cells)
    if ". ." in text or "..." in text or "··" in text or "……" in text:
        text, count = _LEADERS.subn("\t", text)
        return text, len(cells) > 1 or count > 0
    return text, len(cells) > 1


def _cells(line: Line) -> list[str]:
    """The line's text in parts where wide gaps are; a number before a heading is none."""
    words = line.words
    least = _CELL_GAP * line.size
    if line.turned or line.gap < least:
        return [line.text()]
    cells = [[words[0].text]]
    for former, word in pairwise(words):
        gap = max(word.left - former.right, former.left - word.right)
        if gap > least and not (former is words[0] and _is_number(former.text, gap / line.size)):
            cells.append([])
        cells[-1].append(word.text)
    return [" ".join(cell) for cell in cells]


def _is_number(text: str, gap: float) -> bool:
    """Whether a line begins with a heading's number, or with a bullet; `gap` is what follows it."""
    if _BULLET.match(text) or _ITEM.match(text):
        return True
    return gap < 2.5 and text[0].isdigit() and len(text) <= 8


def _code(lines: list[Line]) -> str:
    """Lines of a fixed width with the spaces that they are set with."""
    widths = [
        (word.right - word.left) / len(word.text)
        for line in lines
        for word in line.words
        if len(word.text) > 2
    ]
    width = sorted(widths)[len(widths) // 2] if widths else 0.6 * lines[0].size
    edge = min(line.left for line in lines)
    pitches = [a.base - b.base for a, b in pairwise(lines)]
    down = sorted([pitch for pitch in pitches if pitch > 0])
    usual = down[len(down) // 2] if down else 0.0
    result: list[str] = []
    for number, line in enumerate(lines):
        if number and usual and pitches[number - 1] > 1.7 * usual:
            result.append("")
        text = ""
        for word in line.words:
            column = min(round((word.left - edge) / max(width, 0.1)), _WIDEST)
            text += " " * max(column - len(text), 1 if text else 0) + word.text
        result.append(text)
    return "\n".join(result)


def _without_notes(page: PageText, body: float) -> tuple[list[Line], list[Line]]:
    """The page's lines, and apart from them those of the notes at its foot."""
    lines = page.lines
    small = _NOTE_SIZE * body
    larger = [one for one in lines if one.size >= small]
    feet = {
        id(one)
        for one in lines
        if one.size < small
        and not one.mono
        and one.top < 0.6 * page.height
        and not any(
            other.bottom < one.bottom and other.left < one.right and other.right > one.left
            for other in larger
        )
    }
    if not feet or len(feet) == len(lines):
        return lines, []
    return [one for one in lines if id(one) not in feet], [one for one in lines if id(one) in feet]


def _placed(lines: list[Line]) -> Iterator[_Placed]:
    """The lines with what those around them tell, which is looked at for some of them at a time."""
    columns: list[int] = []
    column, former = 0, None
    for line in lines:
        if former is not None and (
            line.base > former.base + former.size
            or line.left > former.right
            or line.right < former.left
        ):
            column += 1
        columns.append(column)
        former = line
    last: tuple[int, int, float, tuple[float, float, float]] | None = None
    for index, line in enumerate(lines):
        column = columns[index]
        if (
            last is None
            or last[0] != column
            or index - last[1] >= _STRIDE
            or not 0.88 < line.size / last[2] < 1.14
        ):
            low, high = max(0, index - _WINDOW), index + _WINDOW + 1
            smallest, largest = 0.88 * line.size, 1.14 * line.size
            near = [
                other
                for other, number in zip(lines[low:high], columns[low:high], strict=False)
                if number == column and smallest < other.size < largest
            ]
            last = (column, index, line.size, _edges(near, line.size))
        reach, margin, pitch = last[3]
        yield _Placed(line, max(reach, line.right), margin, pitch, column, *_text_of(line))


def _edges(near: list[Line], size: float) -> tuple[float, float, float]:
    """How far lines of a column reach, where most of them begin, and their usual distance."""
    usual, count = Counter([round(one.right) for one in near]).most_common(1)[0]
    reach = usual + 1.0 if count > 2 else max([one.right for one in near])
    margin = Counter([round(one.left) for one in near]).most_common(1)[0][0]
    distances = [a.base - b.base for a, b in pairwise(near)]
    distances = sorted([one for one in distances if 0.5 * size < one < 3 * size])
    return reach, margin, distances[len(distances) // 2] if distances else 1.3 * size
