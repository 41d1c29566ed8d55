"""`/api/playground`: what was asked of models, and what they said."""

from __future__ import annotations

from collections.abc import Iterator

import flask
from pydantic import Field

from cptstudio.durable import dump_json
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, route
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.playground_history import HistoryEntry, PlaygroundHistory


class HistoryQuery(LateModel, extra="forbid"):
    """Which part of the history."""

    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(50, ge=1, le=200)


class HistoryPage(LateModel):
    """A part of the history, the newest first."""

    entries: list[HistoryEntry]
    total: int


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("playground", __name__, url_prefix="/api/playground/history")
    history = studio.playground_history

    @route(bp, "GET", "", summary="The history")
    def show(query: HistoryQuery) -> HistoryPage:
        entries = history.entries()
        page = entries[query.offset : query.offset + query.limit]
        return HistoryPage(entries=page, total=len(entries))

    @route(bp, "GET", "/export", summary="The history as a file")
    def export() -> flask.Response:
        """A JSON array, the newest entry first."""
        answer = flask.Response(_lines(history), mimetype="application/json")
        answer.headers["Content-Disposition"] = 'attachment; filename="playground.json"'
        return answer

    @route(bp, "DELETE", "/<entry_id>", summary="Forget an entry")
    def remove(entry_id: str, body: Confirmed) -> Deleted:
        if not body.confirmed:
            raise Problem("Confirm that this entry of the history is deleted.")
        removed = history.remove(entry_id).model_dump(mode="json")
        return deletions.discard(studio, "history entry", entry_id, memory=removed)

    @route(bp, "DELETE", "", summary="Forget the history")
    def clear(body: Confirmed) -> Deleted:
        if not body.confirmed:
            raise Problem("Confirm deleting the entire history.")
        with history.untouched() as path:
            if path is None:
                return Deleted(undo=None, seconds=0.0)
            return deletions.discard(studio, "history", "Playground", [path])

    return bp


def _lines(history: PlaygroundHistory) -> Iterator[str]:
    separator = "[\n"
    for entry in history.entries():
        yield separator + dump_json(entry.model_dump(mode="json"))
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
