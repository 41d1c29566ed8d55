"""The models that can be tested: base models, and the checkpoints of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cptstudio.errors import Finding, UserError
from cptstudio.evaluation.references import ModelReference, resolve_reference
from cptstudio.export_files import REFERENCE_PREFIX
from cptstudio.validation import LateModel
from cptstudio.web.problems import Problem
from cptstudio.web.runs.details import CheckpointView, checkpoints
from cptstudio.web.studio import Studio

_BASES, _MERGES, _EXPORTS = "Base models", "Merged models", "Exports"


class ModelChoice(LateModel):
    """A model that can be tested; without `error` it can be chosen.

    Attributes:
        reference: what names it in requests.
        label: what names it in answers.
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
    """Return everything that can be tested."""
    found = [
        ModelChoice(
            reference=model.id,
            label=model.id,
            kind="base",
            group=_MERGES if model.merge else _BASES,
            bytes=model.description.bytes if model.description else None,
            chat=model.description.has_chat_template if model.description else None,
            error=model.error,
        )
        for model in studio.models.models()
    ]
    found += [
        ModelChoice(
            reference=one.reference,
            label=one.reference,
            kind="base",
            group=_EXPORTS,
            bytes=one.bytes,
            chat=one.description.has_chat_template if one.description else None,
            error=one.error,
        )
        for one in studio.registry.exports()
        if one.export is None or one.export.format == "mlx"
    ]
    chat = {one.reference: one.chat for one in found}
    for run in studio.manager.runs():
        base = run.config.settings.model.path if run.config else None
        base = base if base in chat else None
        views = checkpoints(run.directory)
        found += [
            _choice(run.id, view, base, chat.get(base or ""), last=view is views[-1])
            for view in views
        ]
    return ModelChoices(models=found)


def _choice(
    run: str, view: CheckpointView, base: str | None, chat: bool | None, *, last: bool
) -> ModelChoice:
    reference = f"{run}@{view.name}"
    return ModelChoice(
        reference=reference,
        label=reference,
        kind="checkpoint",
        group=run,
        run=run,
        base=base,
        step=view.step,
        created=view.created,
        bytes=view.bytes,
        adapter=view.layout == "adapter",
        best=view.best,
        last=last,
        domain_bits_per_byte=view.domain_bits_per_byte,
        chat=chat,
        error=view.problem,
    )


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
