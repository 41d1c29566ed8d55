"""A run in full: its configuration, checkpoints, how it ended, how it differs from its parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.lengths import Length
from cptstudio.run_files import RunConfig, RunResult
from cptstudio.run_phases import SessionPhase, last_session_phases, phases_to_come
from cptstudio.run_rows import best_of, last_session
from cptstudio.runs.external.imported_list import ImportedEntry
from cptstudio.runs.records import ExitRecord
from cptstudio.runs.remedies import Remedy, remedies_of
from cptstudio.runs.run import Run
from cptstudio.session_settings import SessionSettings, told_last
from cptstudio.setting_flags import leaves, value_of
from cptstudio.settings import TrainingSettings
from cptstudio.training.longer import Longer, how_to_train_longer
from cptstudio.validation import LateModel
from cptstudio.web.cli_equivalent import command_line, fork_command
from cptstudio.web.runs.summaries import RunSummary, imported_summary


class CheckpointView(LateModel):
    """One complete checkpoint."""

    name: str
    step: int
    bytes: int | None = None
    created: float | None = None
    domain_bits_per_byte: float | None = None
    best: bool = False
    layout: str | None = None
    problem: str | None = None


class Difference(LateModel):
    """A setting that differs from the parent's."""

    setting: str
    parent: Any
    here: Any


class ChangedSetting(LateModel):
    """A setting that was given another value than its default."""

    setting: str
    title: str
    value: Any
    default: Any


class StageView(LateModel):
    """A run whose checkpoint this one, or the next stage, began with.

    Attributes:
        model: what it began with itself.
        there: the checkpoint is in this workspace still.
    """

    run: str
    checkpoint: str
    model: str
    method: str | None
    corpora: list[str]
    there: bool


class RunDetail(RunSummary):
    """A run in full."""

    config: RunConfig | None = None
    stages: list[StageView] = Field(
        default_factory=list, description="Runs that made its base model, the first one first."
    )
    parent_differences: list[Difference] = Field(default_factory=list)
    changed_settings: list[ChangedSetting] = Field(default_factory=list)
    checkpoints: list[CheckpointView] = Field(default_factory=list)
    result: RunResult | None = None
    exit: ExitRecord | None = None
    keeper_pid: int | None = None
    trainer_pid: int | None = None
    directory: str
    command: str | None = None
    session: SessionSettings = Field(
        default_factory=SessionSettings, description="What its last session does otherwise."
    )
    remedies: list[Remedy] = Field(default_factory=list)
    longer: Longer | None = None
    sessions: int | None = Field(None, description="How many trainer processes it had.")
    phases: list[SessionPhase] = Field(
        default_factory=list,
        description="What its last session did, and before its first step what is to come.",
    )
    last_seq: int | None = None
    generation: int | None = None


def detail(
    run: Run, summary: RunSummary, last_seq: int | None, generation: int | None
) -> RunDetail:
    """Return all of a run.

    Args:
        last_seq, generation: of its rows; None while a long file is still being read.
    """
    problems = list(summary.problems)
    result = None
    try:
        result = run_files.read_result(run.directory)
    except (UserError, OSError) as error:
        problems += [str(error)] if str(error) not in problems else []
    config = run.config
    differences = _parent_differences(config) if config else []
    told = SessionSettings()
    try:
        told = told_last(run.directory)
    except (UserError, OSError) as error:
        problems.append(str(error))
    complete = run_files.checkpoints_of(run.directory)
    return RunDetail(
        **(dict(summary) | {"problems": problems}),
        config=config,
        stages=_stages(config, run.directory.parent) if config else [],
        parent_differences=differences,
        changed_settings=_changed(config) if config else [],
        checkpoints=checkpoints(run.directory),
        result=result,
        exit=run.exit,
        keeper_pid=run.keeper_pid,
        trainer_pid=run.trainer_pid,
        directory=str(run.directory),
        command=_command(config, differences) if config else None,
        session=told,
        remedies=remedies_of(run.state, config, told) if config else [],
        longer=None
        if config is None or run.state.alive
        else how_to_train_longer(config, summary.planned_steps, complete),
        sessions=None if (last := _last_session(run.directory)) is None else last + 1,
        phases=_phases(run, summary.step is not None),
        last_seq=last_seq,
        generation=generation,
    )


