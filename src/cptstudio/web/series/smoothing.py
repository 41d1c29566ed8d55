"""Exponential moving average of unevenly spaced points.

A point's predecessors count less the farther they lie back in x, not in rows, so that a pause
or a faster run changes nothing: the weight of what came before is smoothing ** (dx / unit)
(Eckner 2012, "Algorithms for Unevenly Spaced Time Series: Moving Averages and Other Rolling
Operators"). The start is corrected as Adam corrects its moments (arXiv 1412.6980, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cptstudio.web.series.parsing import Floats

SPANS: Final = 1000
_BLOCK: Final = 1024


@dataclass(frozen=True)
class Smoothed:
    """A smoothed curve.

    Attributes:
        values: one for each point.
        unit: of x, to which the smoothing refers; 0 while all points are at one place: then it is
            the distance of the next one.
        weight: how much of the average's start correction is used up at the last point, 0 to 1;
            with it the average can be continued.
    """

    values: Floats
    unit: float
    weight: float


def smoothed(x: Floats, y: Floats, smoothing: float) -> Smoothed:
    """Return the moving average of finite points in order of x.

    Args:
        x: positions, not falling.
        y: values of the same length.
        smoothing: weight of the past after one unit, from 0 (none) to below 1. The unit is the
            usual distance of two points, or a thousandth of the whole range where that is more:
            what a chart of that width can show.
    """
    if not len(x):
        return Smoothed(y, 0.0, 0.0)
    distances = np.diff(x, prepend=x[0])
    between = distances[1:]
    usual = float(np.median(between)) if len(between) else 0.0
    unit = max(usual, float(x[-1] - x[0]) / SPANS)
    if smoothing <= 0:
        return Smoothed(y, unit, 1.0)
    past = np.power(smoothing, distances / (unit or 1.0))
    # Points at the same place count like points one unit apart; they were measured one by one.
    past[distances <= 0] = smoothing
    past[0] = 0.0
    new = 1.0 - past
    new[0] = 1.0 - smoothing
    # Value and weight are the same recurrence, run side by side.
    value = _recurrence(past, new * y)
    weight = _recurrence(past, new)
    return Smoothed(value / weight, unit, float(weight[-1]))


def _recurrence(past: Floats, new: Floats) -> Floats:
    """s[i] = past[i] * s[i - 1] + new[i], s[-1] = 0.

    The points are cut into equal pieces, which are walked side by side from zero; then each
    piece is given what its predecessor ended with. So a million points take a thousand steps.
    """
    count = len(new)
    pieces = -(-count // _BLOCK)
    padded = np.zeros(pieces * _BLOCK)
    padded[:count] = new
    sums = padded.reshape(pieces, _BLOCK).T.copy()
    padded[:] = 1.0
    padded[:count] = past
    products = padded.reshape(pieces, _BLOCK).T.copy()
    for row in range(1, _BLOCK):
        sums[row] += products[row] * sums[row - 1]
        products[row] *= products[row - 1]
    carried = np.zeros(pieces)
    for piece in range(1, pieces):
        carried[piece] = sums[-1, piece - 1] + products[-1, piece - 1] * carried[piece - 1]
    sums += products * carried
    found: Floats = sums.T.reshape(-1)[:count]
    return found
