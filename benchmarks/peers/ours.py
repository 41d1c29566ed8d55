"""CPT Studio's own trainer in the comparison, run by its program and read by its metrics."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.peers.plan import Run
from benchmarks.peers.processes import Ended, run_to_end
from benchmarks.peers.workbench import Workbench
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import METRICS
from cptstudio.runs.launching import TRAINER_MODULE


def run_ours(
    run: Run, bench: Workbench, work: Path, environment: dict[str, str], common: dict[str, Any]
) -> tuple[Ended, dict[str, Any] | None]:
    """Prepare a run, train it in a process of its own, and read its rows.

    A step lasts from one row to the next, so that data, guards and logging are in it. The first
    step is the warm-up.
    """
    directory = work / "run"
    job = {
        **common,
        "run": str(directory),
        "corpus": str(bench.folder / "corpora" / "documents"),
        "prepared": str(work / "prepared.json"),
    }
    path = work / "job.json"
    path.write_text(json.dumps(job, indent=2))
    program = Path(__file__).with_name("our_run.py")
    subprocess.run([sys.executable, program, path], check=True)
    prepared = json.loads((work / "prepared.json").read_text())
    began = time.time()
    command: list[str | Path] = [sys.executable, "-m", TRAINER_MODULE, directory]
    ended = run_to_end(command, work / "log.txt", work, environment)
    rows = [row for row in read_json_lines(directory / METRICS).records if row["kind"] == "train"]
    if ended.status != 0 or len(rows) != run.warmup + run.steps:
        return ended, None
    return ended, {**prepared, **_in_numbers(rows, began, run), "blas": _blas(work / "log.txt")}


def _in_numbers(rows: list[dict[str, Any]], began: float, run: Run) -> dict[str, Any]:
    first = float(rows[0]["step_seconds"])
    seconds = [
        first,
        *(float(after["time"]) - float(before["time"]) for before, after in pairwise(rows)),
    ]
    steps = [
        {
            "seconds": duration,
            "useful": row["tokens"],
            "positions": row["tokens"],
            "width": run.cell.context,
        }
        for row, duration in zip(rows, seconds, strict=True)
    ]
    return {
        "start_seconds": float(rows[0]["time"]) - first - began,
        "warmup": run.warmup,
        "steps": steps,
        "mlx_peak_bytes": max(row["memory_peak"] for row in rows),
    }


def _blas(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if "multipl" in line), "")
