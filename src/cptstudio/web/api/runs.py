"""`/api/runs` and `/api/pinned`: runs, and everything that is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import flask
from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.session_settings import SessionSettings
from cptstudio.settings import parse_settings
from cptstudio.training.fitting import Fit, completed, fit_of_plan, fit_of_run
from cptstudio.training.prepare import plan_config
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import DoesNotFit, Problem
from cptstudio.web.runs.details import RunDetail
from cptstudio.web.runs.summaries import Runs, RunSummary
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted
from cptstudio.workspace import check_name

_Name = Field(min_length=1, max_length=64, description="1 to 64 letters, digits, `.`, `_`, `-`.")


_Anyway = Field(
    False,
    description="Start although it needs more memory or disk than there is. Without it such a run "
    "is refused with status 409 and the numbers, in `needs`.",
)


class NewRun(LateModel, extra="forbid"):
    """What shall be trained."""

    name: str = _Name
    settings: dict[str, Any] = Field(description="The tree of GET /api/settings-schema.")
    queue: bool = Field(False, description="Wait for the active runs instead of refusing.")
    anyway: bool = _Anyway


class Start(LateModel, extra="forbid"):
    """How a prepared run is started."""

    queue: bool = False
    anyway: bool = _Anyway


class Resume(LateModel, extra="forbid"):
    """From where a run goes on, and what its session does otherwise."""

    checkpoint: str | None = Field(None, max_length=64, description="null: the newest one.")
    session: SessionSettings = Field(
        default_factory=SessionSettings,
        description="What is null stays as in the session before. An update keeps its size.",
    )
    confirmed: bool = False
    queue: bool = False
    anyway: bool = _Anyway


class Fork(LateModel, extra="forbid"):
    """What a fork begins with, and what it changes."""

    checkpoint: str | None = Field(None, max_length=64, description="null: the newest one.")
    name: str = _Name
    changes: dict[str, Any] = Field(
        default_factory=dict, description="New values by the settings' dotted names."
    )
    queue: bool = False
    anyway: bool = _Anyway


_PauseQueue = Field(
    False,
    description="Start no waiting run until the queue is continued. Else the next one starts.",
)


class Stop(LateModel, extra="forbid"):
    """How a run is stopped."""

    pause_queue: bool = _PauseQueue


class Kill(LateModel, extra="forbid"):
    """How a run is ended at once."""

    confirmed: bool = False
    pause_queue: bool = _PauseQueue


class LabelBody(LateModel, extra="forbid"):
    """Tags and a note."""

    tags: list[str] = Field(default_factory=list, max_length=32)
    note: str = Field("", max_length=20_000)


class Pin(LateModel, extra="forbid"):
    """The run that others are compared with; null for none."""

    run: str | None = Field(None, max_length=128)


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("runs", __name__, url_prefix="/api")
    _add_runs(bp, studio)
    _add_starting(bp, studio)
    _add_ending(bp, studio)
    _add_labels(bp, studio)
    return bp


def _ask(fit: Fit | None, anyway: bool) -> None:
    """Refuse, with the numbers, what cannot fit, unless it is to start anyway."""
    if fit is not None and not fit.fits and not anyway:
        raise DoesNotFit(fit.sentences(), asdict(fit))


def _changed(studio: Studio, id: str) -> RunSummary:
    """Tell the pages of it, and answer with the run as it is now."""
    studio.news.changed([id])
    return studio.run_library.summary(id)


def _add_runs(bp: flask.Blueprint, studio: Studio) -> None:
    library = studio.run_library

    @route(bp, "GET", "/runs", summary="List the runs, the newest first")
    def list_runs() -> Runs:
        return library.all()

    @route(bp, "GET", "/runs/<run_id>", summary="All of one run")
    def one(run_id: str) -> RunDetail:
        return library.detail(run_id)

    @route(bp, "DELETE", "/runs/<run_id>", summary="Delete a run")
    def delete(run_id: str, body: Confirmed) -> Deleted:
        """Removes its directory with its checkpoints, and what is remembered of it."""
        answer = deletions.delete_run(studio, run_id, confirmed=body.confirmed)
        studio.news.changed([run_id])
        return answer


def _add_starting(bp: flask.Blueprint, studio: Studio) -> None:
    library, manager = studio.run_library, studio.manager

    @route(bp, "POST", "/runs", summary="Start a run", status=201)
    def create(body: NewRun) -> RunSummary:
        """Plans it, writes its config.json, and trains in a process that outlives the server."""
        try:
            check_name(body.name, "run")
        except UserError as error:
            raise Problem.at("name", error) from None
        settings = parse_settings(body.settings)
        config, plan = plan_config(studio.workspace, body.name, settings)
        _ask(fit_of_plan(plan), body.anyway)
        manager.start(config, queue=body.queue)
        return _changed(studio, body.name)

    @route(bp, "POST", "/runs/<run_id>/start", summary="Start a prepared run")
    def start(run_id: str, body: Start) -> RunSummary:
        run = library.run(run_id)
        _ask(fit_of_run(run.config, run.directory), body.anyway)
        manager.start_prepared(run_id, queue=body.queue)
        return _changed(studio, run_id)

    @route(bp, "POST", "/runs/<run_id>/resume", summary="Resume from a checkpoint")
    def resume(run_id: str, body: Resume) -> RunSummary:
        run = library.run(run_id)
        if body.confirmed:
            _ask(fit_of_run(run.config, run.directory, body.session), body.anyway)
        manager.resume(
            run_id,
            body.checkpoint,
            confirmed=body.confirmed,
            queue=body.queue,
            given=body.session,
        )
        return _changed(studio, run_id)

    @route(
        bp, "POST", "/runs/<run_id>/fork", summary="Start a new run from a checkpoint", status=201
    )
    def fork(run_id: str, body: Fork) -> RunSummary:
        library.run(run_id)
        config = manager.fork_config(run_id, body.checkpoint, body.name, body.changes)
        config, fit = completed(studio.workspace, config)
        _ask(fit, body.anyway)
        manager.start(config, queue=body.queue)
        return _changed(studio, body.name)


@contextmanager
def _queue_paused(studio: Studio, wanted: bool) -> Iterator[None]:
    """Pause the queue before a run is ended, so that no other one starts in between."""
    runner = studio.queue_runner if wanted else None
    was_paused = runner is None or runner.paused
    if runner is not None:
        runner.pause()
    try:
        yield
    except UserError:
        # Nothing was ended, so the queue is as it was.
        if runner is not None and not was_paused:
            runner.go_on()
        raise


def _add_ending(bp: flask.Blueprint, studio: Studio) -> None:
    library, manager = studio.run_library, studio.manager

    @route(bp, "POST", "/runs/<run_id>/stop", summary="Save a checkpoint and stop")
    def stop(run_id: str, body: Stop) -> RunSummary:
        library.run(run_id)
        with _queue_paused(studio, body.pause_queue):
            manager.stop(run_id)
        return _changed(studio, run_id)

    @route(bp, "POST", "/runs/<run_id>/kill", summary="Force stop, without a checkpoint")
    def kill(run_id: str, body: Kill) -> RunSummary:
        run = library.run(run_id)
        if not body.confirmed:
            last = (run.checkpoints() or ["none"])[-1]
            raise UserError(
                f"Force-stopping {run_id} ends it without saving; its last checkpoint is {last}. "
                "Confirm to continue."
            )
        with _queue_paused(studio, body.pause_queue):
            manager.kill(run_id)
        return _changed(studio, run_id)


def _add_labels(bp: flask.Blueprint, studio: Studio) -> None:
    library = studio.run_library

    @route(bp, "PUT", "/runs/<run_id>/labels", summary="Set tags and note")
    def label(run_id: str, body: LabelBody) -> RunSummary:
        run = library.run(run_id)
        tags = [tag for tag in dict.fromkeys(tag.strip()[:64] for tag in body.tags) if tag]
        library.labels.set(run_id, run.created, tags, body.note)
        return _changed(studio, run_id)

    @route(bp, "PUT", "/pinned", summary="Pin the run to compare with")
    def pin(body: Pin) -> Pin:
        created = library.run(body.run).created if body.run is not None else 0.0
        library.labels.pin(body.run, created)
        studio.news.changed([body.run] if body.run else [])
        return body
