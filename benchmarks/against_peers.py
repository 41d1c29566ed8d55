"""CPT Studio against its peers, side by side: `python -m benchmarks.against_peers`.

Same documents, model, method and batch; useful tokens per second, memory, and what each tool
loses to cutting and padding. See benchmarks/README.md for how it is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers import machine, plan, report
from benchmarks.peers.catalogue import PEERS, SPLIT, default_environments, find_peer
from benchmarks.peers.markdown import replace_part
from benchmarks.peers.measure import SOURCE, Measured, measure, shared_environment
from benchmarks.peers.model_folder import TOKENIZER_PIECES
from benchmarks.peers.setup import is_complete
from benchmarks.peers.workbench import Workbench, prepare

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PART = "against_peers"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [peer.name for peer in PEERS]
    parser.add_argument("--contexts", nargs="+", type=int, default=[512, 2048])
    parser.add_argument("--methods", nargs="+", choices=["full", "lora"], default=["full", "lora"])
    parser.add_argument("--peers", nargs="*", choices=names, help="default: those installed")
    parser.add_argument("--without-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--split", action="store_true", help=f"also measure {SPLIT.name!r}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocabularies", nargs="*", type=int, default=[32_768, 151_936])
    parser.add_argument("--installed-contexts", nargs="*", type=int, default=[512])
    parser.add_argument("--patience", type=int, default=0, help="repeats of a disturbed process")
    parser.add_argument("--environments", type=Path, default=default_environments())
    parser.add_argument("--work", type=Path, help="folder to work in (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write everything that was measured here")
    parser.add_argument("--page", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--quick", action="store_true", help="prove that it works")
    return parser.parse_args(arguments)


def chosen_peers(arguments: argparse.Namespace) -> list[str]:
    """Peers to measure; those that are not installed are named and left out."""
    wanted = [peer.name for peer in PEERS] if arguments.peers is None else arguments.peers
    there = [name for name in wanted if is_complete(arguments.environments, find_peer(name))]
    for name in sorted(set(wanted) - set(there)):
        print(f"{name} is not installed: python -m benchmarks.peers.setup --peers {name}")
    return there


def planned_runs(arguments: argparse.Namespace, peers: list[str]) -> list[plan.Run]:
    """Everything to measure, in order."""
    split = [SPLIT.name] if arguments.split and "mlx-lm" in peers else []
    tools = [*peers, *split, *([] if arguments.without_ours else [plan.OURS])]
    if arguments.quick:
        return [
            plan.Run(tool, plan.Cell(method, 32), 0, 1, 1)
            for method in arguments.methods
            for tool in tools
        ]
    runs = plan.main_runs(tools, arguments.contexts, arguments.methods, arguments.rounds)
    compared = [name for name in tools if name in ("mlx-lm", plan.OURS)]
    shortest = min(arguments.contexts)
    runs += plan.vocabulary_runs(compared, arguments.vocabularies, shortest, 1)
    return runs + plan.installed_runs(peers, arguments.installed_contexts, arguments.methods)


def product_speed(bench: Workbench) -> float:
    """The machine's speed in large products, measured in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.machine"],
        cwd=SOURCE.parent,
        env={**os.environ, **shared_environment(bench), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(ended.stdout)["product_speed"])


def leader_of(cell: plan.Cell, measured: Sequence[Measured]) -> str | None:
    """The fastest peer so far in that cell."""
    what = asdict(cell)
    there = [one for one in measured if what.items() <= vars(one).items() and not one.error]
    return report.best_peer(there)


def measure_all(
    runs: Sequence[plan.Run], bench: Workbench, arguments: argparse.Namespace
) -> tuple[list[Measured], float]:
    """Measure every run, with a line for each; the machine's speed before and after them."""
    speeds = [product_speed(bench)]
    measured: list[Measured] = []
    for number, run in enumerate(runs, 1):
        if not plan.is_needed(run, leader_of(run.cell, measured)):
            continue
        one = measure(run, bench, arguments.patience)
        measured.append(one)
        said = one.error or (
            f"{one.useful_per_second:,.1f} useful tokens/s, {one.peak_bytes / 1e6:,.0f} MB"
            f"{' (disturbed)' if one.other_load >= report.DISTURBED else ''}"
        )
        blas = "fast BLAS" if run.cell.fast_blas else "as installed"
        print(
            f"{number}/{len(runs)} {run.tool}, {run.cell.method}, context {run.cell.context}, "
            f"vocabulary {run.cell.vocabulary}, {blas}: {said}",
            flush=True,
        )
    speeds.append(product_speed(bench))
    return measured, max(speeds)


def run(arguments: argparse.Namespace, folder: Path) -> int:
    """Plan, measure, report."""
    peers = chosen_peers(arguments)
    runs = planned_runs(arguments, peers)
    if not runs:
        print("Nothing to measure: no peer is installed and our own trainer is left out.")
        return 1
    print("A quick look." if arguments.quick else plan.budget(runs), flush=True)
    vocabularies = {run.cell.vocabulary for run in runs} | {TOKENIZER_PIECES}
    size = 400_000 if arguments.quick else 6_000_000
    bench = prepare(folder, arguments.environments, size, vocabularies)
    measured, speed = measure_all(runs, bench, arguments)
    facts: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "documents": bench.describe(),
        "product_speed": speed,
        "rounds": 1 if arguments.quick else arguments.rounds,
    }
    text = report.page_part(facts, measured)
    print("\n" + text)
    if arguments.json:
        content = {**facts, "measured": [asdict(one) for one in measured]}
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")
    if arguments.page:
        replace_part(PAGE, PART, text)
    return 1 if any(one.error for one in measured) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in a folder that is removed afterwards, unless one is named."""
    given = parse(arguments)
    if given.work:
        given.work.mkdir(parents=True, exist_ok=True)
        return run(given, given.work)
    with tempfile.TemporaryDirectory(prefix="against-peers-") as folder:
        return run(given, Path(folder))


if __name__ == "__main__":
    # So that the measured process and the temporary folder go with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
