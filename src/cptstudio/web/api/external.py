"""`/api/external`: training on this machine that other programs started. Shown, never owned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flask

from cptstudio.errors import UserError
from cptstudio.runs.external.detection import Detection, ExternalProcess, visible
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, Nothing, route
from cptstudio.web.problems import NotFound
from cptstudio.web.studio import Studio
from cptstudio.web.work.watched_processes import Watch, WatchedProcesses, process_id


class ConfirmedTwice(LateModel, extra="forbid"):
    """A body that says that the user was asked twice and agreed both times."""

    confirmed: bool = False
    confirmed_again: bool = False


class DecisionView(LateModel):
    """Why a process counts as training, or why one that came near does not."""

    pid: int
    trains: bool | None
    evidence: str


class ProcessView(LateModel):
    """A process of another program that trains, with the evidence."""

    id: str
    kind: str
    pid: int
    owner: str | None
    command: list[str]
    started: float
    folder: str | None
    adapter_path: str | None
    model: str | None
    iterations: int | None
    log: str | None
    log_reason: str
    evidence: str
    watched: bool
    ended: bool


class ExternalAnswer(LateModel):
    """What was found. `enabled` is false when detection is off, and then nothing was looked at."""

    enabled: bool
    decisions: list[DecisionView]
    processes: list[ProcessView]


class ExternalRows(LateModel):
    """What a watched process's log told, in the shape of our own rows and events."""

    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    ended: bool
    problem: str | None
    left_out: int


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("external", __name__, url_prefix="/api/external")
    external = studio.manager.external
    watched = WatchedProcesses(external, lambda: studio.news.publish("external", {}))

    def find(id: str) -> ExternalProcess:
        for process in external.detect().processes:
            if process_id(process) == id:
                return process
        raise NotFound(f"No training process {id!r}. It may have ended.")

    @route(bp, "GET", "", summary="Training by other programs on this machine")
    def look() -> ExternalAnswer:
        """Looks at the processes of this machine; it only reads."""
        return _found(external.detect(), watched.watched())

    @route(bp, "POST", "/<process_id>/watch", summary="Follow its log")
    def watch(process_id: str, body: Confirmed) -> Nothing:
        process = find(process_id)
        if not body.confirmed:
            sentence = external.ask(process.identity.pid, "watch").sentence
            raise UserError(f"{sentence} Confirm to continue.")
        watched.watch(process)
        return Nothing()

    @route(bp, "POST", "/<process_id>/stop", summary="Stop the process")
    def stop(process_id: str, body: ConfirmedTwice) -> Nothing:
        """Right before the signal it is checked again that it is the same process, and yours."""
        process = find(process_id)
        confirmation = external.ask(process.identity.pid, "stop")
        if not (body.confirmed and body.confirmed_again):
            raise UserError(f"{confirmation.sentence} Confirm twice to continue.")
        external.stop(confirmation.token)
        studio.news.publish("external", {})
        return Nothing()

    @route(bp, "GET", "/<process_id>/rows", summary="What its log told so far")
    def rows(process_id: str) -> ExternalRows:
        watch = watched.watched().get(process_id)
        if watch is None:
            raise NotFound(f"The process {process_id!r} is not watched.")
        return ExternalRows(
            rows=list(watch.rows),
            events=list(watch.events),
            ended=watch.ended,
            problem=watch.problem,
            left_out=watch.left_out,
        )

    return bp


def _found(found: Detection, watches: Mapping[str, Watch]) -> ExternalAnswer:
    views = [
        _view(process, process_id(process) in watches, ended=False) for process in found.processes
    ]
    there = {view.id for view in views}
    views += [
        _view(watch.process, watched=True, ended=True)
        for id, watch in watches.items()
        if id not in there
    ]
    return ExternalAnswer(
        enabled=not found.off,
        decisions=[
            DecisionView(pid=one.pid, trains=one.trains, evidence=visible(one.evidence))
            for one in found.decisions
        ],
        processes=views,
    )


def _view(process: ExternalProcess, watched: bool, ended: bool) -> ProcessView:
    command = process.command
    return ProcessView(
        id=process_id(process),
        kind=command.tool,
        pid=process.identity.pid,
        owner=_text(process.owner),
        command=[visible(argument) for argument in process.arguments],
        started=process.started,
        folder=_text(process.folder),
        adapter_path=_text(process.adapter_folder),
        model=_text(command.model),
        iterations=command.iterations,
        log=_text(process.log_file),
        log_reason=visible(process.log_reason),
        evidence=visible(command.evidence),
        watched=watched,
        ended=ended,
    )


def _text(text: Path | str | None) -> str | None:
    # Others chose it: a name that is no UTF-8 holds lone surrogates, which is no JSON.
    return None if text is None else visible(str(text))
