"""Running heads and page numbers: rows at a page's edge that say on many pages nearly the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from cptstudio.corpus.readers.pdf_page import Line, PageText

_MARGIN = 0.16
"""Of the page's height: heads are looked for above and below."""
_ROWS = 3
_NEAR_PAGES = 12
_NEAR_POINTS = 4.0
_ENOUGH = 3
_NUMBER = re.compile(r"\d{1,5}|[ivxlc]{1,7}", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LONGEST = 150


@dataclass(slots=True)
class _Row:
    """Lines beside each other at a page's edge."""

    page: int
    side: int
    level: int
    lines: list[Line]
    height: float
    words: list[str]
    key: str
    drop: bool = False


def drop_running_heads(pages: list[PageText]) -> int:
    """Take running heads and page numbers out of successive pages; return how many rows went."""
    rows = [row for page in pages for row in _rows(page)]
    if len(pages) < 2:
        return 0
    _mark_repeated(rows, min(_ENOUGH, len(pages)))
    _mark_numbers(rows, min(_ENOUGH, len(pages)))
    # A row further in is a head only below one that is.
    outer: set[tuple[int, int, int]] = {(r.page, r.side, r.level) for r in rows if r.drop}
    dropped: dict[int, set[int]] = defaultdict(set)
    count = 0
    for row in rows:
        if row.drop and all((row.page, row.side, n) in outer for n in range(row.level)):
            dropped[row.page].update(map(id, row.lines))
            count += 1
    for page in pages:
        gone = dropped.get(page.number)
        if gone:
            page.lines = [line for line in page.lines if id(line) not in gone]
    return count


def _rows(page: PageText) -> list[_Row]:
    """The outermost rows at the top (side 0) and the bottom (side 1)."""
    found: list[_Row] = []
    lines = [line for line in page.lines if not line.turned]
    for side in (0, 1):
        if side == 0:
            edge = page.height * (1 - _MARGIN)
            near = sorted((one for one in lines if one.bottom > edge), key=lambda one: -one.top)
        else:
            edge = page.height * _MARGIN
            near = sorted((one for one in lines if one.top < edge), key=lambda one: one.bottom)
        level = 0
        while near and level < _ROWS:
            first = near[0]
            middle = (first.top + first.bottom) / 2
            row = [one for one in near if one.bottom < middle < one.top]
            taken = set(map(id, row))
            near = [one for one in near if id(one) not in taken]
            row.sort(key=lambda one: one.left)
            words = [word.text for one in row for word in one.words]
            text = " ".join(words)
            if len(text) <= _LONGEST:
                key = _DIGITS.sub("#", text).casefold()
                found.append(_Row(page.number, side, level, row, first.bottom, words, key))
            level += 1
    return found


def _mark_repeated(rows: list[_Row], enough: int) -> None:
    groups: dict[tuple[int, str], list[_Row]] = defaultdict(list)
    for row in rows:
        words = [word for word in row.words if not _NUMBER.fullmatch(word)]
        if words:
            groups[row.side, " ".join(_DIGITS.sub("#", word) for word in words)].append(row)
    for group in groups.values():
        if len(group) < enough:
            continue
        for row in group:
            near = sum(
                abs(other.page - row.page) <= _NEAR_PAGES
                and abs(other.height - row.height) < _NEAR_POINTS
                for other in group
            )
            row.drop = row.drop or near >= enough


def _mark_numbers(rows: list[_Row], enough: int) -> None:
    """Mark rows that begin or end with the page's number.

    Numbers count up with the pages from wherever they begin, on each side of the page.
    """
    votes: Counter[tuple[int, str, int]] = Counter()
    told: list[tuple[_Row, tuple[int, str, int]]] = []
    for row in rows:
        if row.level:
            continue
        for word in {row.words[0], row.words[-1]}:
            value = _number(word)
            if value is not None:
                key = (row.side, value[0], value[1] - row.page)
                votes[key] += 1
                told.append((row, key))
    heights: dict[int, Counter[int]] = {0: Counter(), 1: Counter()}
    for row, key in told:
        if votes[key] >= enough:
            heights[row.side][round(row.height / _NEAR_POINTS)] += 1
    for row, key in told:
        band = round(row.height / _NEAR_POINTS)
        usual = sum(heights[row.side][near] for near in (band - 1, band, band + 1))
        if votes[key] >= enough and usual >= enough:
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
