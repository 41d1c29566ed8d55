"""`cpt-studio runs`: what runs there are, how they do, and what to do with them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio import run_rows
from cptstudio.cli import detect, imported
from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    confirm,
    confirm_fit,
    console,
    errors,
    metric_text,
    moment,
    print_json,
    with_former,
)
from cptstudio.cli.room import manager_of
from cptstudio.cli.run_progress import show_progress, show_updates, tell_started
from cptstudio.cli.session_options import (
    AccumulationOption,
    CheckpointingOption,
    LengthOption,
    RanksOption,
    RowsOption,
    given_session,
)
from cptstudio.cli.typed_options import whole, whole_argument
from cptstudio.errors import UserError
from cptstudio.lm.stages import stage_words
from cptstudio.run_files import RunConfig
from cptstudio.run_phases import title_of
from cptstudio.runs.remedies import remedies_of
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.serving.facts import why_served
from cptstudio.session_settings import told_last
from cptstudio.setting_flags import dotted_of, leaves
from cptstudio.training.fitting import completed, fit_of_run
from cptstudio.training.phases import sentence as phase_sentence
from cptstudio.verdicts import Verdict, verdict_of
from cptstudio.web.series.facts import FactsReader
from cptstudio.workspace import Workspace
from cptstudio.yaml_text import parse_yaml

app = typer.Typer(
    help="List, watch, stop, resume, fork and delete runs.\n\nRuns train in the background "
    "and keep running after the terminal is closed.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
queue_app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode="markdown",
    context_settings=with_former({"go-on": "start"}),
)
app.add_typer(queue_app, name="queue")
app.command("detect")(detect.detect)
app.command("import")(imported.import_runs)
app.command("forget")(imported.forget)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run name.")]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="NAME",
        help="Checkpoint folder, such as step-00000200.",
        show_default="newest",
    ),
]
QueueOption = Annotated[
    bool, typer.Option("--queue", help="Add to the queue if another run is training.")
]
_COLOURS = {
    "running": "green",
    "stopping": "yellow",
    "orphaned": "yellow",
    "lost": "red",
    "missing": "red",
}


@app.command("list")
def list_runs(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List all runs, newest first, then imported runs of other programs."""
    manager = manager_of(workspace)
    runs, entries = manager.runs(), manager.external.imported()
    if as_json:
        told = [_facts(run, _verdict(run, thorough=False)) for run in runs]
        print_json(told + [entry.as_json() for entry in entries])
        return
    if not runs:
        console.print(f"No runs in {Workspace(workspace).runs}.")
    else:
        _print_runs(runs)
    if entries:
        console.print()
        imported.print_list(entries)


def _print_runs(runs: list[Run]) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("run", "state", "step", "loss", "domain bits/byte", "verdict", "created"):
        table.add_column(heading, justify="right" if heading in ("step", "loss") else "left")
    for run in runs:
        row, evaluation = run.last_row() or {}, run.last_row("evaluation") or {}
        table.add_row(
            escape(run.id),
            _coloured_state(run) + (f": {escape(title_of(run.phase))}" if run.phase else ""),
            metric_text(row, "step"),
            metric_text(row, "loss"),
            metric_text(evaluation, "domain_bits_per_byte"),
            _styled(_verdict(run, thorough=False), short=True),
            moment(run.created),
        )
    console.print(table)
    _tell_problems(runs)


@app.command()
def show(
    run: RunArgument, workspace: WorkspaceOption = Path(), as_json: JsonOption = False
) -> None:
    """Show one run: status, progress, checkpoints."""
    manager = manager_of(workspace)
    entry = imported.meant(manager, run)
    if entry is not None:
        imported.show(entry, as_json)
        return
    found = manager.run(run)
    verdict = _verdict(found)
    if as_json:
        print_json(_facts(found, verdict) | {"checkpoints": found.checkpoints()})
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, value in _lines(found, verdict):
        table.add_row(label, value)
    console.print(table)
    _tell_problems([found])


