"""`/api/...-schema` and `/api/metrics`: the tables that forms, flags and charts are made from."""

from __future__ import annotations

from typing import Any

import flask

from cptstudio import metrics
from cptstudio.corpus.manifest import BuildChoices
from cptstudio.corpus.ocr import find_engine
from cptstudio.metrics import Metric
from cptstudio.prompt_suites import Suite
from cptstudio.sampling import PLAYGROUND_SAMPLING
from cptstudio.settings import TrainingSettings
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio


class MetricsAnswer(LateModel):
    """What a run's rows hold, and how it is shown.

    Attributes:
        training: numbers of rows of training.
        evaluation: numbers of rows of evaluations.
        measures: what is measured on one set of held-out text, by evaluations and by tests.
    """

    training: tuple[Metric, ...]
    evaluation: tuple[Metric, ...]
    measures: tuple[Metric, ...]


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("schemas", __name__, url_prefix="/api")
    schema: dict[str, Any] = {}

    @route(bp, "GET", "/settings-schema", summary="JSON Schema of the settings")
    def settings_schema() -> dict[str, Any]:
        if not schema:
            schema.update(TrainingSettings.model_json_schema())
        return schema

    @route(bp, "GET", "/sampling-schema", summary="JSON Schema of a suite and its sampling")
    def sampling_schema() -> dict[str, Any]:
        """`$defs.Sampling` has the fields, bounds and usual values of all sampling.

        `playground` has what the playground begins with instead, for raw text and for chat.
        """
        return Suite.model_json_schema() | {"playground": PLAYGROUND_SAMPLING}

    @route(bp, "GET", "/build-schema", summary="JSON Schema of a corpus's build settings")
    def build_schema() -> dict[str, Any]:
        """A setting that this machine has no use for says so: `unavailable`."""
        known = BuildChoices.model_json_schema()
        ocr, language = (known["properties"][name] for name in ("ocr", "ocr_language"))
        engine = find_engine()
        if engine is None:
            ocr["unavailable"] = language["unavailable"] = True
        else:
            ocr["description"] += f" Here: {engine.version}."
            language["description"] += f" Here: {', '.join(engine.languages)}."
        return known

    @route(bp, "GET", "/metrics", summary="The table of metrics")
    def metric_table() -> MetricsAnswer:
        return MetricsAnswer(
            training=metrics.TRAINING, evaluation=metrics.EVALUATION, measures=metrics.MEASURES
        )

    return bp
