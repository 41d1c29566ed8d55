"""The models that can be tested: those of the registry that MLX loads, in the order of a choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from cptstudio.errors import Finding, UserError
from cptstudio.evaluation.references import ModelReference, resolve_reference
from cptstudio.export_files import REFERENCE_PREFIX
from cptstudio.models.registry import ModelRecord
from cptstudio.validation import LateModel
from cptstudio.web.problems import Problem
from cptstudio.web.studio import Studio

_BASES, _MERGES, _EXPORTS = "Base models", "Merged models", "Exports"


class ModelChoice(LateModel):
    """A model that can be tested; without `error` it can be chosen.

    Attributes:
        reference: what names it in requests.
        label: what names it in answers.
        bytes: of what is loaded; of an adapter, without its base.
        group: what it is listed under: "Base models", "Merged models", "Exports", or its run.
        base: reference of the model that its run began with, where that is still here.
        adapter: it is one, and is put on its base.
        chat: whether there is a chat template; null where that is not known.
    """

    reference: str
    label: str
    kind: Literal["base", "checkpoint"]
    group: str
    run: str | None = None
    base: str | None = None
    step: int | None = None
    created: float | None = None
    bytes: int | None = None
    adapter: bool = False
    best: bool = False
    last: bool = False
    domain_bits_per_byte: float | None = None
    chat: bool | None = None
    error: str | None = None


class ModelChoices(LateModel):
    """Base models first, then runs, the newest first, each with its checkpoints in order."""

    models: list[ModelChoice]


def choices(studio: Studio) -> ModelChoices:
    """Return everything that can be tested, of all models of this machine."""
    records = studio.registry.records()
    whole = [one for one in records if one.kind != "checkpoint" and _can_be_tested(one)]
    known = {one.reference for one in whole}
    runs = {run.id: number for number, run in enumerate(studio.manager.runs())}
    checkpoints = sorted(
        (one for one in records if one.run is not None),
        key=lambda one: (runs.get(one.run or "", len(runs)), one.step or 0),
    )
    # A later stage's base is a checkpoint.
    known |= {one.reference for one in checkpoints}
    return ModelChoices(models=[_choice(one, known) for one in (*whole, *checkpoints)])


def _can_be_tested(record: ModelRecord) -> bool:
    """Whether it is a model here that MLX loads; a file for another program is not."""
    here = record.place not in ("elsewhere", "missing")
    return here and (record.export is None or record.export.format == "mlx")


def _choice(record: ModelRecord, known: Collection[str]) -> ModelChoice:
    group = record.run or (_EXPORTS if record.kind == "exported" else None)
    base = next((link.reference for link in record.made_from if link.relation == "base"), None)
    about, own = record.description, record.own_weights
    return ModelChoice(
        reference=record.reference,
        label=record.reference,
        kind="base" if record.run is None else "checkpoint",
        group=group or (_MERGES if record.merge else _BASES),
        run=record.run,
        base=base if base in known else None,
        step=record.step,
        created=record.created if record.run is not None else None,
        bytes=own.bytes if own else _without_training(record),
        adapter=record.adapter,
        best=record.best,
        last=record.last,
        domain_bits_per_byte=record.domain_bits_per_byte,
        chat=about.has_chat_template if about else None,
        error=record.error,
    )


def _without_training(record: ModelRecord) -> int | None:
    return None if record.bytes is None else record.bytes - (record.training_bytes or 0)


def find(studio: Studio, reference: str) -> ModelReference:
    """Return the model that a page names: only one that the studio itself lists.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    run, at, _ = reference.partition("@")
    export = reference.removeprefix(REFERENCE_PREFIX)
    is_export = export != reference and export in studio.workspace.export_names()
    if is_export or (at and run in studio.workspace.run_names()):
        return resolve_reference(reference, studio.workspace)
    return ModelReference(reference, studio.models.find(reference).path)


def find_all(
    studio: Studio, references: Sequence[str], field: str = "references"
) -> list[ModelReference]:
    """Several models, each only once.

    Raises:
        Problem: some of them cannot be used, or two are the same; named by their field.
    """
    found: list[ModelReference] = []
    wrong: list[Finding] = []
    for place, text in enumerate(references):
        try:
            reference = find(studio, text)
        except UserError as error:
            wrong += Problem.at(f"{field}.{place}", error).findings
            continue
        if reference.label in [one.label for one in found]:
            wrong.append(Finding(f"{reference.label} is selected twice.", f"{field}.{place}"))
        found.append(reference)
    if wrong:
        raise Problem("Some models can't be used:", wrong)
    return found
