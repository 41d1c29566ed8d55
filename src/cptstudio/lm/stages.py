"""The model that a run begins with, by any name, and the runs that made it what it is.

A run may begin with a checkpoint of another one, such as fine-tuning on conversations after
continued pre-training. Its config.json keeps what came before, so that the lineage is told when
the former runs are deleted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.export_files import REFERENCE_PREFIX, read_export
from cptstudio.lm.description import resolve_model
from cptstudio.run_files import EarlierStage
from cptstudio.run_rows import best_checkpoint
from cptstudio.workspace import NAME_PATTERN, Workspace

_MOST: Final = 32


def choose_checkpoint(run_directory: Path, which: str) -> Path:
    """Return a complete checkpoint of a run.

    Args:
        which: "last", "best" (lowest domain bits per byte), a step, or a folder name.

    Raises:
        UserError: there is no such checkpoint; the ones that are there are named.
    """
    complete = run_files.checkpoints_of(run_directory)
    if not complete:
        raise UserError(f"The run {run_directory.name!r} has no complete checkpoint yet.")
    if which == "last":
        return complete[-1]
    if which == "best":
        best = best_checkpoint(complete)
        if best is not None:
            return best
        raise UserError(f"No checkpoint of the run {run_directory.name!r} has been evaluated.")
    wanted = run_files.checkpoint_name(int(which)) if which.isdecimal() else which
    for path in complete:
        if path.name == wanted:
            return path
    known = ", ".join(path.name for path in complete)
    raise UserError(
        f"The run {run_directory.name!r} has no complete checkpoint {which!r}. Existing "
        f"checkpoints: {known}."
    )


def resolve_base(name: str, workspace: Workspace) -> tuple[Path, str]:
    """Return the folder of the model that a run begins with, and the name that stays true.

    Args:
        name: what `resolve_model` takes; "exports/NAME"; or a run's checkpoint: RUN@best,
            RUN@last, RUN@200 or RUN@step-00000200.

    Returns:
        The folder; and the name, in which "best" and "last" have become a checkpoint's.

    Raises:
        UserError: there is none, or it is an adapter.
    """
    export = name.removeprefix(REFERENCE_PREFIX)
    if export != name and export in workspace.export_names():
        folder = workspace.export(export)
        record = read_export(folder)
        if record.format != "mlx":
            raise UserError(
                f"{name} is a {record.format.upper()} file, which can't be trained. Choose "
                f"{record.source.reference}, which it was made from."
            )
        return folder, name
    run, at, which = name.partition("@")
    if not at or NAME_PATTERN.fullmatch(run) is None or run not in workspace.run_names():
        return resolve_model(name, workspace.base_models), name
    checkpoint = choose_checkpoint(workspace.run(run), which)
    reference = f"{run}@{checkpoint.name}"
    if run_files.read_manifest(checkpoint).layout == "adapter":
        raise UserError(
            f"{reference} is an adapter, and a run begins with a complete model. Fuse it first: "
            f"`cpt-studio export fuse {reference} --name {run}-fused`, then choose "
            f"{REFERENCE_PREFIX}{run}-fused. On the page Models, this is under Export."
        )
    return checkpoint, reference


def stages_before(name: str, workspace: Workspace) -> tuple[EarlierStage, ...]:
    """Return the runs that made the model that `resolve_base` found, the first one first."""
    stages: list[EarlierStage] = []
    while len(stages) < _MOST:
        export = name.removeprefix(REFERENCE_PREFIX)
        try:
            if export != name:
                name = read_export(workspace.export(export)).source.reference
            run, at, checkpoint = _checkpoint_named(name, workspace)
            if not at:
                break
            config = run_files.read_config(workspace.run(run))
        except (UserError, OSError):
            break
        stages.append(
            EarlierStage(
                run=run,
                checkpoint=checkpoint,
                model=config.settings.model.path,
                method=config.settings.method.kind,
                corpora=tuple(use.name for use in config.settings.data.corpora),
            )
        )
        if config.earlier:
            # What it noted itself, which holds where its own former run is gone.
            return (*config.earlier, *reversed(stages))
        name = config.settings.model.path
    return tuple(reversed(stages))


def _checkpoint_named(name: str, workspace: Workspace) -> tuple[str, str, str]:
    """Run, "@" and checkpoint that a name or a folder means; nothing in "@" where it means none."""
    folder = Path(name)
    if folder.is_absolute() and folder.parent.name == run_files.CHECKPOINTS:
        directory = folder.parent.parent
        if directory.parent.resolve() == workspace.runs.resolve():
            return directory.name, "@", folder.name
        return "", "", ""
    return name.partition("@")


def stage_words(stages: tuple[EarlierStage, ...], model: str) -> str:
    """Return a lineage in a line, such as "demo-base → cpt@step-00000200"."""
    first = stages[0].model if stages else model
    return " → ".join([first, *(f"{one.run}@{one.checkpoint}" for one in stages)])
