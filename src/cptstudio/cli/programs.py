"""Starting our own programs, which load MLX, from a command line that does not.

They speak the protocol of `cptstudio.job_programs`. What they log goes to standard error, which
is the terminal's. Ctrl-C reaches this process alone, which asks the program to end, waits until
it has cleaned up, and kills it when it does not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape

from cptstudio.cli.progress import count_bar
from cptstudio.durable import dump_json
from cptstudio.errors import UserError
from cptstudio.testing.reports import Reports
from cptstudio.workspace import Workspace

_GRACE_SECONDS = 20.0


def run_reported(
    module: str, request: dict[str, Any], workspace: Workspace, *, quiet: bool
) -> tuple[str, dict[str, Any]]:
    """Run a program that keeps a report; returns the report's id and result.

    Args:
        module: the program.
        request: what it is asked.
        workspace: where it keeps its report.
        quiet: show no progress.

    Raises:
        UserError: the program reported one, or died.
    """
    result = run_program(module, request, quiet=quiet)
    kept: dict[str, Any] = Reports(workspace).read(result["report"])["result"]
    return result["report"], kept


def run_program(module: str, request: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Run a program and draw its progress on standard error; returns its result.

    Raises:
        UserError: the program reported one, or died.
    """
    end: dict[str, Any] = {}
    with count_bar(quiet=quiet) as bar, _started(module, request) as process:
        task = bar.add_task("starting", total=None, unit="", detail="")
        assert process.stdout is not None
        for line in process.stdout:
            answer = json.loads(line)
            if "progress" not in answer:
                end = answer
                continue
            step = answer["progress"]
            bar.update(
                task,
                description=escape(str(step.get("phase") or "")),
                completed=step.get("done") or 0,
                total=step.get("total"),
                unit=step.get("unit") or "",
                detail=escape(str(step.get("detail") or "")),
            )
    if "error" in end:
        raise UserError(end["error"]["message"], end["error"]["problems"])
    if "cancelled" in end:
        raise KeyboardInterrupt
    if "result" not in end:
        raise UserError(
            f"The program {module} ended with status {process.returncode} before it was done. "
            "Out of memory is the usual reason; what it said stands above."
        )
    result: dict[str, Any] = end["result"]
    return result


@contextmanager
def _started(module: str, request: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        # It stays open: its end tells the program that nobody waits for it any more.
        process.stdin.write(dump_json(request) + "\n")
        process.stdin.flush()
        yield process
        process.wait()
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Let a program end by itself, and kill its group when it does not."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(_GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # Not reaped, so its pid, which is its group's number, is still its own.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
