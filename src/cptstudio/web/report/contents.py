"""A report's content about a run: read once, as plain words and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from cptstudio import metrics
from cptstudio.durations import duration
from cptstudio.metrics import Metric
from cptstudio.run_files import RunConfig
from cptstudio.run_rows import finite
from cptstudio.setting_flags import leaves
from cptstudio.web.report.charts import COLORS, Line, Picture, draw, number, short
from cptstudio.web.runs import texts
from cptstudio.web.runs.details import RunDetail, flattened
from cptstudio.web.runs.run_library import RunLibrary
from cptstudio.web.series.answers import SeriesQuery, answer

_BUCKETS: Final = 300
_SMOOTHING: Final = 0.9
_MOST_EVENTS: Final = 200
_MOST_SAMPLED: Final = 3
"""Evaluations whose samples are shown: the first one and the newest."""
Pair = tuple[str, str]


@dataclass(frozen=True)
class Samples:
    """A run's outputs for one prompt, by step."""

    prompt: str
    texts: list[tuple[str, str]]


@dataclass(frozen=True)
class Settings:
    """A run's settings: those that were changed first."""

    title: str
    pairs: list[Pair]
    closed: bool = False


@dataclass(frozen=True)
class RunContents:
    """A report's content about one run, in the order of its page.

    Attributes:
        figures: the numbers that its page begins with.
        evaluations: a table: heads, rows.
    """

    detail: RunDetail
    name: str
    facts: list[Pair]
    figures: list[Pair]
    charts: list[Picture]
    evaluations: tuple[list[str], list[list[str]]]
    samples: list[Samples]
    settings: list[Settings]
    events: list[tuple[str, str, str]]
    events_total: int
    machine: list[Pair] = field(default_factory=list)


def contents_of(library: RunLibrary, id: str) -> RunContents:
    """Read a run.

    Raises:
        NotFound: there is none.
    """
    detail = library.detail(id)
    curves = curves_of(library, id)
    events = library.events(id)
    return RunContents(
        detail=detail,
        name=detail.name or detail.id,
        facts=_facts(detail),
        figures=_figures(detail),
        charts=_charts(curves),
        evaluations=_evaluations(curves["evaluations"]),
        samples=_samples(texts.current_samples(library, id)),
        settings=_settings(detail),
        events=[_event(event) for event in events[-_MOST_EVENTS:]],
        events_total=len(events),
        machine=[] if detail.config is None else _machine(detail.config),
    )


def curves_of(library: RunLibrary, id: str) -> dict[str, Any]:
    """Return a run's curves, read to the end, however long that takes."""
    keys = tuple(metric.name for metric in metrics.TRAINING if metric.column)
    columns = library.columns(id)
    with columns.lock:
        return answer(columns, SeriesQuery(keys=keys, buckets=_BUCKETS, smoothing=_SMOOTHING))


def moment(seconds: float | None) -> str:
    """Return a Unix time as local date and time, or "" where it is none."""
    if not seconds or not 0 < seconds < 1e11:
        return ""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%b %-d, %Y, %-I:%M %p %Z")


# --- figures ---------------------------------------------------------------------------------


def _facts(detail: RunDetail) -> list[Pair]:
    corpora = ", ".join(f"{corpus.name} ({corpus.role})" for corpus in detail.corpora)
    parent = detail.parent
    pairs = [
        ("State", str(detail.state)),
        ("", detail.state.reason),
        ("Base model", detail.model.name if detail.model else ""),
        ("Method", detail.method or ""),
        ("Corpora", corpora),
        ("Forked from", f"{parent.run}, {parent.checkpoint}" if parent else ""),
        ("Started", moment(detail.started)),
        ("Ended", moment(detail.ended)),
        ("Tags", ", ".join(detail.tags)),
    ]
    return [(title, value) for title, value in pairs if value]


def _figures(detail: RunDetail) -> list[Pair]:
    steps = "" if detail.step is None else f"{detail.step:,}"
    if detail.planned_steps and steps:
        steps += f" of {detail.planned_steps:,}"
    trained = detail.trained_seconds
    pairs = [
        ("Steps", steps),
        ("Tokens", short(detail.tokens_seen) if detail.tokens_seen else ""),
        ("Training time", "" if trained is None else duration(trained)),
        ("Training loss", _number(detail.loss)),
        ("Domain validation (bits/byte)", _first_to_last(detail.domain.first, detail.domain.last)),
        (
            "General validation (bits/byte)",
            _first_to_last(detail.general.first, detail.general.last),
        ),
        ("Best domain validation", _number(detail.domain.best)),
        ("Skipped steps", f"{detail.skipped_steps:,}" if detail.skipped_steps else ""),
    ]
    return [(title, value) for title, value in pairs if value]


def _number(value: float | None) -> str:
    return "" if value is None else number(value)


def _first_to_last(first: float | None, last: float | None) -> str:
    if last is None:
        return ""
    return f"{last:.4f}" if first is None or first == last else f"{first:.4f} to {last:.4f}"


# --- curves ----------------------------------------------------------------------------------


def _charts(curves: dict[str, Any]) -> list[Picture]:
    charted = [metric for metric in (*metrics.TRAINING, *metrics.EVALUATION) if metric.chart]
    order = list(dict.fromkeys(metric.chart for metric in charted if metric.chart))
    # The large ones first, as on the run's page.
    order.sort(key=lambda chart: ("large", "wide", "").index(chart.size))
    charted.sort(key=lambda metric: order.index(metric.chart) if metric.chart else 0)
    found = []
    for chart, shown in groupby(charted, key=lambda metric: metric.chart):
        assert chart is not None
        lines: list[Line] = []
        group = list(shown)
        for metric in group:
            lines += lines_of(curves, metric, len(lines) % COLORS + 1)
        unit = group[0].unit
        title = f"{chart.title} ({unit})" if unit else chart.title
        picture = draw(title, lines, zero=chart.zero)
        if picture is not None:
            found.append(picture)
    return found


