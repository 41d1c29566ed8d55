"""`cpt-studio plan`, `cpt-studio train` and `cpt-studio resume`."""

from __future__ import annotations

import datetime
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    confirm_fit,
    console,
    errors,
    print_json,
)
from cptstudio.cli.room import make_room, manager_of
from cptstudio.cli.run_progress import tell_started
from cptstudio.cli.session_options import (
    AccumulationOption,
    CheckpointingOption,
    LengthOption,
    RanksOption,
    RowsOption,
    given_session,
)
from cptstudio.cli.setting_options import merge, with_setting_options
from cptstudio.durations import duration
from cptstudio.errors import Finding, UserError
from cptstudio.lm.chat_format import sentence_of
from cptstudio.lm.chat_reader import read_chat_format
from cptstudio.run_files import read_config
from cptstudio.runs.launching import RANKS_MODULE, TRAINER_MODULE
from cptstudio.session_settings import SessionSettings
from cptstudio.setting_flags import flag_of, leaves
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.training.calibration import calibrate as run_calibration
from cptstudio.training.defaults import NAMES
from cptstudio.training.fitting import Fit, fit_of_plan, fit_of_run
from cptstudio.training.known_machines import machine_named
from cptstudio.training.make_it_fit import WayToFit
from cptstudio.training.planning import Plan, make_plan
from cptstudio.training.prepare import plan_config, prepare_run
from cptstudio.training.resources import ATTENTION_TITLES
from cptstudio.training.stop_requests import hold_signals
from cptstudio.workspace import Workspace
from cptstudio.yaml_text import read_yaml

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.yaml",
        help="YAML file with settings; flags override it.",
        rich_help_panel="Run",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder, name under models/base/, ID of a model in the Hugging Face cache, "
        "exports/NAME, or a run's checkpoint as the next stage: RUN@best, RUN@last, RUN@200.",
        rich_help_panel="Model",
    ),
]
_MIXTURE_HELP = "NAME or NAME:WEIGHT; repeat for more."
CorpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        "-c",
        metavar="NAME[:WEIGHT]",
        help="Domain corpus to learn. The weight is the number of passes per epoch. "
        f"{_MIXTURE_HELP}",
        rich_help_panel="Data",
    ),
]
ReplayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        metavar="NAME[:WEIGHT]",
        help=f"General corpus replayed to limit forgetting. {_MIXTURE_HELP}",
        rich_help_panel="Data",
    ),
]
MeasureOption = Annotated[
    list[str] | None,
    typer.Option(
        "--eval-corpus",
        metavar="NAME",
        help="Evaluate on this corpus only.",
        rich_help_panel="Data",
    ),
]
CalibrateOption = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Run a few real steps and discard them, to estimate the training time.",
    ),
]

MachineOption = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="NAME",
        help="Plan for another machine: a Mac ('M3 Pro 36 GB'), a graphics card ('RTX 4090'), "
        "or just memory ('36 GB' for a Mac, 'GPU 24 GB', 'CPU 64 GB').",
    ),
]

MakeItFitOption = Annotated[
    bool,
    typer.Option(
        "--make-it-fit",
        help="Change settings until the run fits in memory: batch size, gradient "
        "checkpointing, sequence length, LoRA, a 4-bit base. Every change is listed.",
    ),
]

FitOption = Annotated[
    bool,
    typer.Option(
        "--yes", "-y", help="Start even if it needs more memory or disk space than is available."
    ),
]


