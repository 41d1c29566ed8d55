"""Running heads and page numbers: rows at a page's edge that say on many pages nearly the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby, takewhile

from cptstudio.corpus.readers.pdf_lines import Line, PageText, usual_size

_MARGIN = 0.16
"""Of the page's height: heads are looked for above and below."""
_ROWS = 3
_NEAR_PAGES = 12
_NEAR_POINTS = 4.0
_ENOUGH = 3
_ENOUGH_USUAL = 5
_OF_PAGES = 0.3
_PART_GAP = 1.5
_APART = 0.6
"""Of the size, at least, between a head and the text beside it."""
_NUMBER = re.compile(r"\d{1,5}|[ivxlc]{1,7}", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LONGEST = 150
_LARGEST = 1.25
"""Of the body's type: what is larger is a title."""


@dataclass(slots=True)
class _Row:
    """Lines beside each other at a page's edge.

    Attributes:
        page: its number.
        side: 0 at the top, 1 at the bottom.
        level: how many rows are nearer to the edge.
        height: of its lower edge.
        words: in order.
        distance: to the next row, in points.
        drop: it is a head.
    """

    page: int
    side: int
    level: int
    lines: list[Line]
    height: float
    words: list[str]
    distance: float
    drop: bool = False


def drop_running_heads(pages: list[PageText]) -> int:
    """Take running heads and page numbers out of successive pages; return how many rows went."""
    if len(pages) < 2:
        return 0
    body = usual_size([line for page in pages for line in page.lines])
    rows = [row for page in pages for row in _rows(page, body)]
    _mark_repeated(rows, len(pages))
    _mark_numbers(rows, len(pages))
    _mark_usual(rows, pages, body)
    dropped: dict[int, set[int]] = defaultdict(set)
    count = 0
    for _, edge in groupby(rows, key=lambda row: (row.page, row.side)):
        # A row further in is a head only below one that is, and where it is apart from the text.
        heads = list(takewhile(lambda row: row.drop, edge))
        while len(heads) > 1 and heads[-1].distance < _APART * heads[-1].lines[0].size:
            heads.pop()
        for row in heads:
            dropped[row.page].update(map(id, row.lines))
        count += len(heads)
    for page in pages:
        gone = dropped.get(page.number)
        if gone:
            page.lines = [line for line in page.lines if id(line) not in gone]
    return count


def _rows(page: PageText, body: float) -> list[_Row]:
    """The outermost rows at the top (side 0) and the bottom (side 1), up to a long or large one."""
    found: list[_Row] = []
    lines = [line for line in page.lines if not line.turned]
    for side in (0, 1):
        if side == 0:
            edge = page.height * (1 - _MARGIN)
            near = sorted((one for one in lines if one.bottom > edge), key=lambda one: -one.top)
            next_one = max((one.top for one in lines if one.bottom <= edge), default=0.0)
        else:
            edge = page.height * _MARGIN
            near = sorted((one for one in lines if one.top < edge), key=lambda one: one.bottom)
            next_one = min((one.bottom for one in lines if one.top >= edge), default=page.height)
        level = 0
        while near and level < _ROWS:
            first = near[0]
            middle = (first.top + first.bottom) / 2
            row = [one for one in near if one.bottom <= middle <= one.top]
            taken = set(map(id, row))
            near = [one for one in near if id(one) not in taken]
            row.sort(key=lambda one: one.left)
            words = [word.text for one in row for word in one.words]
            if len(" ".join(words)) > _LONGEST or first.size > _LARGEST * body:
                break
            if side == 0:
                distance = first.bottom - (near[0].top if near else next_one)
            else:
                distance = (near[0].bottom if near else next_one) - first.top
            found.append(_Row(page.number, side, level, row, first.bottom, words, distance))
            level += 1
    return found


def _mark_repeated(rows: list[_Row], pages: int) -> None:
    """Mark rows of which a part is said at the same height of pages near by.

    A part is what a wide gap sets apart: often the chapter stays while the section changes.
    """
    enough = min(_ENOUGH, pages)
    most = max(enough, min(_NEAR_PAGES, round(0.6 * pages)))
    groups: dict[tuple[int, str], list[_Row]] = defaultdict(list)
    for row in rows:
        parts = _parts(row.lines)
        for part in parts if row.level == 0 else [" ".join(sorted(parts))]:
            groups[row.side, part].append(row)
    for group in groups.values():
        if len(group) < enough:
            continue
        for row in group:
            near = sum(
                abs(other.page - row.page) <= _NEAR_PAGES
                and abs(other.height - row.height) < _NEAR_POINTS
                for other in group
            )
            # Below a head, or beside the text, only what is on most pages is one.
            apart = row.level == 0 and row.distance > _APART * row.lines[0].size
            row.drop = row.drop or near >= (enough if apart else most)


def _parts(lines: list[Line]) -> set[str]:
    """Texts that wide gaps set apart, without numbers that stand alone."""
    parts: list[list[str]] = [[]]
    end = lines[0].left
    for line in lines:
        for word in line.words:
            if word.left - end > _PART_GAP * line.size:
                parts.append([])
            if not _NUMBER.fullmatch(word.text):
                parts[-1].append(_DIGITS.sub("#", word.text))
            end = word.right
    texts = [" ".join(part) for part in parts]
    return {text for text in texts if sum(map(str.isalpha, text)) > 1}


def _mark_usual(rows: list[_Row], pages: list[PageText], body: float) -> None:
    """Mark outermost rows that stand apart, at one height on most pages, in no larger type.

    Such are the names of sections that have a page or two each. A page that is wider than high is
    of a slide, whose title looks the same.
    """
    upright = {page.number for page in pages if page.width < page.height}
    apart = [
        row
        for row in rows
        if row.level == 0
        and row.page in upright
        and row.distance > 1.5 * _APART * row.lines[0].size
        and row.lines[0].size <= 1.1 * body
    ]
    bands = Counter((row.side, round(row.height)) for row in apart)
    for row in apart:
        usual = sum(bands[row.side, round(row.height) + shift] for shift in (-1, 0, 1))
        if usual >= max(_ENOUGH_USUAL, 0.4 * len(pages)):
            row.drop = True


def _mark_numbers(rows: list[_Row], pages: int) -> None:
    """Mark rows that begin or end with the page's number.

    Numbers count up with the pages from wherever they begin. One that stands alone may be anywhere
    at the edge, as below a chapter's first page; one beside words must be where others are, and
    on many pages: notes at a page's foot are numbered, too.
    """
    enough = min(_ENOUGH, pages)
    votes: Counter[tuple[str, int]] = Counter()
    told: list[tuple[_Row, tuple[str, int]]] = []
    for row in rows:
        if row.level:
            continue
        for word in {row.words[0], row.words[-1]}:
            value = _number(word)
            if value is not None:
                key = (value[0], value[1] - row.page)
                votes[key] += 1
                told.append((row, key))
    told = [(row, key) for row, key in told if votes[key] >= enough]
    bands: dict[int, Counter[int]] = {0: Counter(), 1: Counter()}
    for row, _ in told:
        bands[row.side][round(row.height / _NEAR_POINTS)] += 1
    for row, _ in told:
        band = round(row.height / _NEAR_POINTS)
        usual = sum(bands[row.side][near] for near in (band - 1, band, band + 1))
        if len(row.words) == 1 or usual >= max(enough, _OF_PAGES * pages):
            row.drop = True


def _number(word: str) -> tuple[str, int] | None:
    """A page's number and how it is written."""
    word = word.strip("-–—.,|[]()")  # noqa: RUF001
    if not _NUMBER.fullmatch(word):
        return None
    if word.isdecimal():
        return "arabic", int(word)
    values = [_ROMAN[letter] for letter in word.lower()]
    total = 0
    for value, following in zip(values, [*values[1:], 0], strict=True):
        total += -value if value < following else value
    return "roman", total
