"""Output about a run in progress: its start, its metrics, its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from cptstudio.cli.common import console, metric_text
from cptstudio.durable import dump_json
from cptstudio.run_files import read_result
from cptstudio.runs.run import Run
from cptstudio.runs.watcher import Update
from cptstudio.training.phases import sentence


def show_updates(updates: Iterator[Update]) -> None:
    """One JSON object a line: row, event, phase (as one begins), state, problem or restarted."""
    begun = None
    for update in updates:
        if update.restarted:
            typer.echo(dump_json({"restarted": True}))
        lines: list[dict[str, Any]] = [{"row": row} for row in update.rows]
        lines += [{"event": event} for event in update.events]
        lines += [{"problem": problem} for problem in update.problems]
        if update.phase is not None and (update.phase.name, update.phase.began) != begun:
            begun = (update.phase.name, update.phase.began)
            lines.append({"phase": update.phase.model_dump(mode="json")})
        if update.state is not None:
            state = {"name": update.state.name, "outcome": update.state.outcome}
            lines.append({"state": state | {"reason": update.state.reason}})
        for line in lines:
            typer.echo(dump_json(line))


def show_progress(run: Run, updates: Iterator[Update]) -> None:
    """A bar with the newest figures or the phase on a terminal; the run's events above it."""
    progress = Progress(
        TextColumn("{task.description}"),
        # What is left beside the words.
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(),
        console=console,
        expand=True,
    )
    task = progress.add_task(escape(run.id), total=_planned_steps(run), figures="")
    with progress:
        for update in updates:
            _show(progress, task, update)


def _show(progress: Progress, task: TaskID, update: Update) -> None:
    for event in update.events:
        message = event.get("message")
        if isinstance(message, str):
            progress.console.print(escape(message))
        planned = event.get("planned_steps")
        if isinstance(planned, int):
            progress.update(task, total=planned)
    for problem in update.problems:
        progress.console.print(f"[yellow]{escape(problem)}[/]")
    trained = [row for row in update.rows if row.get("kind") == "train"]
    if update.phase is not None and update.phase.name != "training":
        progress.update(task, figures=escape(sentence(update.phase)))
    elif trained:
        progress.update(task, completed=trained[-1].get("step"), figures=figures(trained[-1]))
    if update.state is not None:
        reason = f"{update.state}: {update.state.reason}"
        progress.console.print(f"[bold]{escape(reason)}[/]")


def figures(row: dict[str, Any]) -> str:
    """Return the newest figures of a training row, in one line."""
    parts = [f"step {row.get('step')}"]
    if row.get("loss") is not None:
        text = f"loss {metric_text(row, 'loss')}"
        parts.append(text if isinstance(row["loss"], int | float) else f"[red]{text}[/]")
    if isinstance(row.get("tokens_per_second"), int | float):
        parts.append(f"{metric_text(row, 'tokens_per_second')} tokens/s")
    return "  ".join(parts)


def _planned_steps(run: Run) -> int | None:
    result = read_result(run.directory)
    if result is not None and result.planned_steps:
        return result.planned_steps
    if run.config is not None and run.config.settings.length.unit == "steps":
        return int(run.config.settings.length.value)
    return None


def tell_started(run: Run) -> None:
    """Say that a run trains or waits, and how to watch it."""
    if run.queue_position:
        console.print(
            f"{escape(run.id)} is number {run.queue_position} in the queue. Start the "
            "queue with `cpt-studio runs queue --start` or in the web interface.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"{escape(run.id)} is training in the background. Follow it with `cpt-studio "
            f"runs watch {escape(run.id)}`.",
            soft_wrap=True,
        )
