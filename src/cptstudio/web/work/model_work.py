"""Downloading, checking and deleting models on behalf of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from cptstudio.child_limits import for_a_check, for_files
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Unload
from cptstudio.evaluation.programs import CHECK_MODEL
from cptstudio.models import deletion, hub_address
from cptstudio.models.deletion import Outlook
from cptstudio.models.registry import ModelRecord, pick
from cptstudio.serving.facts import why_served
from cptstudio.validation import LateModel
from cptstudio.web.problems import Conflict, NotFound, Problem
from cptstudio.web.studio import Studio
from cptstudio.web.work import deletions
from cptstudio.web.work.deletions import Deleted
from cptstudio.web.work.jobs import Job, Order

PROGRAM = "cptstudio.models.download"


class DownloadBody(LateModel, extra="forbid"):
    """Which model to download."""

    id: str = Field(min_length=1, max_length=200, description='Such as "Qwen/Qwen3-0.6B-Base".')
    revision: str | None = Field(None, min_length=1, max_length=100)


class ModelQuery(LateModel, extra="forbid"):
    """Which model."""

    id: str = Field(min_length=1, max_length=4096)


def download(studio: Studio, body: DownloadBody) -> Job:
    """As a job, into models/base/ of the workspace.

    A cancelled or broken download keeps what came; the same download again continues it.

    Raises:
        UserError: the id is none, or the hub may not be asked.
        Conflict: the model is being downloaded.
    """
    model_id, revision = body.id, body.revision
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
        {"id": model_id, "revision": revision, "base_models": str(studio.workspace.base_models)},
        for_files(),
        key=f"download {model_id}",
        about=model_id,
        on="model",
    )


def check(studio: Studio, body: ModelQuery) -> Job:
    """As a job whose result says in words whether the model is loaded as its makers meant it.

    A few hundred tokens' log-probabilities are computed twice, here and by transformers, which
    needs PyTorch and memory for the model in float32.

    Raises:
        UserError: there is no such model, or it cannot be used.
        Conflict: it is being checked.
    """
    model = studio.models.find(body.id)
    if model.error is not None:
        raise Problem(model.error)
    return studio.jobs.start(
        "check",
        f"Checking {model.name} against transformers",
        ("-m", CHECK_MODEL),
        {"path": str(model.path)},
        for_a_check(),
        key=f"check {model.path}",
        about=body.id,
        on="model",
    )


def delete(studio: Studio, reference: str, *, confirmed: bool) -> Deleted:
    """Move a model of the workspace to the trash: a base model, merge, export or checkpoint.

    Raises:
        NotFound: there is none.
        Problem: it was not confirmed.
        Conflict: it cannot be deleted; the sentence says why, and what to do.
    """
    record, records = named(studio, reference)
    outlook = deletion_of(studio, record, records)
    if outlook.refusal is not None:
        raise Conflict(outlook.refusal)
    if not confirmed:
        raise Problem(f"Confirm that the folder of the model {record.name} is deleted.")
    loaded = _loaded(studio, record, records)
    if loaded:
        studio.inference.worker.result(Unload(labels=loaded))
        studio.news.changed()
    try:
        return deletions.deleted(studio, deletion.delete(record, studio.manager, studio.trash))
    except FileNotFoundError:
        raise NotFound(f"There is no model {record.name!r} in this workspace.") from None
    except OSError as error:
        raise UserError(f"{record.name} cannot be deleted: {error.strerror}.") from None


def named(studio: Studio, reference: str) -> tuple[ModelRecord, list[ModelRecord]]:
    """The model that a page names, and all models.

    Raises:
        NotFound: there is none.
    """
    records = studio.registry.records()
    try:
        return pick(reference, records), records
    except UserError as error:
        raise NotFound(error.message) from None


def deletion_of(studio: Studio, record: ModelRecord, records: Sequence[ModelRecord]) -> Outlook:
    """What deleting a model would mean, with the jobs that work on it."""
    for job in studio.jobs.jobs():
        active = job.state in ("waiting", "running")
        if active and job.on == "model" and job.about == record.reference:
            return Outlook(f"A job works on it ({job.title}): wait for its end, or cancel it.")
    loaded = _loaded(studio, record, records)
    in_use = why_served(studio.workspace, record.folder)
    if in_use is None and loaded and studio.inference.running():
        in_use = (
            f"{', '.join(loaded)} is loaded in the Playground, which is at work: wait for its end, "
            "or stop it."
        )
    outlook = deletion.look(record, records, studio.manager.runs(), in_use)
    if outlook.refusal is not None or not loaded:
        return outlook
    told = f"{', '.join(loaded)} is loaded in the Playground, and will be unloaded."
    return replace(outlook, consequences=(*outlook.consequences, told))


def _loaded(studio: Studio, record: ModelRecord, records: Sequence[ModelRecord]) -> tuple[str, ...]:
    """Labels of what is loaded for testing of a model: itself, and the adapters put on it."""
    there = studio.inference.worker.state().labels
    own = {
        one.reference
        for one in records
        if one is record
        or (one.adapter and any(link.reference == record.reference for link in one.made_from))
    }
    return tuple(label for label in there if label in own)


ORDERS = (
    Order("/models/download", "Download a model", download),
    Order("/models/check", "Compare a model with transformers", check),
)
