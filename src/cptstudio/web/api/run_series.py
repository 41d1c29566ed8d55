"""`/api/runs/<id>/...`: rows, curves, events, samples, the log and the export of a run."""

from __future__ import annotations

from typing import Any, Literal

import flask
from pydantic import Field

from cptstudio import metrics
from cptstudio.errors import UserError
from cptstudio.metrics import Axis
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.problems import Problem
from cptstudio.web.runs import exports as run_exports
from cptstudio.web.runs import logs
from cptstudio.web.runs import texts as run_texts
from cptstudio.web.runs.system import SystemAnswer, system_of
from cptstudio.web.studio import Studio

_KEYS = 32


class RowsQuery(LateModel, extra="forbid", populate_by_name=True):
    """Which rows."""

    after: int = Field(0, ge=0, lt=2**53, description="Only rows with a greater `seq`.")
    limit: int = Field(2000, ge=1, le=10_000)


class RowsAnswer(LateModel):
    """Current rows, as they are in metrics.jsonl."""

    boot_id: str
    generation: int
    rows: list[dict[str, Any]]
    last_seq: int
    more: bool


class SeriesParameters(LateModel, extra="forbid", populate_by_name=True):
    """What a chart shows."""

    x: Axis = "step"
    keys: str = Field("loss", max_length=1000, description="Names of numbers, with commas.")
    start: float | None = Field(None, alias="from", allow_inf_nan=False)
    end: float | None = Field(None, alias="to", allow_inf_nan=False)
    buckets: int = Field(800, ge=1, le=10_000)
    smoothing: float = Field(0.9, ge=0, le=0.999)


class Curve(LateModel):
    """One number over x, by buckets; null where nothing finite was measured."""

    x: list[float | None]
    min: list[float | None]
    max: list[float | None]
    mean: list[float | None]
    last: list[float | None]
    ema: list[float | None]
    ema_unit: float
    ema_weight: float


class EvaluatedCorpus(LateModel, extra="allow"):
    """What an evaluation measured on one corpus: its role, and `measures` of GET /api/metrics."""

    __pydantic_extra__: dict[str, float | None]

    role: str


class EvaluationPoint(LateModel, extra="allow"):
    """One evaluation; further charted numbers of it (GET /api/metrics) stand under their names."""

    __pydantic_extra__: dict[str, float | None]

    seq: int
    step: float | None
    tokens_seen: float | None
    elapsed: float | None
    domain: float | None
    general: float | None
    corpora: dict[str, EvaluatedCorpus]
    best: bool


class NonFinite(LateModel):
    """A value that was measured and is no finite number."""

    seq: int
    step: float | None
    key: str
    value: Literal["NaN", "Infinity", "-Infinity"]


class SeriesAnswer(LateModel):
    """Curves, evaluations and alarms of a run."""

    boot_id: str
    generation: int
    last_seq: int
    total: int = Field(description="Training rows in the range.")
    complete: bool = Field(
        description="false: a first picture of a long file that is still being read; ask again."
    )
    damaged: int = Field(description="Lines of the file that hold no row.")
    x_min: float | None
    x_max: float | None
    keys: dict[str, Curve]
    evaluations: list[EvaluationPoint]
    evaluations_total: int
    nonfinite: list[NonFinite]
    nonfinite_total: int


class EventsAnswer(LateModel):
    """The newest lines of the run's events, in order."""

    events: list[dict[str, Any]]
    total: int


class SamplesAnswer(LateModel):
    """Completions of the prompt suite that hold, in order."""

    samples: list[dict[str, Any]]
    total: int


class LogQuery(LateModel, extra="forbid", populate_by_name=True):
    """Which part of the log."""

    bytes: int = Field(65536, ge=1, le=1024 * 1024)
    before: int | None = Field(None, ge=0, lt=2**53, description="End of the part; null: the end.")
    after: int | None = Field(None, ge=0, lt=2**53, description="Its beginning in place of that.")


class LogAnswer(LateModel):
    """A part of the log between two offsets, from a line's beginning where there is one."""

    text: str
    start: int
    end: int
    size: int


class LogSearchQuery(LateModel, extra="forbid", populate_by_name=True):
    """Which lines."""

    words: str = Field(min_length=1, max_length=200, description="In whatever case.")
    after: int = Field(0, ge=0, lt=2**53, description="Only lines from this offset on.")
    limit: int = Field(500, ge=1, le=2000)


