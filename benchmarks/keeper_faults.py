"""Kills servers, keepers and trainers at random, and checks every promise after each kill.

    python -m benchmarks.keeper_faults --kills 300 --deletions 50 --double-starts 100 --hostile 156

Real trainings of a toy model; `kill -9` of any combination of the three processes during start,
steps, checkpoints and stop; run directories deleted at random moments; two servers started at
once; FIFOs, links, huge and binary files and folders in place of what the trainer reads. Prints
a table of what was checked, and ends with status 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.deletions import delete_at_a_random_moment
from benchmarks.faults.episode import Episode
from benchmarks.faults.findings import Findings
from benchmarks.faults.hostile_files import HOSTILE, TRAINER_READS, hostile_resume, prepare
from benchmarks.faults.server import Server, ServerHandle, double_start
from benchmarks.faults.web_server import WebServer
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import make_toy_parts


def main() -> int:
    """Run the faults that were asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--deletions", type=int, default=50)
    parser.add_argument("--double-starts", type=int, default=100)
    parser.add_argument(
        "--hostile", type=int, default=0, help="put something hostile where the trainer reads"
    )
    parser.add_argument(
        "--web", action="store_true", help="hit the real web server instead of a small one"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150, help="length of each run")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="keeper-faults-"))
    findings = run_faults(
        base,
        random.Random(options.seed),
        kills=options.kills,
        deletions=options.deletions,
        double_starts=options.double_starts,
        hostile=options.hostile,
        steps=options.steps,
        seconds=options.seconds,
        start_server=WebServer if options.web else Server,
    )
    print(findings.table())
    if findings.violations:
        print(f"The workspaces are kept in {base}.")
        return 1
    shutil.rmtree(base)
    return 0


def run_faults(
    base: Path,
    chance: random.Random,
    *,
    kills: int,
    deletions: int,
    double_starts: int,
    steps: int,
    hostile: int = 0,
    seconds: float = float("inf"),
    parts: dict[str, Any] | None = None,
    start_server: Callable[[Workspace], ServerHandle] = Server,
) -> Findings:
    """Run so many faults of each kind below a folder.

    Args:
        base: an empty folder.
        chance: decides who is hit, and when.
        kills: how many times something is killed.
        deletions: how many run directories are deleted while they train.
        double_starts: how many times two servers are started at once.
        steps: length of each run.
        hostile: how many times something hostile stands where the trainer reads: each place
            and kind once, in random order, before any comes again.
        seconds: after which no new fault is begun.
        parts: model and corpus; made here when left out.
        start_server: which server is started and hit.
    """
    findings = Findings(Counter(), [], time.monotonic())
    parts = parts or make_toy_parts(base / "parts")
    deadline = time.monotonic() + seconds
    for _ in range(double_starts):
        if time.monotonic() < deadline:
            double_start(Workspace(base / "double"), findings, start_server)
    for number in range(deletions):
        if time.monotonic() < deadline:
            workspace = Workspace(base / f"deletion-{number}")
            delete_at_a_random_moment(workspace, parts, chance, findings, start_server)
            shutil.rmtree(workspace.root, ignore_errors=True)
    if hostile:
        (base / "hostile").mkdir()
        prepare(base / "hostile", parts)
    cases = [(place, kind) for place in TRAINER_READS for kind in HOSTILE]
    chance.shuffle(cases)
    for place, kind in itertools.islice(itertools.cycle(cases), hostile):
        if time.monotonic() < deadline:
            hostile_resume(base / "hostile", base / "hostile-copy", place, kind, findings)
    reference = None
    number = 0
    while findings.counts["kills"] < kills and time.monotonic() < deadline:
        workspace = Workspace(base / f"kills-{number}")
        episode = Episode(workspace, parts, chance, findings, steps, reference, start_server)
        reference = episode.play(kills)
        shutil.rmtree(workspace.root, ignore_errors=bool(findings.violations))
        number += 1
        print(
            f"{findings.counts['kills']} kills, {len(findings.violations)} violations",
            file=sys.stderr,
            flush=True,
        )
    return findings


if __name__ == "__main__":
    sys.exit(main())