@app.command()
def watch(
    run: RunArgument,
    after: Annotated[
        int, whole("--after", metavar="SEQ", help="Only show rows after this sequence number.")
    ] = 0,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Follow a run until it ends. Ctrl-C stops watching; the run continues."""
    manager = manager_of(workspace)
    entry = imported.meant(manager, run)
    if entry is not None:
        imported.tell_rows(entry, after, as_json)
        return
    found = manager.run(run)
    try:
        if as_json:
            show_updates(manager.watch(run, after))
        else:
            # A bar needs the newest row alone.
            last = run_rows.last_seq(found.directory)
            show_progress(found, manager.watch(run, max(after, last - 1)))
    except KeyboardInterrupt:
        if manager.run(run).state.alive:
            errors.print("Stopped watching. The run continues.")


@app.command()
def stop(
    run: RunArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the run has ended.")] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Save a checkpoint and stop a run."""
    manager = manager_of(workspace)
    manager.stop(run)
    console.print(f"Stopping {escape(run)} after saving a checkpoint.")
    if waiting := manager.queue.waiting():
        console.print(
            f"{escape(waiting[0].run)} is next in the queue and starts then, unless the "
            "queue is paused."
        )
    if wait:
        _await_end(manager, run)


@app.command("kill", hidden=True)  # Its former name.
@app.command("force-stop")
def force_stop(
    run: RunArgument, yes: YesOption = False, workspace: WorkspaceOption = Path()
) -> None:
    """Stop a run at once. Progress since its last checkpoint is lost."""
    manager = manager_of(workspace)
    found = manager.run(run)
    last = found.checkpoints()[-1:] or ["none"]
    confirm(f"Force stop {run} without saving? Its last checkpoint is {last[0]}.", yes)
    manager.kill(run)
    _await_end(manager, run)


@app.command()
def resume(
    run: RunArgument,
    checkpoint: CheckpointOption = None,
    queue: QueueOption = False,
    yes: YesOption = False,
    length: LengthOption = None,
    rows: RowsOption = None,
    accumulation: AccumulationOption = None,
    checkpointing: CheckpointingOption = None,
    ranks: RanksOption = 1,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Resume a run from a checkpoint in the background, as if it had never stopped."""
    given = given_session(length, rows, accumulation, checkpointing)
    manager = manager_of(workspace)
    found = manager.run(run)
    source = checkpoint or (found.checkpoints() or ["the beginning"])[-1]
    confirm(f"{run} is {found.state}. Resume it from {source}?", yes)
    fit = fit_of_run(found.config, found.directory, given)
    confirm_fit(fit and fit.of_ranks(ranks), yes)
    again = manager.resume(run, checkpoint, confirmed=True, queue=queue, given=given, ranks=ranks)
    tell_started(again)


@app.command()
def fork(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new run.")],
    checkpoint: CheckpointOption = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING=VALUE",
            help="Change a setting, such as optimizer.learning_rate=1e-5; repeat for more.",
        ),
    ] = None,
    queue: QueueOption = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Start a new run from a checkpoint of another run, in the background.

    Example: `cpt-studio runs fork first second --set optimizer.learning_rate=1e-5`
    """
    changed = dict(_change(text) for text in changes or ())
    manager = manager_of(workspace)
    config = manager.fork_config(run, checkpoint, name, changed)
    config, fit = completed(manager.workspace, config)
    confirm_fit(fit, yes)
    tell_started(manager.start(config, queue))


@app.command()
def delete(run: RunArgument, yes: YesOption = False, workspace: WorkspaceOption = Path()) -> None:
    """Delete a run with its checkpoints, tags, notes and queue entry."""
    manager = manager_of(workspace)
    found = manager.run(run)
    served = why_served(manager.workspace, found.directory)
    if served is not None:
        raise UserError(f"The run {run} can't be deleted. {served}")
    count = len(found.checkpoints())
    confirm(f"Delete {found.directory} and its {count} checkpoints?", yes)
    manager.delete(run, confirmed=True)
    console.print(f"Deleted {escape(run)}.")


@queue_app.callback()
def queue(
    context: typer.Context,
    start: Annotated[
        bool, typer.Option("--start", help="Start the queued runs, one after another.")
    ] = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Show the queue; with --start, start the queued runs from this terminal.

    Ctrl-C stops starting runs: the active run continues, the others stay in the queue.
    """
    if context.invoked_subcommand is not None:
        for name, flag in {"start": "--start", "workspace": "--workspace"}.items():
            given = context.get_parameter_source(name)
            if given is not None and given.name == "COMMANDLINE":
                raise UserError(
                    f"Put {flag} after `{context.invoked_subcommand}`, if that command takes it."
                )
        return
    manager = manager_of(workspace)
    waiting = manager.queue.waiting()
    for place, item in enumerate(waiting, start=1):
        source = "" if item.resume is None else f" from {item.resume or 'the beginning'}"
        console.print(f"{place}. {escape(item.run)}{source}")
    if not waiting:
        console.print("The queue is empty.")
    elif not start:
        console.print("Start them with `cpt-studio runs queue --start`.")
    else:
        _serve_queue(manager)


@queue_app.command()
def move(
    run: RunArgument,
    place: Annotated[int, whole_argument("PLACE", help="New position; 1 starts next.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Move a run to another position in the queue.

    Example: `cpt-studio runs queue move second 1`
    """
    manager = manager_of(workspace)
    manager.queue.move(run, place)
    console.print(f"{escape(run)} is now number {place} in the queue.")


@queue_app.command()
def remove(run: RunArgument, workspace: WorkspaceOption = Path()) -> None:
    """Remove a run from the queue. The run itself is kept."""
    manager = manager_of(workspace)
    if not manager.queue.remove(run):
        raise UserError(f"The run {run} is not in the queue.")
    console.print(f"Removed {escape(run)} from the queue.")


def _serve_queue(manager: TrainingManager) -> None:
    try:
        with manager.serve("a terminal that runs the queue") as runner:
            runner.go_on()
            while manager.queue.waiting() and runner.problem is None:
                time.sleep(1)
            if runner.problem is not None:
                raise UserError(f"The queue is paused. {runner.problem}")
    except KeyboardInterrupt:
        errors.print("No more runs will be started. The active run continues.")
        return
    console.print("The queue is empty.")


def _change(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise UserError(f"{text!r} is not a change. Use SETTING=VALUE.")
    dotted = dotted_of(name)
    if value.strip() in ("", "null", "none"):
        return dotted, None
    field = dict(leaves()).get(dotted)
    if field is not None and "tuple" in str(field.annotation):
        try:
            return dotted, parse_yaml(value)
        except ValueError as error:
            raise UserError(f"Could not read the value of {name.strip()}: {error}.") from None
    # As text: the settings read it by the field's own kind. YAML would take 010 for 8.
    return dotted, value.strip()


def _await_end(manager: TrainingManager, run: str) -> None:
    for _ in manager.watch(run, run_rows.last_seq(manager.run(run).directory)):
        pass
    found = manager.run(run)
    console.print(f"{escape(run)}: {escape(str(found.state))}: {escape(found.state.reason)}")


def _facts(run: Run, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "id": run.id,
        "directory": run.directory,
        "state": run.state.name,
        "outcome": run.state.outcome,
        "reason": run.state.reason,
        "stalled": run.stalled,
        "phase": None if run.phase is None else run.phase.model_dump(mode="json"),
        "queue_position": run.queue_position,
        "created": run.created or None,
        "keeper_pid": run.keeper_pid,
        "trainer_pid": run.trainer_pid,
        "earlier": [one.model_dump() for one in run.config.earlier] if run.config else [],
        "last_row": run.last_row(),
        "last_evaluation": run.last_row("evaluation"),
        "problems": run.problems,
        "verdict": None if verdict is None else verdict.model_dump(mode="json"),
    }


def _verdict(run: Run, thorough: bool = True) -> Verdict | None:
    facts = FactsReader(run.directory).facts(thorough)
    return verdict_of(facts.evaluations, alive=run.state.alive, trained=facts.step is not None)


def _lineage(config: RunConfig) -> str:
    """The runs whose checkpoints led to this one; what was deleted meanwhile is told."""
    there = Path(config.model_path).exists()
    gone = "" if there else " (deleted: this run can't be resumed or forked without it)"
    return f"{stage_words(config.earlier, config.settings.model.path)}{gone} → {config.name}"


def _lines(run: Run, verdict: Verdict | None) -> list[tuple[str, str]]:
    row, evaluation = run.last_row() or {}, run.last_row("evaluation") or {}
    lines = [
        ("run", escape(run.id)),
        ("state", f"{_coloured_state(run)}: {escape(run.state.reason)}"),
        *([] if verdict is None else [("verdict", _styled(verdict))]),
        *([("phase", escape(phase_sentence(run.phase)))] if run.phase else []),
        ("directory", escape(str(run.directory))),
        ("created", moment(run.created)),
        ("processes", f"keeper {run.keeper_pid or '-'}, trainer {run.trainer_pid or '-'}"),
        ("step", metric_text(row, "step")),
        ("loss", metric_text(row, "loss")),
        ("domain", f"{metric_text(evaluation, 'domain_bits_per_byte')} bits per byte"),
        ("general", f"{metric_text(evaluation, 'general_bits_per_byte')} bits per byte"),
        ("checkpoints", escape(", ".join(run.checkpoints()) or "none")),
    ]
    if run.config is not None:
        settings = run.config.settings
        names = ", ".join(f"{use.name} ({use.role})" for use in settings.data.corpora)
        lines += [
            ("model", escape(settings.model.path)),
            *([("lineage", escape(_lineage(run.config)))] if run.config.earlier else []),
            ("corpora", escape(names)),
            ("method", f"{settings.method.kind}, {settings.length}"),
        ]
        told = told_last(run.directory)
        if told.told():
            said = ", ".join(f"{name} {value}" for name, value in told.told().items())
            lines.append(("last session", escape(said)))
        lines += [
            ("suggestion", escape(f"{remedy.title}: {remedy.text}"))
            for remedy in remedies_of(run.state, run.config, told)
        ]
        if run.config.parent is not None:
            parent = run.config.parent
            lines.append(("parent", escape(f"{parent.run}, {Path(parent.checkpoint).name}")))
    if run.exit is not None:
        peak = run.exit.usage.get("peak_resident_bytes", 0)
        lines.append(("last exit", f"{moment(run.exit.ended)}, peak memory {peak / 1e9:.2f} GB"))
    return lines


def _styled(verdict: Verdict | None, short: bool = False) -> str:
    if verdict is None:
        return ""
    style = {"good": "green", "warn": "yellow", "bad": "red"}.get(verdict.tone, "default")
    return f"[{style}]{escape(verdict.short if short else verdict.text)}[/]"


def _coloured_state(run: Run) -> str:
    text = escape(str(run.state))
    if run.queue_position:
        text += f", number {run.queue_position} in the queue"
    if run.stalled:
        text += ", stalled?"
    outcome = {"completed": "green", "failed": "red", "killed": "red"}.get(run.state.outcome or "")
    colour = _COLOURS.get(run.state.name) or outcome
    return f"[{colour}]{text}[/]" if colour else text


def _tell_problems(runs: list[Run]) -> None:
    for run in runs:
        for problem in run.problems:
            errors.print(f"[yellow]{escape(run.id)}:[/] {escape(problem)}", soft_wrap=True)
