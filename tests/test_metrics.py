"""The table of metrics: what everything that asks it may rely on."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from cptstudio import metrics
from cptstudio.lm.likelihood import Scores
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.web.pages import UI_FOLDER
from cptstudio.web.series.answers import MOST_NON_FINITE

DOCS = Path(__file__).parent.parent / "docs"
ALL = (*metrics.TRAINING, *metrics.EVALUATION, *metrics.MEASURES)


def test_each_metric_is_there_once_and_can_be_shown() -> None:
    for table in (metrics.TRAINING, metrics.EVALUATION, metrics.MEASURES):
        assert len({metric.key for metric in table}) == len(table)
    script = (UI_FOLDER / "lib" / "metrics.js").read_text(encoding="utf-8")
    formats = re.findall(
        r"^  (\w+)[:,]", script.partition("FORMATS = {")[2].partition("};")[0], re.M
    )
    assert {metric.format for metric in ALL} <= set(formats)
    for metric in ALL:
        assert format(1.5, metric.text)
        # Of an evaluation every number is in its row; of training steps only the columns are kept.
        assert metric.column or metric.chart is None
        assert metric.better or not {"best", "curve"} & set(metric.compared)
    charts = {metric.chart for metric in ALL if metric.chart}
    assert len({chart.id for chart in charts}) == len(charts)


def test_the_pages_repeat_what_the_server_says() -> None:
    axes = (UI_FOLDER / "lib" / "x_axes.js").read_text(encoding="utf-8")
    assert dict(re.findall(r'^  (\w+): \{ field: "(\w+)"', axes, re.M)) == metrics.AXES
    series = (UI_FOLDER / "lib" / "run_series.js").read_text(encoding="utf-8")
    assert f"MOST_NON_FINITE = {MOST_NON_FINITE};" in series
    first = re.findall(r'FIRST_KEY = "(\w+)"', series)
    assert {*first, *metrics.AXES.values()} <= set(metrics.NUMBERS)


def test_each_measure_comes_from_the_scores() -> None:
    figures = Scores(*(np.array([2]) for _ in fields(Scores))).figures()
    names = [measure.name for measure in metrics.MEASURES]
    assert list(figures) == [*names, "tokens", "bytes"]
    definitions = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    assert not [
        one.title for one in metrics.MEASURES if f"| {one.title.lower()} |" not in definitions
    ]


def test_what_has_no_record_is_not_logged(tmp_path: Path) -> None:
    logger = TrainingMetricsLogger(tmp_path, session=0)
    with pytest.raises(
        ValueError, match=r"^update_ratio: not in the table of cptstudio/metrics\.py"
    ):
        logger.row("train", 1, loss=2.0, update_ratio=0.1)
    assert logger.seq == 0
    logger.close()
