"""Long work: what may be ordered, and `/api/jobs`, what is under way or has ended.

The routes that order it are those of `jobs.orders`.
"""

from __future__ import annotations

import functools

import flask

from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Nothing, route
from cptstudio.web.problems import Conflict, NotFound
from cptstudio.web.studio import Studio
from cptstudio.web.work.jobs import Job, orders


class Jobs(LateModel):
    """All jobs, the newest first."""

    jobs: list[Job]


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("jobs", __name__, url_prefix="/api")
    for order in orders():
        start = functools.update_wrapper(functools.partial(order.start, studio), order.start)
        route(bp, "POST", order.path, summary=order.summary, status=202)(start)

    @route(bp, "GET", "/jobs", summary="List the jobs")
    def list_jobs() -> Jobs:
        return Jobs(jobs=studio.jobs.jobs())

    @route(bp, "GET", "/jobs/<job_id>", summary="One job")
    def one_job(job_id: str) -> Job:
        return _known(studio.jobs.job(job_id), job_id)

    @route(bp, "POST", "/jobs/<job_id>/cancel", summary="Cancel a job")
    def cancel(job_id: str, body: Nothing) -> Job:
        """The program is asked to end, and killed when it has not after ten seconds."""
        return _known(studio.jobs.cancel(job_id), job_id)

    @route(bp, "DELETE", "/jobs/<job_id>", summary="Forget a job that has ended", status=204)
    def forget(job_id: str) -> None:
        job = _known(studio.jobs.job(job_id), job_id)
        if not studio.jobs.remove(job_id):
            raise Conflict(f"{job.title} is still running. Cancel it first.")

    return bp


def _known(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound(f"There is no job {job_id!r}. Jobs are cleared when the server restarts.")
    return job
