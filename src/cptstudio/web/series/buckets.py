"""Many points to as many as a screen is wide, without hiding one.

Each bucket of x tells its smallest, largest, mean and last value, so the highest spike of one
row stays in the picture at every zoom. Buckets without a point are left out: nothing is
interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cptstudio.web.series.parsing import Floats


@dataclass(frozen=True)
class Reduced:
    """A curve of a chart; NaN stands for "nothing finite was measured there".

    Attributes:
        x: of each bucket's last point, where its last value was measured.
        minimum, maximum, mean, last: of the bucket's finite values.
        smoothed: the moving average at the bucket's last finite point.
    """

    x: Floats
    minimum: Floats
    maximum: Floats
    mean: Floats
    last: Floats
    smoothed: Floats


def reduce_points(x: Floats, y: Floats, average: Floats, buckets: int) -> Reduced:
    """Points in order of x as at most `buckets` buckets of equal width.

    Args:
        x: positions, not falling, finite.
        y: values; what is not finite counts as measured but unusable.
        average: smoothed values, NaN where y is not finite.
        buckets: how many at most; with so many points or fewer each is a bucket of its own.
    """
    y = np.where(np.isfinite(y), y, np.nan)
    if len(x) <= buckets:
        return Reduced(x, y, y, y, y, average)
    starts = _starts(x, buckets)
    ends = np.append(starts[1:], len(x))
    finite = np.isfinite(y)
    counts = np.add.reduceat(finite, starts, dtype=np.int64)
    empty = counts == 0
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduceat(np.where(finite, y, 0.0), starts) / np.where(empty, 1, counts)
    minimum = np.fmin.reduceat(y, starts)
    maximum = np.fmax.reduceat(y, starts)
    # A mean of huge numbers may overflow or round out of the range of its values.
    mean = np.where(empty, np.nan, np.clip(mean, minimum, maximum))
    last_finite = np.maximum.reduceat(np.where(finite, np.arange(len(y)), 0), starts)
    return Reduced(
        x=x[ends - 1],
        minimum=minimum,
        maximum=maximum,
        mean=mean,
        last=np.where(empty, np.nan, y[last_finite]),
        smoothed=np.where(empty, np.nan, average[last_finite]),
    )


def _starts(x: Floats, buckets: int) -> npt.NDArray[np.int64]:
    """Index of the first point of each bucket that has any."""
    first, last = float(x[0]), float(x[-1])
    with np.errstate(over="ignore"):
        width = (last - first) / buckets
    if not (np.isfinite(width) and width > 0):
        # All at one place, or farther apart than numbers reach: by their number instead.
        return np.unique(np.linspace(0, len(x), buckets, endpoint=False).astype(np.int64))
    edges = first + width * np.arange(1, buckets)
    inner = np.searchsorted(x, edges, side="left")
    starts = np.unique(np.concatenate([[0], inner]))
    return starts[starts < len(x)].astype(np.int64)
