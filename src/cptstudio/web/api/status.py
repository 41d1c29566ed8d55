"""`/api/status`: what the status bar shows."""

from __future__ import annotations

import flask
from pydantic import BaseModel

from cptstudio.web.api.openapi import route
from cptstudio.web.jobs import Job
from cptstudio.web.status_watch import status_now
from cptstudio.web.studio import Studio
from cptstudio.web.summaries import RunSummary


class WaitingRun(BaseModel):
    """A run in the queue; `resume` is the checkpoint it goes on from."""

    run: str
    resume: str | None
    added: float


class QueueStatus(BaseModel):
    """The queue, the next run first."""

    paused: bool
    problem: str | None = None
    waiting: list[WaitingRun]


class Status(BaseModel):
    """Active runs, queue and jobs."""

    boot_id: str
    active: list[RunSummary]
    queue: QueueStatus
    jobs: list[Job]


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("status", __name__, url_prefix="/api/status")

    @route(bp, "GET", "", summary="Active runs, queue and jobs", answer=Status)
    def status() -> Status:
        return Status.model_validate(status_now(studio))

    return bp
