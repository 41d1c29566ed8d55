"""Buckets hide no extreme; the moving average is the one that is documented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio.metrics import AXES, NUMBERS, Axis
from cptstudio.web.series import parsing
from cptstudio.web.series.answers import SeriesQuery, answer
from cptstudio.web.series.columns import RunColumns
from cptstudio.web.series.smoothing import smoothed
from tests.web.series.metrics_files import evaluation_row, train_row

COUNT = 20_000


def columns_of(rows: list[dict[str, object]]) -> RunColumns:
    columns = RunColumns(Path("none"))
    columns.add(parsing.from_records(rows), 0, 0)
    return columns


@pytest.fixture(scope="module")
def quiet() -> parsing.Rows:
    return parsing.from_records([train_row(seq, seq) for seq in range(1, COUNT + 1)])


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    at=st.integers(1, COUNT),
    x=st.sampled_from(sorted(AXES)),
    buckets=st.integers(1, 2000),
    zooms=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8),
    sign=st.sampled_from([1.0, -1.0]),
)
def test_a_spike_of_one_row_is_visible_at_every_zoom(
    quiet: parsing.Rows,
    at: int,
    x: Axis,
    buckets: int,
    zooms: list[tuple[float, float]],
    sign: float,
) -> None:
    spike = 1000.0 * sign
    loss = quiet.columns["loss"].copy()
    loss[at - 1] = spike
    columns = RunColumns(Path("none"))
    rows = parsing.Rows(quiet.seq, quiet.train, quiet.columns | {"loss": loss})
    columns.add(rows, 0, 0)
    places = quiet.columns[AXES[x]]
    place, low, high = float(places[at - 1]), float(places[0]), float(places[-1])
    for left, right in [(1.0, 1.0), *zooms]:
        start, end = place - left * (place - low), place + right * (high - place)
        curve = answer(columns, SeriesQuery(x, ("loss",), start, end, buckets))["keys"]["loss"]
        assert len(curve["x"]) <= buckets or len(curve["x"]) <= 1
        assert spike in (curve["max"] if sign > 0 else curve["min"])
        assert curve["x"] == sorted(curve["x"])
        for low_value, mean, high_value in zip(
            curve["min"], curve["mean"], curve["max"], strict=True
        ):
            assert low_value <= mean <= high_value


def test_few_points_stay_what_they_are() -> None:
    columns = columns_of([train_row(seq, seq * 3) for seq in range(1, 101)])
    found = answer(columns, SeriesQuery(buckets=100))
    curve = found["keys"]["loss"]
    assert found["total"] == 100
    assert curve["x"] == [seq * 3.0 for seq in range(1, 101)]
    assert curve["min"] == curve["max"] == curve["mean"] == curve["last"]
    assert curve["last"] == columns.column("loss").tolist()


def test_what_is_not_finite_is_an_alarm_and_no_point() -> None:
    rows = [train_row(seq, seq) for seq in range(1, 2001)]
    rows[10]["loss"], rows[500]["loss"], rows[501]["loss"] = "NaN", "Infinity", "-Infinity"
    del rows[20]["loss"]
    found = answer(columns_of(rows), SeriesQuery(buckets=100))
    assert [(one["seq"], one["value"]) for one in found["nonfinite"]] == [
        (11, "NaN"),
        (501, "Infinity"),
        (502, "-Infinity"),
    ]
    values = [value for name in ("min", "max", "mean", "last", "ema")
              for value in found["keys"]["loss"][name]]  # fmt: skip
    assert all(value is None or np.isfinite(value) for value in values)
    few = answer(columns_of(rows[:30]), SeriesQuery(buckets=100))["keys"]["loss"]
    assert len(few["x"]) == 29, "a row without the number is no point"
    assert few["last"][10] is None


def test_hostile_rows_break_nothing() -> None:
    rows = [
        train_row(1, 5),
        train_row(2, 3),
        {"seq": 9, "kind": "train"},
        train_row(4, 1, tokens_seen="many", elapsed=None, loss=1e308),
        train_row(3, 10**17, loss=-1e308, tokens_seen=-5),
        train_row(2**53 - 1, 4, loss=10**29, elapsed="NaN"),
        evaluation_row(7, 1, domain="NaN"),
        evaluation_row(8, 2, corpora=[1], best="yes"),
        {"seq": 11, "kind": "evaluation", "corpora": {"a": 5, "b": {"loss": "NaN"}}},
    ]
    columns = columns_of(rows)
    for x in AXES:
        for buckets in (1, 2, 100):
            found = answer(columns, SeriesQuery(x, NUMBERS, buckets=buckets))
            assert found["keys"]["loss"]["x"] == sorted(found["keys"]["loss"]["x"])
    assert answer(columns, SeriesQuery())["evaluations"][0]["domain"] is None
    empty = answer(columns_of([]), SeriesQuery())
    assert empty["total"] == 0
    assert empty["keys"]["loss"]["x"] == []
    assert empty["x_min"] is None


def test_evaluations_follow_the_zoom() -> None:
    rows = [train_row(seq, seq) for seq in range(1, 101)]
    rows += [evaluation_row(200 + step, step) for step in range(0, 101, 10)]
    columns = columns_of(rows)
    assert answer(columns, SeriesQuery())["x_min"] == 0
    shown = answer(columns, SeriesQuery(start=15, end=55))["evaluations"]
    assert [point["step"] for point in shown] == [20, 30, 40, 50]
    assert shown[0]["corpora"]["code"]["role"] == "domain"


def slow_average(x: list[float], y: list[float], smoothing: float, unit: float) -> list[float]:
    """The definition, point by point."""
    value = weight = 0.0
    found = []
    for at, new in enumerate(y):
        passed = x[at] - x[at - 1] if at else 0.0
        past = 0.0 if not at else smoothing ** (passed / unit) if passed > 0 else smoothing
        fresh = 1 - smoothing if not at else 1 - past
        value, weight = past * value + fresh * new, past * weight + fresh
        found.append(value / weight)
    return found


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(st.integers(0, 50), min_size=1, max_size=3000),
    smoothing=st.sampled_from([0.0, 0.5, 0.9, 0.999]),
    seed=st.integers(0, 100),
)
def test_the_moving_average_is_the_definition(
    steps: list[int], smoothing: float, seed: int
) -> None:
    x = np.cumsum(np.array(steps, float))
    y = np.random.default_rng(seed).normal(size=len(x))
    line = smoothed(x, y, smoothing)
    if smoothing == 0.0:
        assert np.array_equal(line.values, y)
    elif x[-1] > x[0]:
        expected = slow_average(x.tolist(), y.tolist(), smoothing, line.unit)
        np.testing.assert_allclose(line.values, expected, rtol=1e-9, atol=1e-12)


def test_smoothing_sees_every_row_and_not_the_zoom() -> None:
    columns = columns_of([train_row(seq, seq) for seq in range(1, 5001)])
    all_of_it = answer(columns, SeriesQuery(buckets=10_000))["keys"]["loss"]
    part = answer(columns, SeriesQuery(start=2000, end=2100, buckets=10_000))["keys"]["loss"]
    assert part["ema"] == all_of_it["ema"][1999:2100]


AVERAGES = json.loads((Path(__file__).parents[2] / "moving_averages.json").read_text("utf-8"))


@pytest.mark.parametrize("case", AVERAGES["cases"], ids=lambda case: case["name"])
def test_the_server_and_the_pages_smooth_alike(case: dict[str, Any]) -> None:
    """The pages continue the first `head` values; tests/web/ui/smoothing.test.mjs holds them."""

    def curve(count: int) -> dict[str, Any]:
        rows = [
            {"seq": at + 1, "kind": "train", "step": x, "loss": "NaN" if y is None else y}
            for at, (x, y) in enumerate(zip(case["x"], case["y"], strict=True))
        ]
        query = SeriesQuery(smoothing=case["smoothing"])
        found: dict[str, Any] = answer(columns_of(rows[:count]), query)["keys"]["loss"]
        return found

    begun = curve(case["head"])
    assert begun["ema_unit"] == case["unit"]
    assert begun["ema_weight"] == pytest.approx(case["weight"])
    assert curve(len(case["x"]))["ema"] == [
        None if value is None else pytest.approx(value) for value in case["ema"]
    ]