class LogLine(LateModel):
    """A line of the log."""

    offset: int
    text: str = Field(description="Its first 1,000 characters.")


class LogSearchAnswer(LateModel):
    """Lines that hold the words."""

    lines: list[LogLine]
    total: int = Field(description="Of the whole log, whatever `after` says.")
    capped: bool = Field(description="There are more than `total`, which were not counted.")
    more: bool
    size: int


class SystemQuery(LateModel, extra="forbid", populate_by_name=True):
    """Which samples."""

    after: float = Field(
        -1.0, allow_inf_nan=False, description="Only those after so many seconds of the run."
    )


class ExportQuery(LateModel, extra="forbid", populate_by_name=True):
    """In which form."""

    format: Literal["csv", "json"] = "csv"


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("run_series", __name__, url_prefix="/api/runs/<run_id>")
    library = studio.run_library

    @route(bp, "GET", "/rows", summary="Current rows", answer=RowsAnswer)
    def rows(run_id: str, query: RowsQuery) -> dict[str, Any]:
        page = library.rows(run_id, query.after, query.limit)
        return {"boot_id": studio.boot_id, **vars(page)}

    @route(bp, "GET", "/series", summary="Curves", answer=SeriesAnswer)
    def series(run_id: str, query: SeriesParameters) -> dict[str, Any]:
        from cptstudio.web.series.answers import SeriesQuery

        keys = tuple(dict.fromkeys(key for key in query.keys.split(",") if key))
        unknown = [key for key in keys if key not in metrics.NUMBERS]
        if unknown or len(keys) > _KEYS:
            known = ", ".join(metrics.NUMBERS)
            message = f"There is no curve {', '.join(unknown)[:200]!r}. There are: {known}."
            raise Problem.at("keys", message)
        asked = SeriesQuery(query.x, keys, query.start, query.end, query.buckets, query.smoothing)
        return {"boot_id": studio.boot_id, **library.curves(run_id, asked)}

    @route(bp, "GET", "/events", summary="The run's events", answer=EventsAnswer)
    def events(run_id: str) -> dict[str, Any]:
        found = library.events(run_id)
        return {"events": found[-run_texts.MOST_LINES :], "total": len(found)}

    @route(bp, "GET", "/samples", summary="Completions of the prompts", answer=SamplesAnswer)
    def samples(run_id: str) -> dict[str, Any]:
        found = run_texts.current_samples(library, run_id)
        return {"samples": found[-run_texts.MOST_LINES :], "total": len(found)}

    @route(bp, "GET", "/system", summary="CPU or GPU, memory and disk over the run's time")
    def system(run_id: str, query: SystemQuery) -> SystemAnswer:
        return system_of(library, run_id, query.after)

    @route(bp, "GET", "/log", summary="A part of train.log", answer=LogAnswer)
    def log(run_id: str, query: LogQuery) -> dict[str, Any]:
        return logs.log_part(library, run_id, query.bytes, query.before, query.after)

    @route(bp, "GET", "/log/search", summary="Lines of train.log", answer=LogSearchAnswer)
    def search(run_id: str, query: LogSearchQuery) -> dict[str, Any]:
        return logs.log_search(library, run_id, query.words, query.after, query.limit)

    @route(bp, "GET", "/log/file", summary="train.log", media_type="text/plain")
    def log_file(run_id: str) -> flask.Response:
        answer = flask.Response(logs.whole_log(library, run_id), mimetype="text/plain")
        name = f"{run_id}.train.log"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    @route(
        bp, "GET", "/settings.yaml", summary="All settings as YAML", media_type="application/yaml"
    )
    def settings(run_id: str) -> flask.Response:
        config = library.run(run_id).config
        if config is None:
            raise UserError(f"The configuration of {run_id} cannot be read.")
        return flask.Response(run_texts.settings_yaml(config.settings), mimetype="application/yaml")

    @route(
        bp,
        "GET",
        "/export",
        summary="All current rows as a file",
        media_type="application/octet-stream",
    )
    def export(run_id: str, query: ExportQuery) -> flask.Response:
        """Training and evaluation rows, those of superseded sessions left out."""
        library.rows(run_id, 0, 1)
        make = run_exports.as_csv if query.format == "csv" else run_exports.as_json
        mimetype = "text/csv" if query.format == "csv" else "application/json"
        answer = flask.Response(make(library, run_id), mimetype=mimetype)
        answer.headers["Content-Disposition"] = f'attachment; filename="{run_id}.{query.format}"'
        return answer

    return bp
