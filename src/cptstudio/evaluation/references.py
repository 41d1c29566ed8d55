"""A model's name as a user types it: a base model, or a run and one of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.export_files import REFERENCE_PREFIX, read_export
from cptstudio.lm.description import resolve_model
from cptstudio.lm.stages import choose_checkpoint
from cptstudio.workspace import NAME_PATTERN, Workspace


@dataclass(frozen=True)
class ModelReference:
    """A model that can be loaded.

    Attributes:
        label: what the user sees, such as "demo-base" or "first@step-00000200".
        model: folder of the (base) model.
        adapter: folder of an adapter to put on it, or None.
        run: directory of the run that it is a checkpoint of, or None.
    """

    label: str
    model: Path
    adapter: Path | None = None
    run: Path | None = None


def request_of(reference: ModelReference) -> dict[str, Any]:
    """Return a model as the testing programs take it in a request."""
    return {
        "label": reference.label,
        "model": reference.model,
        "adapter": reference.adapter,
        "run": reference.run,
    }


def reference_of(entry: dict[str, Any]) -> ModelReference:
    """Return the model of a request that `request_of` made."""
    adapter, run = entry["adapter"], entry.get("run")
    return ModelReference(
        entry["label"],
        Path(entry["model"]),
        Path(adapter) if adapter else None,
        Path(run) if run else None,
    )


def resolve_reference(text: str, workspace: Workspace) -> ModelReference:
    """Find the model that a text names.

    Args:
        text: a folder, a name under models/base/, the id of a cached Hugging Face model; "exports/"
            and the name of an export; or a run, optionally with "@last" (what a run alone means),
            "@best" or "@" and a step.

    Raises:
        UserError: nothing has that name, or both a run and a base model have it.
    """
    export = text.removeprefix(REFERENCE_PREFIX)
    if export != text and export in workspace.export_names():
        return ModelReference(text, _export(workspace.export(export)))
    name, _, which = text.partition("@")
    is_run = NAME_PATTERN.fullmatch(name) is not None and name in workspace.run_names()
    if not is_run and which:
        raise UserError(f"There is no run {name!r} in {workspace.root}. {_known_runs(workspace)}")
    if not is_run:
        return ModelReference(text, resolve_model(text, workspace.base_models))
    if not which and name in workspace.base_model_names():
        raise UserError(
            f"{name!r} is both a run and a base model. Write {name}@last for the run's "
            f"last checkpoint, or {workspace.base_model(name)} for the base model."
        )
    return _of_run(workspace.run(name), which or "last")


def _export(folder: Path) -> Path:
    record = read_export(folder)
    if record.format != "mlx":
        raise UserError(
            f"{folder.name} is a {record.format.upper()} file, for other programs. Choose "
            f"{record.source.reference}, which it was made from."
        )
    return folder


def _known_runs(workspace: Workspace) -> str:
    names = workspace.run_names()
    return f"Existing runs: {', '.join(names)}." if names else "There are no runs yet."


def _of_run(run_directory: Path, which: str) -> ModelReference:
    config = run_files.read_config(run_directory)
    checkpoint = choose_checkpoint(run_directory, which)
    label = f"{run_directory.name}@{checkpoint.name}"
    if run_files.read_manifest(checkpoint).layout == "model":
        return ModelReference(label, checkpoint, run=run_directory)
    return ModelReference(label, Path(config.model_path), checkpoint, run_directory)
