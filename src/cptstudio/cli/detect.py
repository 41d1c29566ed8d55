"""`cpt-studio runs detect`: training on this machine that was started elsewhere."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, errors, print_json
from cptstudio.cli.typed_options import whole
from cptstudio.durable import dump_json
from cptstudio.errors import UserError
from cptstudio.runs.external.detection import Detection, ExternalProcess, visible
from cptstudio.runs.external.detection import detect as look_at_processes
from cptstudio.runs.external.external_processes import Confirmation, ExternalProcesses
from cptstudio.runs.external.log_parser import LogRecord
from cptstudio.runs.preferences import read_preferences
from cptstudio.workspace import Workspace


def detect(
    workspace: WorkspaceOption = Path(),
    watch: Annotated[
        int | None, whole("--watch", metavar="PID", help="Follow this process's log.")
    ] = None,
    stop: Annotated[
        int | None, whole("--stop", metavar="PID", help="Send SIGTERM to this process.")
    ] = None,
    no_detect: Annotated[
        bool, typer.Option("--no-detect", help="Do not look at any process.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Detect other training: mlx_lm, mlx-lm-lora and mlx-tune processes on this machine.

    Detection only lists them. It never writes to their folders or sends them a signal; --watch and
    --stop ask first.
    """
    enabled = not no_detect and read_preferences(Workspace(workspace).private).detect
    found = look_at_processes(enabled)
    if watch is not None:
        _watch(_chosen(found, watch), as_json)
    elif stop is not None:
        _stop(_chosen(found, stop))
    elif as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _chosen(found: Detection, pid: int) -> ExternalProcess:
    for process in found.processes:
        if process.identity.pid == pid:
            return process
    if found.off:
        raise UserError(
            "Detection is off, so no process can be watched or stopped. Turn it on in the "
            "settings, or leave out --no-detect."
        )
    raise UserError(
        f"Process {pid} is not a known training process. `cpt-studio runs detect` lists "
        "those that are."
    )


def _as_json(found: Detection) -> dict[str, Any]:
    processes = [process.as_json() for process in found.processes]
    return {"off": found.off, "looked_at": found.looked_at, "processes": processes}


def _print(found: Detection) -> None:
    if found.off:
        console.print("Detection is off.")
        return
    if not found.processes:
        console.print("No training was started outside CPT Studio.")
    for process in found.processes:
        console.print(
            f"[bold]{process.identity.pid}[/bold]  {escape(process.command_line)}", soft_wrap=True
        )
        for label, value in _facts(process):
            console.print(f"    {label:<10} {escape(visible(value))}", soft_wrap=True)
    if found.unreadable:
        console.print(f"{found.unreadable} processes of other users could not be read.")


def _facts(process: ExternalProcess) -> list[tuple[str, str]]:
    command = process.command
    started = datetime.fromtimestamp(process.started).isoformat(" ", "seconds")
    facts = [
        ("user", process.owner or "unknown"),
        ("started", started),
        ("found as", command.evidence),
        ("folder", str(process.folder or "unknown")),
        ("model", command.model or "not on the command line"),
        ("data", command.data or "not on the command line"),
        ("adapters", str(process.adapter_folder or command.adapter_path or "not set")),
    ]
    if command.iterations is not None:
        facts.append(("iterations", f"{command.iterations:,}"))
    if command.configuration is not None:
        facts.append(("options in", f"{command.configuration} (not read)"))
    if command.trains is None:
        facts.append(("trains", "depends on its configuration or script"))
    facts.append(("log", f"{process.log_file or 'none'}: {process.log_reason}"))
    return facts


def _watch(process: ExternalProcess, as_json: bool) -> None:
    external = ExternalProcesses()
    token = _confirmed(external.ask(process, "watch"))
    finish = threading.Event()
    try:
        for record in external.watch(token, finish):
            if as_json:
                typer.echo(dump_json(record.as_json()))
            else:
                console.print(escape(describe_record(record)), soft_wrap=True)
    except KeyboardInterrupt:
        finish.set()
        console.print("Stopped watching. The process continues.")


def _stop(process: ExternalProcess) -> None:
    external = ExternalProcesses()
    token = _confirmed(external.ask(process, "stop"))
    pid = process.identity.pid
    if typer.prompt(f"Type {pid} to confirm", err=True).strip() != str(pid):
        raise UserError("Canceled. No signal was sent.")
    external.stop(token)
    console.print(f"Sent SIGTERM to process {pid}.")


def _confirmed(confirmation: Confirmation) -> str:
    errors.print(escape(confirmation.sentence), soft_wrap=True)
    if not typer.confirm("Continue?", err=True):
        raise UserError("Canceled. Nothing was changed.")
    return confirmation.token


def describe_record(record: LogRecord) -> str:
    """Return one line of text for what a training program reported."""
    if record.traceback is not None:
        return record.traceback
    measured = [
        (record.train_loss, "training loss {:.3f}"),
        (record.validation_loss, "validation loss {:.3f}"),
        (record.test_loss, "test loss {:.3f}"),
        (record.learning_rate, "learning rate {:.3g}"),
        (record.tokens_per_second, "{:,.0f} tokens/s"),
        (record.trained_tokens, "{:,} tokens"),
        (record.peak_memory_gigabytes, "peak {:.2f} GB"),
        (record.planned_iterations, "{:,} iterations planned"),
    ]
    parts = [text.format(value) for value, text in measured if value is not None]
    if record.saved_paths:
        parts.append("saved " + " and ".join(record.saved_paths))
    where = "" if record.iteration is None else f"iteration {record.iteration}: "
    return where + ", ".join(parts)