def lines_of(
    curves: dict[str, Any], metric: Metric, color: int, label: str = "", *, raw: bool = True
) -> list[Line]:
    """Return the lines of a metric over steps.

    Args:
        label: its name in the legend, where that is not the metric's.
        raw: whether each step is drawn behind the moving average.
    """
    label = label or metric.legend or metric.title
    curve = curves["keys"].get(metric.name)
    if curve is None:
        points = _points(
            ((one["step"], one.get(metric.key)) for one in curves["evaluations"]),
        )
        return [Line(label, points, color, dots=True, dashed=color % 2 == 0)]
    if metric.drawn != "smoothed":
        return [Line(label, _points(zip(curve["x"], curve[metric.drawn], strict=True)), color)]
    smooth = Line(label, _points(zip(curve["x"], curve["ema"], strict=True)), color)
    if not raw:
        return [smooth]
    each = _points(zip(curve["x"], curve["mean"], strict=True))
    return [Line(f"{label}, each step", each, color, quiet=True), smooth]


def _points(pairs: Iterable[tuple[Any, Any]]) -> list[tuple[float, float]]:
    found = ((finite(x), finite(y)) for x, y in pairs)
    return [(x, y) for x, y in found if x is not None and y is not None]


def _evaluations(points: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A line for each evaluation: over all corpora of a role, then by corpus."""
    roles = [
        metric
        for metric in metrics.EVALUATION
        if metric.chart
        and (
            not metric.chart.optional or any(point.get(metric.key) is not None for point in points)
        )
    ]
    names = list(dict.fromkeys(name for point in points for name in point["corpora"]))
    heads = ["Step", *(metric.title for metric in roles), *names]
    rows = []
    for point in points:
        by_corpus = (point["corpora"].get(name, {}).get("bits_per_byte") for name in names)
        values = [*(point.get(metric.key) for metric in roles), *by_corpus]
        cells = ["–" if value is None else f"{value:.4f}" for value in values]  # noqa: RUF001
        step = finite(point["step"])
        rows.append(["–" if step is None else f"{step:,.0f}", *cells])  # noqa: RUF001
    return heads, rows


# --- words -----------------------------------------------------------------------------------


def _samples(samples: Sequence[dict[str, Any]]) -> list[Samples]:
    steps = sorted({sample["step"] for sample in samples})
    shown = steps if len(steps) <= _MOST_SAMPLED else [steps[0], *steps[1 - _MOST_SAMPLED :]]
    prompts: dict[str, Samples] = {}
    for sample in samples:
        if sample["step"] in shown:
            prompt = str(sample.get("prompt", ""))
            one = prompts.setdefault(str(sample.get("index")), Samples(prompt, []))
            one.texts.append((f"Step {sample['step']:,}", str(sample.get("completion", ""))))
    return [prompts[index] for index in sorted(prompts, key=lambda index: (len(index), index))]


def _settings(detail: RunDetail) -> list[Settings]:
    if detail.config is None:
        return []
    values = flattened(detail.config.settings)
    defaults = {name: one.get_default(call_default_factory=True) for name, one in leaves()}
    of_parent = {one.setting: one.parent for one in detail.parent_differences}
    found = []
    if of_parent:
        pairs = [
            (one.setting, f"{_plain(one.here)} (parent: {_plain(one.parent)})")
            for one in detail.parent_differences
        ]
        found.append(Settings("Different from the parent run", pairs))
    told = detail.session.told()
    if told:
        pairs = [(name, _plain(value)) for name, value in told.items()]
        found.append(Settings("Changed in the last session", pairs))
    changed: list[Pair] = []
    chosen: list[Pair] = []
    rest: list[Pair] = []
    for name, value in values.items():
        if name in of_parent:
            continue
        default = defaults.get(name)
        if name in defaults and default in (None, "auto"):
            # Of a value without a default config.json does not tell who chose it.
            (rest if value is None else chosen).append((name, _plain(value)))
        else:
            same = _plain(value) == _plain(default)
            (rest if same else changed).append((name, _plain(value)))
    for title, pairs in (
        ("Changed settings", changed),
        ("Set by you or automatically", chosen),
        ("Defaults", rest),
    ):
        if pairs:
            found.append(Settings(title, pairs, closed=title == "Defaults"))
    return found


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_plain(one)}" for name, one in value.items())
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return str(value)


def _machine(config: RunConfig) -> list[Pair]:
    pairs = [
        ("Created", moment(config.created)),
        ("Model folder", config.model_path),
        ("Model SHA-256", config.model_hash or ""),
        *((f"Corpus {one.name}", f"{one.path} ({one.fingerprint})") for one in config.corpora),
        *((name, str(version)) for name, version in config.versions.items()),
        *((name.replace("_", " "), _amount(name, value)) for name, value in config.machine.items()),
    ]
    return [(title, value) for title, value in pairs if value]


def _amount(name: str, value: str | int | float) -> str:
    return (
        f"{value / 1e9:,.1f} GB" if name == "memory" and not isinstance(value, str) else str(value)
    )


def _event(event: dict[str, Any]) -> tuple[str, str, str]:
    step = finite(event.get("step"))
    return (
        moment(finite(event.get("time"))),
        "" if step is None else f"{step:,.0f}",
        str(event.get("message", event.get("event", ""))),
    )
