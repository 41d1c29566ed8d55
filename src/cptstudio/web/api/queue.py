"""`/api/queue`: runs that wait for the one before."""

from __future__ import annotations

import flask

from cptstudio.runs.on_run_end.next_in_queue import QueueRunner
from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.live.status_watch import QueueStatus, status_now
from cptstudio.web.problems import Conflict, NotFound
from cptstudio.web.studio import Studio


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("queue", __name__, url_prefix="/api/queue")

    def runner() -> QueueRunner:
        if studio.queue_runner is None:
            raise Conflict("This server does not serve the queue.")
        return studio.queue_runner

    def now() -> QueueStatus:
        studio.news.changed()
        return status_now(studio).queue

    @route(bp, "POST", "/continue", summary="Start waiting runs from now on")
    def go_on(body: Nothing) -> QueueStatus:
        runner().go_on()
        return now()

    @route(bp, "POST", "/pause", summary="Start no waiting run")
    def pause(body: Nothing) -> QueueStatus:
        """A run that trains goes on."""
        runner().pause()
        return now()

    @route(bp, "DELETE", "/<run_id>", summary="Take a run out of the queue", status=204)
    def remove(run_id: str) -> None:
        if not studio.manager.queue.remove(run_id):
            raise NotFound(f"The run {run_id!r} is not in the queue.")
        studio.news.changed([run_id])

    return bp
