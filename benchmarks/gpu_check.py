"""What has to be known of a GPU, in one script of at most 12 minutes.

    python -m benchmarks.gpu_check --state STATE            # on the machine with the GPU
    python -m benchmarks.gpu_check --state STATE --page     # what is there, into docs/benchmarks.md
    python -m benchmarks.gpu_check --small                  # tiny models, on any device

Models of random bfloat16 weights in the shapes of Llama 3.2 1B and Qwen3 0.6B are made on the spot.
Each part is a process of its own with a budget of time, and leaves STATE/PART.json: one that failed
or ran out of time says so, with what it had found, and the rest goes on. A second call does what is
not there yet, so a machine that is lent for minutes can be used twice. The first step of every kind
compiles kernels under CUDA, for half a minute on an H200; a second call finds them made. Parts:

- step: mlx-lm's own step, ours, and ours in parts where it is one compiled function, in turns; lora
  of rank 16 and full, 4 x 2,048. mlx-lm trains in bfloat16, also in full; ours keeps masters in
  float32 in full, which is more work.
- bits: the gradients of one batch and the step's result, computed three times: the same bits?
  And the embedding's gradient by MLX's scatter-add against sorted sums: bits and time.
- memory: peak of MLX's arrays against the plan, at 2,048 and 8,192 tokens, with and without
  gradient checkpointing.
- resume: 300 steps at once, and 300 with a kill -9 in between and a resume: the same rows?
- text: first token and tokens a second of the inference worker.
- saves: steps, pauses and saves of a full run, by copies on the card and by arrays where they lie.
- out of memory: how a run ends that needs half as much again as the card has.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_parts import MADE, PARTIAL, Part, Scale, parts
from benchmarks.peers.markdown import replace_part, table

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def run_part(part: Part, small: bool, target: Path, seconds: float) -> dict[str, Any]:
    """Do one part in a process of its own; what came out, or why nothing did."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--inside", part.name]
    command += ["--state", str(target.parent)]
    command += ["--small"] * small
    environment = os.environ | {PARTIAL: str(target.with_suffix(".partial"))}
    log = target.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env=environment
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    took = time.perf_counter() - began
    if target.exists():
        return {**json.loads(target.read_text(encoding="utf-8")), "took": took}
    partial = partial_results(target)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    why = f"no result after {took:.0f} s of {seconds:.0f}: {' '.join(last)[:300]}"
    return {"failed": why, **partial, "took": took}


def partial_results(target: Path) -> dict[str, Any]:
    """What a part had found before it ended."""
    kept = target.with_suffix(".partial")
    return json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}


def report(results: dict[str, dict[str, Any]]) -> str:
    """A table of everything that was found."""
    about = results.get("machine", {})
    versions = about.get("versions", {})
    head = f"{time.strftime('%Y-%m-%d')}: {about.get('device', 'an unknown device')}, " + ", ".join(
        f"{name} {versions[name]}" for name in ("mlx", "mlx-lm") if name in versions
    )
    rows = [
        [name, "; ".join(f"{key}: {short(value)}" for key, value in found.items() if key != "took")]
        for name, found in results.items()
        if name not in (MADE, "machine")
    ]
    return f"{head}\n\n{table(['part', 'found'], rows, texts=2)}"


def short(value: Any) -> str:
    """A value in a few characters; of a list of numbers the median with its range."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(one)}" for key, one in value.items())
    if isinstance(value, list) and value and all(isinstance(one, float) for one in value):
        return f"{statistics.median(value):.4g} ({min(value):.4g} to {max(value):.4g})"
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value[:3]))}" if value else "none"
    return str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is not done yet; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--state", type=Path, help="folder for models and results")
    parser.add_argument("--small", action="store_true", help="tiny models: shows that it works")
    parser.add_argument("--minutes", type=float, default=12.0, help="in all; then the rest waits")
    parser.add_argument("--patience", type=float, default=1.0, help="times the budgets of parts")
    parser.add_argument("--only", metavar="WORDS", help="parts whose name holds this")
    parser.add_argument("--page", action="store_true", help="put the table into docs")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    end = time.monotonic() + 60 * given.minutes
    state = given.state or Path(tempfile.mkdtemp(prefix="gpu-check-"))
    root = state / "workspace"
    chosen = parts(Scale(given.small))
    if given.inside:
        part = next(one for one in chosen if one.name == given.inside)
        found = part.work(root)
        target = state / f"{given.inside}.json"
        target.with_suffix(".part").write_text(json.dumps(found), encoding="utf-8")
        target.with_suffix(".part").replace(target)
        return 0
    root.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    for part in chosen:
        target = state / f"{part.name}.json"
        left = end - time.monotonic()
        if target.exists():
            results[part.name] = json.loads(target.read_text(encoding="utf-8"))
        elif left > 5 and (part.name == MADE or given.only is None or given.only in part.name):
            seconds = min(part.seconds * given.patience, end - time.monotonic())
            results[part.name] = run_part(part, given.small, target, seconds)
            print(f"{part.name}: {short(results[part.name])}", flush=True)
    text_ = report(results)
    (state / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (state / "table.md").write_text(text_ + "\n", encoding="utf-8")
    print(f"\n{text_}\n\nIn {state}.")
    if given.page:
        replace_part(PAGE, "gpu_check", text_)
    return 1 if any("failed" in found for found in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
