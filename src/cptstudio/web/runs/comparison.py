"""Runs side by side: what they were set to, what came out, and how sure the difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from pydantic import Field

from cptstudio import metrics
from cptstudio.metrics import Compared, Format, Metric
from cptstudio.run_rows import finite, whole
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.validation import LateModel
from cptstudio.verdicts import Against, against_baseline
from cptstudio.web.problems import Problem
from cptstudio.web.runs.details import flattened
from cptstudio.web.runs.run_library import RunLibrary
from cptstudio.web.runs.summaries import RunSummary
from cptstudio.web.series.facts import Measure

MOST_RUNS: Final = 16
_PARTS: dict[Compared, str] = {"best": "best", "last": "last", "change": "change since the start"}


class SettingDifference(LateModel):
    """A setting in which the runs differ; null where a run does not tell it."""

    setting: str
    values: dict[str, Any]


class Delta(LateModel):
    """One result of all runs.

    `baseline` is the baseline's value, from which the page shows differences; `format` is that of
    a metric.
    """

    key: str
    title: str
    unit: str
    format: Format
    lower_is_better: bool | None
    values: dict[str, float | None]
    baseline: float | None


class Comparison(LateModel):
    """Runs side by side. The baseline is the pinned run, or else the first one."""

    runs: list[RunSummary]
    baseline: str | None
    differences: list[SettingDifference]
    deltas: list[Delta]
    against: dict[str, Against] = Field(
        description="By run, if it was measured: its last evaluation against the baseline's."
    )


def compare_runs(library: RunLibrary, ids: Sequence[str]) -> Comparison:
    """Return runs side by side.

    Raises:
        Problem: there are too many.
        NotFound: there is no such run.
    """
    ids = [id for id in dict.fromkeys(ids) if id]
    if len(ids) > MOST_RUNS:
        raise Problem.at("runs", f"Compare at most {MOST_RUNS} runs, not {len(ids)}.")
    runs = [library.summary(id) for id in ids]
    pinned = [run.id for run in runs if run.pinned]
    baseline = next(iter(pinned or ids), None)
    settings = {id: _settings(library, id) for id in ids}
    return Comparison(
        runs=runs,
        baseline=baseline,
        differences=_differences(settings),
        deltas=_deltas(runs, baseline),
        against=_against(library, runs, baseline),
    )


def _settings(library: RunLibrary, id: str) -> dict[str, Any]:
    if id.startswith(ID_PREFIX):
        return {}
    config = library.run(id).config
    if config is None:
        return {}
    found = flattened(config.settings)
    for number, use in enumerate(found.pop("data.corpora", None) or []):
        for name, value in use.items():
            found[f"data.corpora.{number}.{name}"] = value
    if config.parent is not None:
        found["parent"] = f"{config.parent.run}, {config.parent.checkpoint.rpartition('/')[2]}"
    return found


def _differences(settings: dict[str, dict[str, Any]]) -> list[SettingDifference]:
    names = list(dict.fromkeys(name for values in settings.values() for name in values))
    found = []
    for name in names:
        values = {id: one.get(name) for id, one in settings.items()}
        if any(value != next(iter(values.values())) for value in values.values()):
            found.append(SettingDifference(setting=name, values=values))
    return found


def _deltas(runs: Sequence[RunSummary], baseline: str | None) -> list[Delta]:
    rows: list[tuple[Metric, str, str, list[float | None]]] = []
    for metric in metrics.EVALUATION:
        measures = [run.evaluated.get(metric.key, Measure()) for run in runs]
        for part, words in _PARTS.items():
            if part in metric.compared:
                values = [_part(measure, part) for measure in measures]
                rows.append((metric, f"{metric.key}.{part}", f"{metric.title}, {words}", values))
    for metric in metrics.TRAINING:
        if "last" in metric.compared:
            values = [finite(run.newest.get(metric.name)) for run in runs]
            rows.append((metric, metric.name, metric.title, values))
    skipped = Metric("skipped_steps", "Skipped steps", "steps", "integer", better="lower")
    rows.append((skipped, skipped.name, skipped.title, [run.skipped_steps for run in runs]))
    found = []
    for metric, key, title, listed in rows:
        by_run = {run.id: value for run, value in zip(runs, listed, strict=True)}
        if any(value is not None for value in listed):
            found.append(
                Delta(
                    key=key,
                    title=title,
                    unit=metric.unit,
                    format=metric.format,
                    lower_is_better=None if metric.better is None else metric.better == "lower",
                    values=by_run,
                    baseline=by_run.get(baseline) if baseline is not None else None,
                )
            )
    return found


def _against(
    library: RunLibrary, runs: Sequence[RunSummary], baseline: str | None
) -> dict[str, Against]:
    """Each run's last evaluation against the baseline's, where both kept their documents' sums."""
    # NumPy is loaded by the first use.
    from cptstudio.document_sums import RunSums, changes_between, sums_at

    def last(run: RunSummary) -> RunSums | None:
        step = whole(run.evaluations[-1].get("step")) if run.evaluations else None
        if step is None or run.kind != "run":
            return None
        return sums_at(library.directory(run.id), step)

    before = next((last(run) for run in runs if run.id == baseline), None)
    found = {}
    for run in runs:
        if run.id == baseline:
            continue
        now = last(run)
        if not run.evaluations:
            continue
        changes = changes_between(now, before) if now is not None and before is not None else {}
        found[run.id] = against_baseline({role: asdict(one) for role, one in changes.items()})
    return found


def _part(measure: Measure, part: Compared) -> float | None:
    if part != "change":
        return measure.best if part == "best" else measure.last
    if measure.first is None or measure.last is None:
        return None
    return measure.last - measure.first
