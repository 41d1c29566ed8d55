"""Measure one run of the plan and put it in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import benchmarks.peers.runner
from benchmarks.peers.catalogue import find_peer, python_of
from benchmarks.peers.ours import run_ours
from benchmarks.peers.plan import OURS, Run
from benchmarks.peers.processes import Ended, last_lines, run_to_end
from benchmarks.peers.workbench import Workbench

SOURCE = Path(__file__).resolve().parents[2] / "src"
RANK = 64
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Measured:
    """One process, measured.

    Attributes:
        tool, method, context, vocabulary, fast_blas, round: what was run.
        useful_per_second: real target tokens trained in a second of stepping: the computed
            targets per second of the measured steps, times the real share of all targets of
            the tool's epoch. The share is counted exactly, so that which batches were drawn
            does not matter.
        positions_per_second: computed targets, padding included.
        padding: share of the computed targets of an epoch that are padding.
        covered: share of the documents' tokens that an epoch reads at all.
        peak_bytes: largest resident memory of the process.
        mlx_peak_bytes: largest memory of MLX's own arrays, as MLX reports it.
        start_seconds: from the start of the interpreter to the first step.
        first_step_seconds: the first step, with building its kernels.
        other_load: cores that other processes kept busy meanwhile.
        error: why there are no numbers, or "".
    """

    tool: str
    method: str
    context: int
    vocabulary: int
    fast_blas: bool
    round: int
    useful_per_second: float = 0.0
    positions_per_second: float = 0.0
    padding: float = 0.0
    covered: float = 0.0
    peak_bytes: int = 0
    mlx_peak_bytes: int = 0
    start_seconds: float = 0.0
    first_step_seconds: float = 0.0
    other_load: float = 0.0
    blas: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, float]] = field(default_factory=list)
    error: str = ""


Ran = tuple[Ended, dict[str, Any] | None]


def common_job(run: Run, bench: Workbench) -> dict[str, Any]:
    """What every tool is told."""
    return {
        "method": run.cell.method,
        "context": run.cell.context,
        "batch": run.batch,
        "warmup": run.warmup,
        "short_warmup": run.is_long,
        "steps": run.steps,
        "seed": run.round,
        "model": str(bench.model(run.cell.vocabulary)),
        "data": str(bench.data),
        "rank": RANK,
        "learning_rate": LEARNING_RATE,
    }


def run_peer(run: Run, bench: Workbench, work: Path) -> Ran:
    """Run a peer in its environment; the result is what `runner` wrote, or None."""
    peer = find_peer(run.tool)
    result = work / "result.json"
    job = {
        **common_job(run, bench),
        "package": peer.package,
        "data": str(bench.split_data(run.cell.context) if peer.splits else bench.data),
        "work": str(work),
        "result": str(result),
        "fast_blas": run.cell.fast_blas,
        "source": str(SOURCE),
        "unaided": False,
    }
    path = work / "job.json"
    path.write_text(json.dumps(job, indent=2))
    runner = Path(benchmarks.peers.runner.__file__)
    command = [python_of(bench.environments, peer), runner, path]
    ended = run_to_end(command, work / "log.txt", work, shared_environment(bench))
    return ended, json.loads(result.read_text()) if result.is_file() else None


def shared_environment(bench: Workbench) -> dict[str, str]:
    """Environment variables of every measured process.

    They share a folder for temporary files, in which MLX keeps the kernels it compiles, and
    none of them looks for anything on the network.
    """
    temporary = bench.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return {"TMPDIR": str(temporary), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def measure(run: Run, bench: Workbench, patience: int = 0) -> Measured:
    """Measure a run, again up to `patience` times while other processes disturb it."""
    for attempt in range(patience + 1):
        name = f"{run.tool}-{run.cell.method}-{run.cell.context}-{run.cell.vocabulary}"
        name += f"-{'fast' if run.cell.fast_blas else 'installed'}-{run.round}-{attempt}"
        work = bench.folder / "runs" / name.replace(" ", "-")
        work.mkdir(parents=True)
        if run.tool == OURS:
            environment = shared_environment(bench)
            ended, result = run_ours(run, bench, work, environment, common_job(run, bench))
        else:
            ended, result = run_peer(run, bench, work)
        measured = in_numbers(run, bench, ended, result, work / "log.txt")
        if measured.error or measured.other_load < 0.3:
            break
    return measured


def in_numbers(
    run: Run, bench: Workbench, ended: Ended, result: dict[str, Any] | None, log: Path
) -> Measured:
    """From the steps of a process to speed, waste and memory."""
    what: dict[str, Any] = {"tool": run.tool, **asdict(run.cell), "round": run.round}
    if result is None:
        error = f"ended with status {ended.status}: {last_lines(log, 1)}"
        return Measured(**what, other_load=ended.other_load, error=error)
    counted = result["steps"][result["warmup"] :]
    seconds = sum(step["seconds"] for step in counted)
    rate = sum(step["positions"] for step in counted) / seconds
    epoch = result["epoch"]
    useful_share = epoch["useful"] / epoch["positions"]
    return Measured(
        **what,
        useful_per_second=rate * useful_share,
        positions_per_second=rate,
        padding=1 - useful_share,
        covered=min(1.0, epoch["tokens"] / bench.tokens),
        peak_bytes=ended.peak_bytes,
        mlx_peak_bytes=int(result["mlx_peak_bytes"]),
        start_seconds=result["start_seconds"],
        first_step_seconds=result["steps"][0]["seconds"],
        other_load=ended.other_load,
        blas=result["blas"],
        versions=result["versions"],
        steps=result["steps"],
    )
