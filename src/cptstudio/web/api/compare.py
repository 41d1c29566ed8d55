"""`/api/compare`: runs side by side: what they were set to, and what came out."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import route
from cptstudio.web.runs.comparison import Comparison, compare_runs
from cptstudio.web.studio import Studio


class CompareQuery(LateModel, extra="forbid"):
    """Which runs."""

    runs: str = Field(max_length=4000, description="Ids with commas, 16 at most.")


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("compare", __name__, url_prefix="/api/compare")
    library = studio.run_library

    @route(bp, "GET", "", summary="Runs side by side")
    def compare(query: CompareQuery) -> Comparison:
        return compare_runs(library, query.runs.split(","))

    return bp
