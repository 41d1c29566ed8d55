"""`/api/trash`: what was deleted less than a minute ago, and can be put back."""

from __future__ import annotations

import flask
from pydantic import Field

from cptstudio.trash import NotInTrashError, TakenNameError
from cptstudio.validation import LateModel
from cptstudio.web.api.openapi import Confirmed, Nothing, route
from cptstudio.web.problems import Conflict, NotFound, Problem
from cptstudio.web.studio import Studio


class TrashedThing(LateModel):
    """Something that was deleted; `deleted` is Unix seconds."""

    id: str
    kind: str = Field(description='What it is, such as "run".')
    name: str
    deleted: float
    seconds: float = Field(description="How long it can still be put back.")
    bytes: int


class TrashContent(LateModel):
    """What can be put back, the newest first."""

    things: list[TrashedThing]
    bytes: int = Field(description="On the disk, with what is just being deleted for good.")


class Restored(LateModel):
    """What was put back."""

    kind: str
    name: str


def blueprint(studio: Studio) -> flask.Blueprint:
    """The routes."""
    bp = flask.Blueprint("trash", __name__, url_prefix="/api/trash")
    trash = studio.trash

    @route(bp, "GET", "", summary="What can be put back")
    def content() -> TrashContent:
        """Things are deleted for good after a minute, and when the server starts."""
        things = [
            TrashedThing(
                id=thing.id,
                kind=thing.kind,
                name=thing.name,
                deleted=thing.deleted,
                seconds=seconds,
                bytes=trash.size(thing.id),
            )
            for thing, seconds in trash.things()
        ]
        return TrashContent(things=things, bytes=trash.size())

    @route(bp, "POST", "/<thing_id>/restore", summary="Undo a deletion")
    def restore(thing_id: str, body: Nothing) -> Restored:
        """Refused with status 409 where there is another one of its name by now."""
        try:
            thing = trash.restore(thing_id)
        except NotInTrashError as error:
            raise NotFound(error.message) from None
        except TakenNameError as error:
            raise Conflict(error.message) from None
        studio.news.changed([thing.name] if thing.kind in ("run", "queued run") else [])
        return Restored(kind=thing.kind, name=thing.name)

    @route(bp, "DELETE", "", summary="Delete for good now what could be put back", status=204)
    def empty(body: Confirmed) -> None:
        if not body.confirmed:
            raise Problem("Confirm that what was deleted cannot be put back any more.")
        trash.empty()

    return bp
