"""`cpt-studio runs import` and `forget`: runs of other programs, shown and never touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    console,
    errors,
    metric_text,
    moment,
    print_json,
)
from cptstudio.cli.run_progress import figures
from cptstudio.durable import dump_json
from cptstudio.runs.external.detection import visible
from cptstudio.runs.external.imported_list import ID_PREFIX, ImportedEntry
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace

_PROGRAMS = {"forgellm": "ForgeLLM", "metrics": "metrics file", "log": "mlx-lm log"}


def import_runs(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="A ForgeLLM CPT_*.json file, metrics as .json or .jsonl, an mlx-lm or "
            "mlx-lm-lora log, or a folder with ForgeLLM files.",
        ),
    ],
    workspace: NewWorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Add runs of other programs to the list, read-only.

    The workspace only stores the path: files are neither copied nor changed. ForgeLLM files in
    models/cpt of the workspace are listed without an import.
    """
    external = TrainingManager(Workspace(workspace)).external
    entries = [entry for path in paths for entry in external.import_runs(path)]
    if as_json:
        print_json([entry.as_json() for entry in entries])
        return
    print_list(entries)


def forget(
    run: Annotated[str, typer.Argument(metavar="RUN", help="ID of the imported run.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Remove an imported run from the list. Its file is not changed."""
    TrainingManager(Workspace(workspace)).external.forget_imported(run)
    console.print(f"Removed {escape(run)} from the list. Its file was not changed.")


def meant(manager: TrainingManager, name: str) -> ImportedEntry | None:
    """Return the imported run with this id, unless a run of the workspace itself has that name."""
    if not name.startswith(ID_PREFIX) or name in manager.workspace.run_names():
        return None
    return manager.external.imported_run(name)


def print_list(entries: list[ImportedEntry]) -> None:
    """A table, and below it what cannot be read."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("imported", "name", "from", "step", "loss", "created"):
        right = heading in ("step", "loss")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "name")
    for entry in entries:
        row = entry.last_row() or {}
        table.add_row(
            entry.id,
            escape(visible(entry.name)),
            "-" if entry.run is None else _PROGRAMS[entry.run.source],
            metric_text(row, "step"),
            metric_text(row, "loss"),
            moment(entry.run.created or 0 if entry.run is not None else 0),
        )
    console.print(table)
    for entry in entries:
        for problem in entry.problems():
            errors.print(f"[yellow]{entry.id}:[/] {escape(visible(problem))}", soft_wrap=True)


def show(entry: ImportedEntry, as_json: bool) -> None:
    """All that its file tells besides the rows."""
    if as_json:
        print_json(entry.as_json() | {"events": entry.history().events})
        return
    row, run = (entry.last_row() or {}), entry.run
    lines = [
        ("run", f"{entry.id} (imported, read-only)"),
        ("name", entry.name),
        ("file", str(entry.path)),
    ]
    if run is not None:
        validation = [record.validation_loss for record in run.rows if record.validation_loss]
        lines += [
            ("from", _PROGRAMS[run.source]),
            ("created", moment(run.created or 0)),
            ("ended", moment(run.ended or 0)),
            ("model", run.base_model or "unknown"),
            ("output", run.output or "unknown"),
            ("step", metric_text(row, "step")),
            ("loss", metric_text(row, "loss")),
            ("validation", metric_text({"loss": validation[-1] if validation else None}, "loss")),
        ]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, value in lines:
        table.add_row(label, escape(visible(value)))
    console.print(table)
    for problem in entry.problems():
        errors.print(f"[yellow]{entry.id}:[/] {escape(visible(problem))}", soft_wrap=True)


def tell_rows(entry: ImportedEntry, after: int, as_json: bool) -> None:
    """Print its rows after a `seq`, as `watch` prints those of a run that has ended."""
    for row in entry.history().rows:
        if row["seq"] <= after:
            continue
        if as_json:
            typer.echo(dump_json({"row": row}))
        elif row["kind"] == "train":
            console.print(figures(row))
        else:
            losses = (f"{name} loss {of['loss']}" for name, of in row["corpora"].items())
            console.print(escape(f"step {row.get('step', '-')}  {', '.join(losses)}"))
