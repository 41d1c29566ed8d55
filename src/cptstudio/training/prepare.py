"""Makes a run directory with its config.json; nothing starts by that. Imports no MLX."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.lm.identity import known_model_hash
from cptstudio.run_files import (
    CONFIG,
    CorpusRecord,
    Parent,
    RunConfig,
    checkpoints_of,
    read_config,
    read_manifest,
    write_record,
)
from cptstudio.settings import TrainingSettings
from cptstudio.training.machine import describe_machine, installed_versions
from cptstudio.training.planning import Plan, make_plan
from cptstudio.workspace import Workspace


def prepare_run(
    workspace: Workspace,
    name: str,
    settings: TrainingSettings,
    *,
    parent: Parent | None = None,
) -> tuple[Path, Plan]:
    """Plan a run and create its directory; returns both.

    Args:
        workspace: where it is created.
        name: the run's name.
        settings: what is not set is chosen and recorded.
        parent: for a fork, see `fork_run`.

    Raises:
        UserError: the name is taken or not allowed, or the run cannot be planned. Nothing was
            created.
    """
    target = workspace.run(name)
    if os.path.lexists(target):
        raise UserError(
            f"There is a run {name!r} already. Choose another name, or delete it first."
        )
    config, plan = plan_config(workspace, name, settings, parent=parent)
    workspace.make(target.parent)
    staged = durable.staging_path(target)
    staged.mkdir()
    try:
        write_record(staged / CONFIG, config)
        durable.flush_tree(staged)
        os.rename(staged, target)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise UserError(f"{target} cannot be created: {error.strerror}.") from None
    durable.flush_directory(target.parent)
    return target, plan


def plan_config(
    workspace: Workspace,
    name: str,
    settings: TrainingSettings,
    *,
    parent: Parent | None = None,
) -> tuple[RunConfig, Plan]:
    """Plan a run and say what its config.json would be; nothing is written.

    Raises:
        UserError: the run cannot be planned.
    """
    plan = make_plan(workspace, settings)
    config = RunConfig(
        name=name,
        created=time.time(),
        settings=plan.settings,
        model_path=str(plan.model.path),
        model_hash=known_model_hash(plan.model.path),
        corpora=tuple(
            CorpusRecord(
                name=corpus.name,
                path=str(corpus.path),
                fingerprint=corpus.token_store(plan.tokenizer_hash).fingerprint,
                tokenizer_hash=plan.tokenizer_hash,
            )
            for corpus in plan.corpora
        ),
        versions=installed_versions(),
        machine=describe_machine().record(),
        parent=parent,
        held_out="windows",
        parameter_rule="kinds",
    )
    return config, plan


def fork_run(
    workspace: Workspace,
    name: str,
    parent_run: str,
    settings: TrainingSettings | None = None,
    checkpoint: str | None = None,
) -> tuple[Path, Plan]:
    """Prepare a run that starts from another run's checkpoint.

    With the same method the checkpoint's exact weights are taken over. With another one the
    checkpoint must be a complete model, which then is the new run's base model.

    Args:
        workspace: of both runs.
        name: the new run's.
        parent_run: the other run's name.
        settings: of the new run; the parent's where left out.
        checkpoint: its folder name; the newest where left out.

    Raises:
        UserError: the checkpoint is missing or cannot be gone on from with this method.
    """
    directory = workspace.run(parent_run)
    config = read_config(directory)
    complete = checkpoints_of(directory)
    chosen = [path for path in complete if checkpoint in (None, path.name)]
    if not chosen:
        known = ", ".join(path.name for path in complete) or "none"
        raise UserError(
            f"The run {parent_run!r} has no checkpoint {checkpoint or ''}; it has: {known}."
        )
    source = chosen[-1]
    settings = settings or config.settings
    kind = settings.method.kind or config.settings.method.kind
    method = settings.method.model_copy(update={"kind": kind})
    settings = settings.model_copy(update={"method": method})
    if kind == config.settings.method.kind and _shape(settings) == _shape(config.settings):
        base = Path(config.model_path)
    elif read_manifest(source).layout == "model":
        base = source
    else:
        raise UserError(
            f"{source.name} of {parent_run!r} is an adapter, and the new run's method differs from "
            "that run's. Fuse the adapter into its base first, or use the same method and rank."
        )
    settings = settings.model_copy(
        update={"model": settings.model.model_copy(update={"path": str(base)})}
    )
    parent = Parent(run=parent_run, path=str(directory), checkpoint=str(source))
    return prepare_run(workspace, name, settings, parent=parent)


def _shape(settings: TrainingSettings) -> tuple[object, ...]:
    """What the trained parameters of a method look like."""
    method = settings.method
    if method.kind == "full":
        return ()
    alpha = 2.0 * method.rank if method.alpha is None else method.alpha
    return (method.rank, alpha, method.targets, method.layers, method.train_embeddings)
