"""The order in which the lines of a page are read: columns one after the other.

Most programs draw a page in the order in which it is read, and know better than its geometry
tells. So lines are cut apart only where a gutter runs through many of them, and put in order only
where the drawing jumps up the page again and again.
"""

from __future__ import annotations

from itertools import pairwise

from cptstudio.corpus.readers.pdf_lines import Line, PageText, Word, ends_with_hyphen

_GUTTER = 0.9
"""Of the size: the least gap within a line that may be a gutter."""
_LINES_AT_GUTTER = 5
_WORDS_BESIDE = 3.0
_STEP = 4.0
_STEPS = 1_000
_JUMPS = 3


def arrange(page: PageText) -> None:
    """Cut the page's lines at gutters and put them in the order in which they are read."""
    lines = page.lines
    for _ in range(3):
        gutter = _gutter_within(lines, page.width)
        if gutter is None:
            break
        lines = [part for line in lines for part in _cut(line, gutter)]
    if _disorder(lines) > max(_JUMPS, 0.25 * len(lines)):
        turned = [line for line in lines if line.turned]
        lines = _ordered([line for line in lines if not line.turned], page.width) + turned
    page.lines = lines


def _disorder(lines: list[Line]) -> int:
    """How often a line is drawn above or beside the one that was drawn before it."""
    return sum(
        not later.turned and (later.bottom + later.top) / 2 > former.bottom
        for former, later in pairwise(lines)
    )


def _gutter_within(lines: list[Line], width: float) -> float | None:
    """Where a gap runs through lines that are text on both sides of it."""
    gaps: list[tuple[int, int, int, int]] = []
    # A damaged page may say that it is miles wide.
    step = max(_STEP, width / _STEPS)
    counts = [0] * (int(width / step) + 2)
    for line in lines:
        least = _GUTTER * line.size
        if line.turned or line.gap < least:
            continue
        words = line.words
        for index in range(1, len(words)):
            before, after = words[index - 1].right, words[index].left
            if after - before >= least:
                low, high = int(before / step) + 1, int(after / step)
                gaps.append((low, high, index, len(words) - index))
                for cell in range(max(low, 0), min(high + 1, len(counts))):
                    counts[cell] += 1
    if len(gaps) < _LINES_AT_GUTTER:
        return None
    best = max(counts)
    if best < _LINES_AT_GUTTER:
        return None
    cells = [cell for cell, count in enumerate(counts) if count == best]
    cell = cells[len(cells) // 2]
    through = [gap for gap in gaps if gap[0] <= cell <= gap[1]]
    left = sum(gap[2] for gap in through) / len(through)
    right = sum(gap[3] for gap in through) / len(through)
    x = cell * step
    crossing = sum(
        any(word.left < x < word.right for word in line.words)
        for line in lines
        if line.left < x < line.right
    )
    if min(left, right) < _WORDS_BESIDE or crossing > 0.5 * len(through):
        return None
    return x


def _cut(line: Line, x: float) -> list[Line]:
    if line.turned or not line.left < x < line.right:
        return [line]
    for index in range(1, len(line.words)):
        before, after = line.words[index - 1].right, line.words[index].left
        if before <= x <= after and after - before >= 0.5 * line.size:
            return [_line_of(line, line.words[:index]), _line_of(line, line.words[index:])]
    return [line]


def _line_of(line: Line, words: list[Word]) -> Line:
    return Line(
        words,
        min(word.left for word in words),
        max(word.right for word in words),
        line.bottom,
        line.top,
        line.size,
        line.base,
        line.mono,
        line.bold,
        ends_with_hyphen(words[-1].text),
        gap=max((b.left - a.right for a, b in pairwise(words)), default=0.0),
    )


def _ordered(lines: list[Line], width: float) -> list[Line]:
    if len(lines) < 2:
        return lines
    x = _gutter_between(lines)
    lines = sorted(lines, key=lambda line: -line.top)
    if x is None:
        return _rows(lines)
    result: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for line in lines:
        if line.right <= x:
            left.append(line)
        elif line.left >= x:
            right.append(line)
        else:
            result += _ordered(left, width) + _ordered(right, width)
            result.append(line)
            left, right = [], []
    return result + _ordered(left, width) + _ordered(right, width)


def _gutter_between(lines: list[Line]) -> float | None:
    """Where few lines cross and a fourth of them lies on each side."""
    low, high = min(line.left for line in lines), max(line.right for line in lines)
    best, least = None, 0.25 * len(lines)
    for step in range(10, 91):
        x = low + (high - low) * step / 100
        left = sum(line.right <= x for line in lines)
        right = sum(line.left >= x for line in lines)
        crossing = len(lines) - left - right
        if min(left, right) >= 0.25 * len(lines) and crossing < least:
            best, least = x, crossing
    return best


def _rows(lines: list[Line]) -> list[Line]:
    """Lines from top to bottom; parts of a row are put together from left to right."""
    result: list[Line] = []
    for line in lines:
        former = result[-1] if result else None
        middle = (line.top + line.bottom) / 2
        if former is None or not former.bottom < middle < former.top:
            result.append(line)
            continue
        words = sorted(former.words + line.words, key=lambda word: word.left)
        merged = _line_of(former, words)
        merged.mono, merged.bold = former.mono and line.mono, former.bold and line.bold
        result[-1] = merged
    return result
