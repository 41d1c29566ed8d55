"""Makes a run directory with its config.json; nothing starts by that. Imports no MLX."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cptstudio.lm.identity import (
    hash_of_files,
    kept_hashes,
    model_files,
    read_is_long,
    sizes_and_times,
    tokenizer_files,
)
from cptstudio.lm.stages import stages_before
from cptstudio.run_files import CorpusRecord, RunConfig, reserve
from cptstudio.setting_flags import leaves, value_of
from cptstudio.settings import TrainingSettings
from cptstudio.training.machine import describe_machine, installed_versions
from cptstudio.training.planning import Plan, make_plan
from cptstudio.workspace import Workspace, check_new_run


def prepare_run(
    workspace: Workspace,
    name: str,
    settings: TrainingSettings,
    *,
    agree: Callable[[Plan], None] = lambda plan: None,
) -> tuple[Path, Plan]:
    """Plan a run and create its directory; returns both.

    Args:
        settings: what is not set is chosen and recorded.
        agree: called with the plan before anything is created; what it raises ends it.

    Raises:
        UserError: the name is taken or not allowed, or the run cannot be planned. Nothing was
            created.
    """
    target = workspace.run(name)
    check_new_run(target)
    config, plan = plan_config(workspace, name, settings)
    agree(plan)
    workspace.make(target.parent)
    reserve(target, config)
    return target, plan


def plan_config(
    workspace: Workspace, name: str, settings: TrainingSettings
) -> tuple[RunConfig, Plan]:
    """Plan a run and say what its config.json would be; nothing is written.

    Raises:
        UserError: the run cannot be planned.
    """
    plan = make_plan(workspace, settings)
    path, kept = plan.model.path, kept_hashes(workspace.private)
    # Who starts a run does not wait until a large model has been read: its first session reads it.
    files = kept.of(path) if read_is_long(path) else model_files(path)
    config = RunConfig(
        name=name,
        created=time.time(),
        settings=plan.settings,
        model_path=str(plan.model.path),
        earlier=stages_before(plan.settings.model.path, workspace),
        model_hash=None if files is None else hash_of_files(files),
        model_files=files,
        model_sizes=sizes_and_times(path) if files is None else None,
        tokenizer_files=tokenizer_files(plan.model.path),
        corpora=tuple(
            CorpusRecord(
                name=corpus.name,
                path=str(corpus.path),
                fingerprint=corpus.token_store(plan.tokenizer_hash).fingerprint,
                tokenizer_hash=plan.tokenizer_hash,
                template_hash=corpus.token_store(plan.tokenizer_hash).template,
            )
            for corpus in plan.corpora
        ),
        facts=None if plan.questions is None else plan.questions.record,
        versions=installed_versions(),
        machine=describe_machine().record(),
        held_out="windows",
        parameter_rule="kinds",
        configuration_reading="normalized",
        order_of="rows",
        dropout_of="rows",
        chosen=tuple(
            name
            for name, _ in leaves()
            if value_of(settings, name) != value_of(plan.settings, name)
        ),
    )
    return config, plan
