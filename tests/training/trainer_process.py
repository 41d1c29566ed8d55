"""Runs the real training program in a process of its own."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cptstudio import metrics
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import METRICS
from cptstudio.run_rows import current_rows
from cptstudio.runs.launching import TRAINER_MODULE as MODULE
from cptstudio.training.stop_requests import SIGNALS

PATIENCE = 200.0


def start(run_directory: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start the program with stop signals blocked, as whoever starts it for real does."""
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, str(run_directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS),
        **options,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; returns the exit status and what was said."""
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output


def run(run_directory: Path, *arguments: str, **options: Any) -> tuple[int, str]:
    """Run the program to its end."""
    return finish(start(run_directory, *arguments, **options))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait for a condition while the process lives; returns whether it came true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"the condition never came true: {process.communicate()[0]}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.005)
            return condition()
    return True


def rows_written(run_directory: Path) -> int:
    """Complete lines in metrics.jsonl."""
    try:
        return (run_directory / METRICS).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_after_rows(run_directory: Path, rows: int, *arguments: str) -> bool:
    """Start, and kill -9 once so many more rows are there; whether it was still running."""
    until = rows_written(run_directory) + rows
    process = start(run_directory, *arguments)
    wait_until(lambda: rows_written(run_directory) >= until, process)
    process.kill()
    finish(process)
    return process.returncode == -signal.SIGKILL


def held_rows(run_directory: Path) -> list[dict[str, Any]]:
    """The rows that hold, without what differs between repetitions."""
    lines = read_json_lines(run_directory / METRICS)
    assert lines.damaged == []
    return [reproducible(row) for row in current_rows(lines.records)]


def reproducible(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what may differ between repetitions."""
    dropped = {one.name for one in (*metrics.TRAINING, *metrics.EVALUATION) if one.machine}
    return {name: row[name] for name in row.keys() - dropped - {"seq", "session"}}


def events(run_directory: Path, kind: str) -> list[dict[str, Any]]:
    """Lines of the run's events of one kind."""
    records = read_json_lines(run_directory / "events.jsonl").records
    return [record for record in records if record["event"] == kind]