def _stages(config: RunConfig, runs: Path) -> list[StageView]:
    return [
        StageView(
            **one.model_dump(),
            there=(runs / one.run / run_files.CHECKPOINTS / one.checkpoint).is_dir(),
        )
        for one in config.earlier
    ]


def _phases(run: Run, resumed: bool) -> list[SessionPhase]:
    found = last_session_phases(run.directory)
    if run.phase is None:
        return found
    # Of a trainer that has told nothing yet, what is there is the former one's.
    begun = [] if run.phase.name == "starting" else found
    return begun + phases_to_come(run.phase, begun, resumed)


def _last_session(directory: Path) -> int | None:
    try:
        return last_session(directory)
    except (UserError, OSError):
        return None


def _changed(config: RunConfig) -> list[ChangedSetting]:
    found = []
    for name, field in leaves():
        value, default = (
            value_of(config.settings, name),
            field.get_default(call_default_factory=True),
        )
        # Runs of before do not tell who chose what has no default of its own.
        chosen = default is None if config.chosen is None else name in config.chosen
        if value != default and not chosen:
            title = field.title or name
            shown = (str(one) if isinstance(one, Length) else one for one in (value, default))
            found.append(
                ChangedSetting(setting=name, title=title, value=next(shown), default=next(shown))
            )
    return found


def _command(config: RunConfig, differences: list[Difference]) -> str:
    if config.parent is None:
        return command_line(config.settings, config.name)
    changes = {one.setting: one.here for one in differences}
    checkpoint = Path(config.parent.checkpoint).name
    return fork_command(config.parent.run, config.name, checkpoint, changes)


def imported_detail(entry: ImportedEntry) -> RunDetail:
    """Return all of a run of another program."""
    rows = entry.history().rows
    return RunDetail(
        **dict(imported_summary(entry)),
        directory=str(entry.path),
        last_seq=rows[-1]["seq"] if rows else 0,
        generation=1,
    )


def checkpoints(directory: Path) -> list[CheckpointView]:
    """The complete checkpoints, oldest first; the one with the lowest domain value is best."""
    found = []
    for path in run_files.checkpoints_of(directory):
        step = run_files.checkpoint_step(path.name) or 0
        try:
            manifest = run_files.read_manifest(path)
            created = (path / run_files.MANIFEST).stat().st_mtime
        except (UserError, OSError) as error:
            found.append(CheckpointView(name=path.name, step=step, problem=str(error)))
            continue
        found.append(
            CheckpointView(
                name=path.name,
                step=step,
                bytes=sum(file.size for file in manifest.files.values()),
                created=created,
                domain_bits_per_byte=manifest.domain_bits_per_byte,
                layout=manifest.layout,
            )
        )
    best = best_of((one, one.domain_bits_per_byte) for one in found)
    if best is not None:
        best.best = True
    return found


def flattened(settings: TrainingSettings) -> dict[str, Any]:
    """Return the settings by their dotted names, as plain values."""
    found: dict[str, Any] = {}

    def walk(tree: dict[str, Any], prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                found[f"{prefix}{name}"] = value

    walk(settings.model_dump(mode="json"), "")
    return found


def _parent_differences(config: RunConfig) -> list[Difference]:
    if config.parent is None:
        return []
    try:
        parent = run_files.read_config(Path(config.parent.path))
    except (UserError, OSError):
        return []  # It was deleted; what it was is not known any more.
    before, here = flattened(parent.settings), flattened(config.settings)
    return [
        Difference(setting=name, parent=before.get(name), here=here.get(name))
        for name in [*before, *(name for name in here if name not in before)]
        if before.get(name) != here.get(name)
    ]
