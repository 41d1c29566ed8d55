"""Downloading, searching and deleting models on behalf of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cptstudio.child_limits import for_a_check, for_files
from cptstudio.errors import UserError
from cptstudio.models import hub_address
from cptstudio.testing.programs import CHECK_MODEL
from cptstudio.web.jobs import Job
from cptstudio.web.problems import Conflict, NotFound, Problem
from cptstudio.web.studio import Studio

PROGRAM = "cptstudio.models.download"


def start_download(studio: Studio, model_id: str, revision: str | None) -> Job:
    """Download a model as a job.

    Raises:
        UserError: the id is none, or the hub may not be asked.
        Conflict: the model is being downloaded.
    """
    try:
        hub_address.check_id(model_id)
    except UserError as error:
        raise Problem.at("id", error) from None
    if revision is not None:
        hub_address.check_revision(revision)
    hub_address.check_online()
    return studio.jobs.start(
        "download",
        f"Downloading {model_id}",
        ("-m", PROGRAM),
        {
            "id": model_id,
            "revision": revision,
            "base_models": str(studio.workspace.base_models),
        },
        for_files(),
        key=f"download {model_id}",
        about=model_id,
    )


def start_check(studio: Studio, model_id: str) -> Job:
    """Compare a model with transformers' implementation as a job.

    Raises:
        UserError: there is no such model, or it cannot be used.
        Conflict: it is being checked.
    """
    model = studio.models.find(model_id)
    if model.error is not None:
        raise Problem(model.error)
    return studio.jobs.start(
        "check",
        f"Checking {model.name} against transformers",
        ("-m", CHECK_MODEL),
        {"path": str(model.path)},
        for_a_check(),
        key=f"check {model.path}",
        about=model_id,
    )


def search(words: str) -> list[dict[str, Any]]:
    """Ask the hub for models."""
    from cptstudio.models import hub

    return hub.search(words)


def delete(studio: Studio, model_id: str, *, confirmed: bool) -> None:
    """Delete a model of the workspace.

    Raises:
        Problem: it was not confirmed.
        Conflict: a run works with it.
    """
    if model_id not in studio.workspace.base_model_names():
        raise NotFound(f"There is no model {model_id!r} under models/base/ of the workspace.")
    if not confirmed:
        raise Problem(f"Confirm that the folder of the model {model_id} is deleted.")
    folder = studio.workspace.base_model(model_id).resolve()
    users = [
        run.id
        for run in studio.manager.runs()
        if run.lock_held and run.config and Path(run.config.model_path) == folder
    ]
    if users:
        raise Conflict(f"The run {users[0]} trains it: stop the run first.")
    studio.models.delete(model_id)
