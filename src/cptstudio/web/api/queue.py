"""`/api/queue`: runs that wait for the one before."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.runs.on_run_end.next_in_queue import QueueRunner
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.live.status_watch import QueueStatus, status_now
from cptstudio.web.problems import Conflict, NotFound
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted


class Place(LateModel, extra="forbid"):
    """A place in the queue."""

    place: int = Field(ge=1, le=1_000_000, description="1 is the next one.")


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("queue", __name__, url_prefix="/api/queue")

    def runner() -> QueueRunner:
        if studio.queue_runner is None:
            raise Conflict("This server does not manage the queue.")
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

    @route(bp, "POST", "/<run_id>/move", summary="Give a run another place in the queue")
    def move(run_id: str, body: Place) -> QueueStatus:
        """The others keep their order."""
        studio.manager.queue.move(run_id, body.place)
        return now()

    @route(bp, "DELETE", "/<run_id>", summary="Remove a run from the queue")
    def remove(run_id: str) -> Deleted:
        removed = studio.manager.queue.remove(run_id)
        if not removed:
            raise NotFound(f"The run {run_id!r} is not in the queue.")
        studio.news.changed([run_id])
        return deletions.discard(studio, "queued run", run_id, memory=removed)

    return bp
