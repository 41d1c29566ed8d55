"""A chart's data: curves, evaluations, and values that were not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cptstudio.metrics import AXES, EVALUATION, MEASURES, Axis
from cptstudio.run_rows import finite
from cptstudio.web.series import parsing
from cptstudio.web.series.buckets import reduce_points
from cptstudio.web.series.columns import RunColumns
from cptstudio.web.series.parsing import Floats, Integers
from cptstudio.web.series.smoothing import smoothed

MOST_NON_FINITE: Final = 200
MOST_EVALUATIONS: Final = 2000
CHARTED: Final = tuple(metric for metric in EVALUATION if metric.chart)


@dataclass(frozen=True)
class SeriesQuery:
    """A chart's query.

    Attributes:
        x: "step", "tokens" (seen) or "time" (seconds of training).
        keys: names of `metrics.NUMBERS`.
        start, end: range of x, or None for its first and last.
        buckets: at most so many points a curve.
        smoothing: of the moving average, 0 to below 1.
    """

    x: Axis = "step"
    keys: tuple[str, ...] = ("loss",)
    start: float | None = None
    end: float | None = None
    buckets: int = 800
    smoothing: float = 0.9


def answer(columns: RunColumns, query: SeriesQuery) -> dict[str, Any]:
    """Return the curves of a run as plain values; the caller holds the columns' lock."""
    x, order = _positions(columns.column(AXES[query.x]))
    evaluations = [evaluation_point(row) for row in columns.evaluations()]
    places = [_place(point, query.x) for point in evaluations]
    first = min([float(x[0])] if len(x) else [], default=None)
    last = max([float(x[-1])] if len(x) else [], default=None)
    for place in places:
        if place is not None:
            first = place if first is None else min(first, place)
            last = place if last is None else max(last, place)
    low = -np.inf if query.start is None else query.start
    high = np.inf if query.end is None else query.end
    inside = slice(
        int(np.searchsorted(x, low, side="left")), int(np.searchsorted(x, high, side="right"))
    )
    keys, non_finite, non_finite_total = {}, [], 0
    for key in query.keys:
        keys[key] = _curve(columns, key, x, order, inside, query)
        found, count = _not_finite(columns, key, order, inside)
        non_finite += found
        non_finite_total += count
    shown = [
        point
        for point, place in zip(evaluations, places, strict=True)
        if place is not None and low <= place <= high
    ]
    return {
        "generation": columns.generation,
        "last_seq": columns.last_seq,
        "total": max(0, inside.stop - inside.start),
        "damaged": columns.damaged,
        "x_min": first,
        "x_max": last,
        "keys": keys,
        "evaluations": _thinned(shown),
        "evaluations_total": len(shown),
        "nonfinite": non_finite[:MOST_NON_FINITE],
        "nonfinite_total": non_finite_total,
    }


def evaluation_point(row: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation row as a point of the charts; a value that is no number is None."""
    corpora = row.get("corpora")
    return {
        "seq": row[parsing.SEQ],
        **{name: finite(row.get(name)) for name in AXES.values()},
        **{metric.key: finite(row.get(metric.name)) for metric in CHARTED},
        "best": row.get("best") is True,
        "corpora": {
            str(name): {
                "role": str(values.get("role", "")),
                **{measure.name: finite(values.get(measure.name)) for measure in MEASURES},
            }
            for name, values in (corpora.items() if isinstance(corpora, dict) else ())
            if isinstance(values, dict)
        },
    }


def _positions(x: Floats) -> tuple[Floats, Integers | None]:
    """Finite positions in rising order, and which rows they belong to (None: all, as they are).

    A file that somebody wrote by hand may have rows without a position, or going back.
    """
    usable = np.isfinite(x)
    if usable.all():
        if not (np.diff(x) < 0).any():
            return x, None
        order = np.argsort(x, kind="stable")
    else:
        rows = np.flatnonzero(usable)
        order = rows[np.argsort(x[rows], kind="stable")]
    return x[order], order


def _curve(
    columns: RunColumns,
    key: str,
    x: Floats,
    order: Integers | None,
    inside: slice,
    query: SeriesQuery,
) -> dict[str, Any]:
    y = columns.column(key)
    if order is not None:
        y = y[order]
    measured = ~parsing.is_absent(y)
    usable = np.isfinite(y)
    average = np.full(len(y), np.nan)
    unit, weight = 0.0, 0.0
    if usable.any():
        if usable.all():
            line = smoothed(x, y, query.smoothing)
            average = line.values
        else:
            line = smoothed(x[usable], y[usable], query.smoothing)
            average[usable] = line.values
        unit, weight = line.unit, line.weight
    x, y, average, measured = x[inside], y[inside], average[inside], measured[inside]
    if not measured.all():
        x, y, average = x[measured], y[measured], average[measured]
    reduced = None if not len(x) else reduce_points(x, y, average, query.buckets)
    names = ("x", "minimum", "maximum", "mean", "last", "smoothed")
    lists = [_plain(getattr(reduced, name)) if reduced else [] for name in names]
    curve: dict[str, Any] = dict(
        zip(("x", "min", "max", "mean", "last", "ema"), lists, strict=True)
    )
    return curve | {"ema_unit": unit, "ema_weight": weight}


def _not_finite(
    columns: RunColumns, key: str, order: Integers | None, inside: slice
) -> tuple[list[dict[str, Any]], int]:
    y = columns.column(key)
    rows = np.arange(len(y)) if order is None else order
    rows = rows[inside]
    chosen = y[rows]
    found = rows[~np.isfinite(chosen) & ~parsing.is_absent(chosen)]
    seqs, steps = columns.seqs(), columns.column("step")
    points = [
        {
            "seq": int(seqs[row]),
            "step": finite(float(steps[row])),
            "key": key,
            "value": _name(y[row]),
        }
        for row in found[:MOST_NON_FINITE].tolist()
    ]
    return points, len(found)


def _name(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _plain(values: npt.NDArray[np.float64]) -> list[float | None]:
    if np.isfinite(values).all():
        whole: list[float | None] = values.tolist()
        return whole
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _place(point: dict[str, Any], axis: Axis) -> float | None:
    place: float | None = point[AXES[axis]]
    return place


def _thinned(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most so many evaluations; the lowest and highest of each group stay."""
    if len(points) <= MOST_EVALUATIONS:
        return list(points)
    size = -(-2 * len(points) // MOST_EVALUATIONS)
    kept = []
    for start in range(0, len(points), size):
        group = points[start : start + size]
        measured = [point for point in group if point["domain"] is not None] or group[:1]
        ends = {
            id(point): point
            for point in (
                min(measured, key=lambda point: point["domain"] or 0.0),
                max(measured, key=lambda point: point["domain"] or 0.0),
            )
        }
        kept += sorted(ends.values(), key=lambda point: point["seq"])
    return kept
