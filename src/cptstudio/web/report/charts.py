"""Curves as SVG: shapes and places only; colors and sizes come from the report's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

WIDTH: Final = 460
HEIGHT: Final = 230
COLORS: Final = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 10, 24
_TICKS: Final = 5
_MOST_DOTS: Final = 40
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: in the legend.
        points: finite ones, in rising order of x.
        color: number of its color, from 1.
        dots: whether each point is marked; for what was measured at few places.
        quiet: drawn thin, behind the others.
        dashed: so that lines differ without color, too.
    """

    label: str
    points: Points
    color: int
    dots: bool = False
    quiet: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Tick:
    """A grid line and its words."""

    at: float
    text: str


@dataclass(frozen=True)
class Drawn:
    """A line as SVG has it: the path's d, and places of its dots."""

    line: Line
    path: str
    dots: list[tuple[float, float]]


@dataclass(frozen=True)
class Picture:
    """A chart that the template writes out.

    Attributes:
        title: with the unit.
        summary: what it shows, for who does not see it.
    """

    title: str
    summary: str
    lines: list[Drawn]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def draw(title: str, lines: Sequence[Line], *, zero: bool = False) -> Picture | None:
    """Return a chart of these lines; None where there is nothing to draw.

    Args:
        zero: whether its axis begins at zero.
    """
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    x_low, x_high = _range(min(xs), max(xs))
    y_low, y_high = _range(0.0 if zero else min(ys), max(ys))

    def across(x: float) -> float:
        return round(_LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT), 1)

    def up(y: float) -> float:
        part = (y - y_low) / (y_high - y_low)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)

    drawn = []
    for line in sorted(lines, key=lambda line: not line.quiet):
        places = [(across(x), up(y)) for x, y in line.points]
        marked = len(places) == 1 or (line.dots and len(places) <= _MOST_DOTS)
        drawn.append(Drawn(line, _path(places), places if marked else []))
    return Picture(
        title=title,
        summary="; ".join(
            f"{line.label} from {number(line.points[0][1])} to {number(line.points[-1][1])}"
            for line in lines
            if not line.quiet
        ),
        lines=drawn,
        x_ticks=[Tick(across(x), short(x)) for x in _ticks(x_low, x_high)],
        y_ticks=[Tick(up(y), short(y)) for y in _ticks(y_low, y_high)],
    )


def number(value: float) -> str:
    """Return a number with four significant digits."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.2e}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def short(value: float) -> str:
    """Return a tick's number: 0.0012, 12.5, 3k, 2M."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}" if not value or abs(value) >= 1e-4 else f"{value:.2g}"


def _path(places: Sequence[tuple[float, float]]) -> str:
    first, *rest = places
    # What lies on one pixel is one point.
    kept = [one for before, one in pairwise([first, *rest]) if one != before]
    return f"M{first[0]} {first[1]}" + "".join(f"L{x} {y}" for x, y in kept)


def _range(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    some = abs(low) * 0.05 or 1.0
    return low - some, high + some


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers within a range."""
    rough = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * by for by in (1, 2, 5, 10) if size * by >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [at * step for at in range(first, last + 1)]