@with_setting_options
def plan(
    given: dict[str, Any],
    model: ModelOption = None,
    corpus: CorpusOption = None,
    replay: ReplayOption = None,
    measure: MeasureOption = None,
    config: ConfigOption = None,
    calibrate: CalibrateOption = False,
    machine: MachineOption = None,
    make_it_fit: MakeItFitOption = False,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Dry run: show tokens, steps, memory and disk, with warnings.

    Takes the same options as `train`.

    Example: `cpt-studio plan --model demo-base --corpus python-source --calibrate`
    """
    place = Workspace(workspace)
    elsewhere = None if machine is None else machine_named(machine)
    if elsewhere is not None and calibrate:
        raise UserError(
            "--calibrate measures this machine, but --machine plans for "
            f"{elsewhere.name}. Use only one of them."
        )
    settings = _settings(given, model, corpus, replay, measure, config)
    made = make_plan(place, settings, elsewhere)
    way = made.make_it_fit
    if make_it_fit and way is not None:
        made = make_plan(place, _fitted(settings, way), elsewhere)
    seconds, advice = None, list[str]()
    if calibrate:
        with console.status("Measuring speed", spinner="line"):
            measured = run_calibration(place, made.settings)
        seconds = made.seconds(measured.seconds_per_step)
        if measured.save_seconds is None:
            advice.append("There is not enough disk space for a checkpoint.")
        advice += [measured.advice] if measured.advice else []
    if as_json:
        print_json(
            {"settings": made.settings.model_dump(mode="json"), "plan": facts(made, seconds)}
        )
    else:
        console.print(_table(made, seconds))
        _tell_choices(made)
        _warn(made)
        if made.make_it_fit is not None:
            _tell_way(made.make_it_fit)
        for line in advice:
            console.print(f"[yellow]{escape(line)}[/]")


@with_setting_options
def train(
    given: dict[str, Any],
    model: ModelOption = None,
    corpus: CorpusOption = None,
    replay: ReplayOption = None,
    measure: MeasureOption = None,
    config: ConfigOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Run name.", show_default="corpus and date"),
    ] = None,
    background: Annotated[
        bool,
        typer.Option(
            "--background",
            help="Train in the background; keeps running after the terminal is closed.",
        ),
    ] = False,
    queue: Annotated[
        bool,
        typer.Option(
            "--queue",
            help="Add to the queue: train in the background when the runs before it have ended.",
        ),
    ] = False,
    make_it_fit: MakeItFitOption = False,
    ranks: RanksOption = 1,
    yes: FitOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Train a model in the foreground. Ctrl-C saves a checkpoint and stops.

    The run's files are in models/cpt/NAME of the workspace. `cpt-studio resume NAME` continues a
    run exactly where it stopped, however it stopped. Manage a run started with --background by
    `cpt-studio runs watch NAME`, `runs stop NAME` and so on.

    Example: `cpt-studio train --model demo-base --corpus python-source --replay
    python-documentation --length "1 epoch"`
    """
    place = Workspace(workspace)
    settings = _settings(given, model, corpus, replay, measure, config)
    if make_it_fit and (way := make_plan(place, settings).make_it_fit) is not None:
        settings = _fitted(settings, way)
    name = name or _free_name(place, settings)
    if background or queue:
        resolved, made = plan_config(place, name, settings)
        _agree(made, yes, ranks)
        tell_started(manager_of(workspace).start(resolved, queue, ranks))
        return
    directory, _ = prepare_run(place, name, settings, agree=lambda made: _agree(made, yes, ranks))
    make_room(place, lambda: _fit(directory, ranks))
    console.print(f"Training in {directory}. Press Ctrl-C to save a checkpoint and stop.")
    if settings.compute.retry_with_less:
        console.print(
            "[yellow]A run in the foreground is not restarted automatically when memory "
            "runs out. Use --background for that.[/]"
        )
    _become_trainer(directory, ranks)


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run name.")],
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Checkpoint folder, such as step-00000200.", show_default="newest"),
    ] = None,
    accept_older: Annotated[
        bool,
        typer.Option(
            "--accept-older", help="If the newest checkpoint is damaged, use the one before it."
        ),
    ] = False,
    yes: FitOption = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Re-read all tokens and the base model, even if nothing seems to have changed.",
        ),
    ] = False,
    length: LengthOption = None,
    rows: RowsOption = None,
    accumulation: AccumulationOption = None,
    checkpointing: CheckpointingOption = None,
    ranks: RanksOption = 1,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Resume a run from a checkpoint in the foreground, as if it had never stopped.

    Example: `cpt-studio resume first`
    """
    given = given_session(length, rows, accumulation, checkpointing)
    place = Workspace(workspace)
    directory = place.run(run)
    if run not in place.run_names():
        known = ", ".join(place.run_names()) or "none"
        raise UserError(f"There is no run {run!r} in {place.root}. Existing runs: {known}.")
    fit = _fit(directory, ranks, given)
    confirm_fit(fit, yes)
    make_room(place, lambda: fit)
    place.make(place.runs)
    arguments = ["--resume", *([checkpoint] if checkpoint else []), *given.flags()]
    arguments += ["--accept-older"] if accept_older else []
    _become_trainer(directory, ranks, *arguments, *(["--verify"] if verify else []))


def _fit(directory: Path, ranks: int, given: SessionSettings | None = None) -> Fit | None:
    """What so many ranks of a run need, and what there is."""
    fit = fit_of_run(read_config(directory), directory, given)
    return None if fit is None else fit.of_ranks(ranks)


def _fitted(settings: TrainingSettings, way: WayToFit) -> TrainingSettings:
    """Settings changed so that they fit; tells what was changed.

    Raises:
        UserError: nothing makes them fit, or something has to be made first.
    """
    _tell_way(way)
    if not way.ready:
        missing = [step.note for step in way.steps if not step.changes]
        raise UserError(way.sentence or " ".join(missing))
    return way.applied(settings)


def _tell_way(way: WayToFit) -> None:
    errors.print("To make it fit:")
    for step in way.steps:
        memory = f"{_size(step.memory_bytes)} of memory with this change"
        errors.print(f"  {escape(step.title)}: {memory}. {escape(step.note)}", soft_wrap=True)


def _agree(made: Plan, yes: bool, ranks: int) -> None:
    """Show a plan, and ask where the machine has too little for it."""
    console.print(_table(made, None))
    _warn(made)
    confirm_fit(fit_of_plan(made).of_ranks(ranks), yes)


def _become_trainer(directory: Path, ranks: int, *arguments: str) -> NoReturn:
    """Replace this process by the trainer, so that Ctrl-C and the exit status are its own.

    A Ctrl-C before the trainer can handle it waits until it can.
    """
    hold_signals()
    sys.stdout.flush()
    sys.stderr.flush()
    program = [TRAINER_MODULE, str(directory)]
    if ranks > 1:
        program = [RANKS_MODULE, str(directory), "--ranks", str(ranks)]
    os.execv(sys.executable, [sys.executable, "-m", *program, *arguments])


def _settings(
    given: dict[str, Any],
    model: str | None,
    corpus: list[str] | None,
    replay: list[str] | None,
    measure: list[str] | None,
    config: Path | None,
) -> TrainingSettings:
    tree = _read_yaml(config) if config else {}
    overrides = dict(given)
    if model is not None:
        overrides["model.path"] = model
    roles = (("domain", corpus), ("replay", replay), ("evaluation", measure))
    uses = [_use(text, role) for role, texts in roles for text in texts or ()]
    if uses:
        overrides["data.corpora"] = uses
    merged = merge(tree, overrides)
    missing = []
    if "path" not in merged.get("model", {}):
        missing.append("--model: the base model to train.")
    if not merged.get("data", {}).get("corpora"):
        missing.append("--corpus: the corpus to train on (`cpt-studio corpus list` shows them).")
    if missing:
        raise UserError("Missing options:", missing)
    try:
        return parse_settings(merged)
    except UserError as error:
        raise UserError(error.message, [_with_flag(found) for found in error.findings]) from None


def _with_flag(finding: Finding) -> Finding:
    """A finding that names the flag of its setting beside the title."""
    if finding.field not in dict(leaves()):
        return finding
    return replace(finding, title=f"{finding.title} ({flag_of(finding.field)})")


def _read_yaml(path: Path) -> dict[str, Any]:
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise UserError(
            f"{path} must contain settings as a YAML mapping, such as `model: {{path: ...}}`."
        )
    for key in ("model", "data"):
        if key in tree and not isinstance(tree[key], dict):
            example = "model: {path: demo-base}" if key == "model" else "data: {corpora: [...]}"
            raise UserError(f"{path}: “{key}” must be a section, such as {example}.")
    return tree


def _use(text: str, role: str) -> dict[str, Any]:
    name, _, weight = text.partition(":")
    return {"name": name, "role": role, **({"weight": weight} if weight else {})}


def _free_name(workspace: Workspace, settings: TrainingSettings) -> str:
    domain = next(use.name for use in settings.data.corpora if use.role == "domain")
    stem = f"{domain[:40]}-{datetime.date.today().isoformat()}"
    taken = set(workspace.run_names())
    candidates = (f"{stem}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in candidates if name not in taken)


def facts(made: Plan, seconds: float | None) -> dict[str, Any]:
    """Return a plan as plain values; seconds only where they were measured."""
    found = {
        **made.facts,
        "warnings": [one.sentence for one in made.warnings],
        "choices": [asdict(choice) for choice in made.choices],
        "make_it_fit": None if made.make_it_fit is None else asdict(made.make_it_fit),
    }
    if seconds is not None:
        found["seconds"] = seconds
    return found


def _table(made: Plan, seconds: float | None) -> Table:
    settings = made.settings
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()

    def row(label: str, value: str) -> None:
        table.add_row(label, escape(value))

    row("model", f"{made.model.path.name}, {made.network.parameters / 1e6:,.1f}M parameters")
    for part, size in made.network.left_out.items():
        row("skipped", f"{part} ({_size(size)} in its files)")
    uses = ((use, f" x{use.weight:g}" if use.weight != 1 else "") for use in settings.data.corpora)
    row("corpora", ", ".join(f"{use.name} ({use.role}{times})" for use, times in uses))
    method = NAMES[settings.method.kind or "full"]
    if settings.method.kind != "full":
        method += f", rank {settings.method.rank}"
    trained = f"{made.trained / 1e6:,.1f}M trained"
    rate = f"{settings.optimizer.name} at {settings.optimizer.learning_rate:.1e}"
    row("method", f"{method}, {trained}, {rate}")
    row(
        "length",
        f"{made.length.steps:,} steps of about {made.length.tokens_per_step:,.0f} tokens "
        f"= {made.epochs:.2f} epochs of {made.tokens_per_epoch:,} tokens",
    )
    size, accumulation = settings.batch.cut
    row(
        "batch",
        f"{size} x {settings.data.sequence_length:,} tokens, gradient accumulation {accumulation}, "
        f"{settings.data.packing}, {(settings.data.replay_share or 0) * 100:g}% replay",
    )
    if made.model.has_chat_template:
        row("chat", _chat_words(made.model.path))
    if made.attention is not None:
        row("attention", ATTENTION_TITLES[made.attention])
    row("evaluation", _every(made.length.evaluate_every))
    how = "in the background" if made.saves_in_background else "training pauses meanwhile"
    each = _size(made.checkpoint_bytes)
    row("checkpoint", f"{_every(made.length.save_every)}, {each} each, {how}")
    there = f"of {_size(made.memory_available)} available on {made.machine.name or 'this machine'}"
    row("memory", f"about {_size(made.memory.total)} {there}")
    free = f" of {_size(made.disk_free)} free" if made.disk_free is not None else ""
    row("disk", f"about {_size(made.disk_needed)}{free}")
    if seconds is not None:
        row("time", f"about {duration(seconds)}")
    return table


def _chat_words(folder: Path) -> str:
    """Where an answer of the model ends, and what other programs would do otherwise."""
    try:
        found = read_chat_format(folder)
    except UserError as error:
        return str(error)
    return " ".join(
        [f"an answer ends at {sentence_of(found)}.", *([found.warning] if found.warning else [])]
    )


def _every(steps: int) -> str:
    return "every step" if steps == 1 else f"every {steps:,} steps"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _tell_choices(made: Plan) -> None:
    """Print the values that were chosen for the user, with reasons."""
    titles = {dotted: field.title or dotted for dotted, field in leaves()}
    for choice in made.choices:
        line = f"  {titles[choice.field]}: {choice.value}. {choice.reason}"
        console.print(f"[dim]{escape(line)}[/]", soft_wrap=True)


def _warn(made: Plan) -> None:
    for warning in made.warnings:
        errors.print(f"[yellow]Note:[/] {escape(warning.sentence)}", soft_wrap=True)
