"""Reports to keep: a run, or several side by side, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence

import flask

from cptstudio.web.api.compare import CompareQuery
from cptstudio.web.api.openapi import route
from cptstudio.web.studio import Studio


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("reports", __name__, url_prefix="/api")

    def answer(ids: Sequence[str]) -> flask.Response:
        from cptstudio.web.report.report import file_name, report_of

        made = flask.Response(report_of(studio.run_library, ids), mimetype="text/html")
        # It is a file to keep: on this address it would be a page of ours.
        made.headers["Content-Disposition"] = f'attachment; filename="{file_name(ids)}"'
        return made

    @route(bp, "GET", "/runs/<run_id>/report", summary="A run as a report", media_type="text/html")
    def of_run(run_id: str) -> flask.Response:
        """One HTML file that needs no network."""
        return answer([run_id])

    @route(
        bp,
        "GET",
        "/compare/report",
        summary="Runs side by side as a report",
        media_type="text/html",
    )
    def of_several(query: CompareQuery) -> flask.Response:
        """One HTML file: verdicts, curves over one another, what differs, and each run."""
        return answer([id for id in dict.fromkeys(query.runs.split(",")) if id])

    return bp
