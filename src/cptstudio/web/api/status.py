"""`/api/status`: what the status bar shows."""

from __future__ import annotations

import flask

from cptstudio.web.api.openapi import route
from cptstudio.web.live.status_watch import Status, status_now
from cptstudio.web.studio import Studio


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("status", __name__, url_prefix="/api/status")

    @route(bp, "GET", "", summary="Active runs, queue and jobs")
    def status() -> Status:
        return status_now(studio)

    return bp
