"""Deletions that can be undone: what is moved to the trash, and what a page is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from cptstudio.errors import UserError
from cptstudio.serving.facts import why_served
from cptstudio.validation import LateModel
from cptstudio.web.problems import Conflict, NotFound
from cptstudio.web.studio import Studio


class Deleted(LateModel):
    """A deletion, and how to undo it."""

    undo: str | None = Field(
        description="`POST /api/trash/<undo>/restore` puts it back. null: it is gone for good, "
        "since the disk was full."
    )
    seconds: float = Field(description="How long that is possible.")


def discard(
    studio: Studio,
    kind: str,
    name: str,
    paths: Sequence[Path] = (),
    memory: Mapping[str, Any] | None = None,
) -> Deleted:
    """Move something to the trash.

    Raises:
        NotFound: it is not there.
        UserError: it cannot be moved; all of it is where it was.
    """
    try:
        return deleted(studio, studio.trash.put(kind, name, paths, memory))
    except FileNotFoundError:
        raise NotFound(f"There is no {kind} {name!r} in this workspace.") from None
    except OSError as error:
        raise UserError(f"The {kind} {name} cannot be deleted: {error.strerror}.") from None


def deleted(studio: Studio, undo: str | None) -> Deleted:
    """Return what a page is told of a deletion."""
    return Deleted(undo=undo, seconds=studio.trash.seconds if undo else 0.0)


def delete_run(studio: Studio, run_id: str, *, confirmed: bool) -> Deleted:
    """Delete a run of ours, with what was said about it.

    Raises:
        NotFound: there is none.
        UserError: without confirmation, or while it is alive.
        Conflict: an endpoint serves a checkpoint of it.
    """
    library = studio.run_library
    run = library.run(run_id)
    served = why_served(studio.workspace, run.directory)
    if served is not None:
        raise Conflict(f"The run {run_id} can't be deleted. {served}")
    labels, pinned = library.labels.all()
    memory: dict[str, Any] = {"run": run_id, "created": run.created, "pinned": pinned == run_id}
    if run_id in labels:
        memory["label"] = labels[run_id].model_dump(mode="json")
    return deleted(studio, library.delete(run_id, studio.trash, memory, confirmed=confirmed))
