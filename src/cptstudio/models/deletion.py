"""Deleting a model: what stands against it, what depends on it, and how it is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.models.registry import ModelRecord
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.trash import Trash

WHAT = {"checkpoint": "checkpoint", "exported": "export"}
"""What a kind of model is called where it is deleted; every other one is a "model"."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class Outlook:
    """What deleting a model would mean.

    Attributes:
        refusal: why it is not deleted, and what to do; None where it can be.
        consequences: what depends on it and would suffer, a sentence each.
    """

    refusal: str | None
    consequences: tuple[str, ...] = ()


def look(
    record: ModelRecord,
    records: Sequence[ModelRecord],
    runs: Sequence[Run],
    in_use: str | None = None,
) -> Outlook:
    """Say what deleting a model would mean, without doing anything.

    Args:
        record: of the model.
        records: of all models.
        runs: all runs, as they are now.
        in_use: what reads the model now, and what to do about it; None where nothing does.
    """
    if record.place == "cache":
        return Outlook(
            "It is in the Hugging Face cache, which other programs use too. Delete it "
            f"with `hf cache rm model/{record.name}`."
        )
    if record.place == "folder":
        return Outlook(
            "It is in a folder that you added, which CPT Studio only reads. Remove the "
            "folder from the list, or delete it yourself."
        )
    if record.place == "elsewhere":
        return Outlook(
            "It is outside the workspace, where CPT Studio only reads. It is listed "
            "because a run was trained from it."
        )
    if record.place == "missing":
        return Outlook(
            "It is not there any more. It is listed because a run was trained from it, and goes "
            "from the list with that run."
        )
    if in_use is not None:
        return Outlook(in_use)
    if record.kind == "checkpoint":
        return _of_checkpoint(record, records, runs)
    if record.kind == "exported":
        return Outlook(None)
    return _of_model(record, records, runs)


def _of_model(record: ModelRecord, records: Sequence[ModelRecord], runs: Sequence[Run]) -> Outlook:
    folder = durable.real_path(record.folder)
    users = [run for run in runs if run.config and Path(run.config.model_path) == folder]
    active = next((run for run in users if _is_alive(run)), None)
    if active is not None:
        return Outlook(f"The run {active.id} is training it. Stop the run first.")
    adapters = {
        one.run
        for one in records
        if one.adapter
        and any(
            link.reference == record.reference and link.relation != "parent"
            for link in one.made_from
        )
    }
    found = []
    if adapters:
        names = _named(sorted(map(str, adapters)))
        found.append(f"The adapters of {names} can't be loaded without it.")
    if users:
        runs_named = _named(sorted(run.id for run in users))
        found.append(f"{runs_named} can't be resumed or forked without it.")
    return Outlook(None, tuple(found))


def _is_alive(run: Run) -> bool:
    """Whether a trainer or keeper works on it, also one without the other."""
    return run.state.alive or run.lock_held


def _of_checkpoint(
    record: ModelRecord, records: Sequence[ModelRecord], runs: Sequence[Run]
) -> Outlook:
    run = next((one for one in runs if one.id == record.run), None)
    if run is not None and _is_alive(run):
        return Outlook(f"The run {run.id} is {run.state}. Stop it first.")
    if run is not None and run.queue_position is not None:
        return Outlook(f"The run {run.id} is in the queue. Remove it from the queue first.")
    others = [one for one in records if one.run == record.run and one is not record]
    # A later run may have begun with it.
    as_model = _of_model(record, records, runs)
    if as_model.refusal is not None:
        return as_model
    found = list(as_model.consequences)
    if not others:
        found.append(
            f"It is the only checkpoint of {record.run}, which can't be resumed or forked then."
        )
    elif record.last:
        newest = max(other.step or 0 for other in others)
        found.append(f"It is the newest: a resume would continue from step {newest:,}.")
    if record.best and others:
        found.append(f"It is the best of {record.run} by domain bits per byte.")
    saved = {one.run for one in records}
    forks = [
        one.id
        for one in runs
        if one.config is not None
        and one.config.parent is not None
        and one.id not in saved
        and Path(one.config.parent.checkpoint) == record.folder
    ]
    if forks:
        found.append(f"{_named(forks)} can't start without it: no checkpoint was saved there yet.")
    return Outlook(None, tuple(found))


def _named(names: Sequence[str]) -> str:
    """Such as "first, second and 2 more"."""
    listed = list(names[:_MOST_NAMED])
    more = len(names) - len(listed)
    if more:
        listed.append(f"{more} more")
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))


def delete(record: ModelRecord, manager: TrainingManager, trash: Trash | None = None) -> str | None:
    """Delete a model of the workspace that `look` does not refuse.

    Args:
        trash: where it is kept for a while; None deletes it for good.

    Returns:
        What `Trash.restore` takes, where it is kept.

    Raises:
        FileNotFoundError: it is not there.
        OSError, UserError: it cannot be moved; all of it is where it was.
    """
    what = WHAT.get(record.kind, "model")
    if record.run is None:
        return _discard(what, record, trash)
    with manager.held_for_deleting(record.run):
        return _discard(what, record, trash)


def _discard(what: str, record: ModelRecord, trash: Trash | None) -> str | None:
    folder = durable.real_path(record.folder)
    if trash is not None:
        return trash.put(what, record.name, [folder])
    aside = durable.staging_path(folder)
    try:
        os.rename(folder, aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise UserError(f"Could not delete the {what} {record.name}: {error.strerror}.") from None
    return None
