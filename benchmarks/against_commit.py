"""Whether anything became slower since a commit: two commits measured in turns.

    python -m benchmarks.against_commit COMMIT [--after COMMIT] [--pairs 5] [MEASURE ...]

Both commits are taken out of the repository into folders of their own, each with an environment
that has its source and the packages of this one. Each measure runs in turns in both, the one that
is first changing from pair to pair, with each commit's own benchmarks and servers. Less is better
in every figure; seconds of CPU say most while other programs run. Ratios are formed pair by pair.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import io
import json
import os
import re
import resource
import runpy
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import venv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Figures = dict[str, float]
ROOT = Path(__file__).parents[1]
COMMANDS = (("--help",), ("train", "--help"), ("runs", "--help"))
LOOP_STEPS = 40
VISITS = 3


def loop() -> Figures:
    """What the loop adds to a step: CPU time of the demo model's run, milliseconds."""
    from benchmarks import loop_share
    from benchmarks.plan_memory import make_workspace

    # Clocks that other programs do not move: what is measured runs in the thread that measures.
    vars(loop_share)["time"] = SimpleNamespace(perf_counter=time.thread_time)
    loop_share.STEPS = LOOP_STEPS
    with tempfile.TemporaryDirectory() as folder:
        make_workspace(Path(folder))
        began = time.process_time()
        found = loop_share.measure(Path(folder), "demo", "full", 128)
        whole = time.process_time() - began
    parts = {f"{part}, ms": 1000 * seconds for part, seconds in found.parts.items()}
    return {
        "all parts, ms": 1000 * sum(found.parts.values()),
        f"a run of {LOOP_STEPS} steps, s CPU": whole,
    } | parts


def many_runs() -> Figures:
    """100 runs, 3 of them alive: first looks, requests, following."""
    from benchmarks import runs_at_scale

    # Some commits follow with what only this benchmark used; the terminal follows like this.
    runs_at_scale.following = _following
    printed = io.StringIO()
    sys.argv = ["runs_at_scale"]
    with contextlib.redirect_stdout(printed):
        runs_at_scale.main()
    found: Figures = {}
    for line in printed.getvalue().splitlines():
        if timed := re.match(r"(.*): ([\d.]+) s \(([\d.]+) s CPU\)", line):
            found[f"{timed[1]}, s"], found[f"{timed[1]}, s CPU"] = float(timed[2]), float(timed[3])
        elif share := re.match(r"(.*): ([\d.]+)% of a core", line):
            found[f"{share[1]}, % of a core"] = float(share[2])
    return found


def long_run() -> Figures:
    """Charts of a run of 100,000 rows."""
    from benchmarks import long_run

    found = long_run.measure(100_000)
    return {key: float(value) for key, value in found.items() if key.endswith(("_ms", "megabytes"))}


def resumed_run() -> Figures:
    """A run of 100,000 rows that was resumed 50 times, as the page asks for it."""
    from cptstudio.workspace import Workspace
    from tests.web.run_directories import make_run
    from tests.web.series.metrics_files import resume_row, train_row
    from tests.web.server_process import running_server

    with tempfile.TemporaryDirectory() as folder:
        metrics = make_run(Workspace(folder), "resumed")
        seq = step = 0
        with metrics.open("w") as file:
            for session in range(51):
                if session:
                    seq, step = seq + 1, step - 500
                    file.write(json.dumps(resume_row(seq, seq - 501, step, session)) + "\n")
                for _ in range(2000):
                    seq, step = seq + 1, step + 1
                    file.write(json.dumps(train_row(seq, step, session=session)) + "\n")
        with running_server(Path(folder)) as server:
            session_of = server.sign_in()
            found: Figures = {}
            for what, times in (("first", 1), ("again", 40)):
                for path in ("/series?keys=loss", "/rows?after=101500", ""):
                    cpu = _cpu_of(server)
                    for _ in range(times):
                        answer = server.api(session_of, "GET", f"/api/runs/resumed{path}")
                        assert answer.status == 200, answer.body
                    found[f"{what} {path or 'details'}, ms CPU"] = (
                        1000 * (_cpu_of(server) - cpu) / times
                    )
    return found


def live() -> Figures:
    """20 clients follow 10 rows a second."""
    from benchmarks import live_updates

    found = live_updates.measure(20, 10.0, 6.0)
    return {
        "latency p50, ms": found["latency_ms"]["p50"],
        "latency p95, ms": found["latency_ms"]["p95"],
        "HTTP meanwhile p50, ms": found["http_ms"]["p50"],
        "server, share of a core": found["server_cpu"],
    }


def pages() -> Figures:
    """The first visit of pages in a fresh browser context: 3 runs of 10,000 rows."""
    import psutil
    from playwright.sync_api import sync_playwright

    from benchmarks.long_run import write_rows
    from cptstudio.workspace import Workspace
    from tests.web.run_directories import make_run
    from tests.web.server_process import running_server
    from tests.web.ui.browsers import browser_options, storage_of

    def cpu_of_browser() -> float:
        total = 0.0
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "chrom" in child.name():
                    total += sum(child.cpu_times()[:2])
        return total

    def visit(path: str, there: str) -> Figures:
        requests: list[str] = []
        context = browser.new_context(storage_state=storage_of(server, session))
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        cpu, of_server, began = cpu_of_browser(), _cpu_of(server), time.monotonic()
        page.goto(f"{server.origin}{path}")
        page.locator(there).first.wait_for()
        seconds = time.monotonic() - began
        page.wait_for_load_state("networkidle")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        found = {
            "first paint, ms": paint,
            "drawn, ms": 1000 * seconds,
            "browser, ms CPU": 1000 * (cpu_of_browser() - cpu),
            "server, ms CPU": 1000 * (_cpu_of(server) - of_server),
            "requests": len(requests),
        }
        context.close()
        return {f"{path}: {what}": value for what, value in found.items()}

    found: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        for number in range(1, 4):
            write_rows(make_run(workspace, f"run-{number}"), 10_000)
        with (
            running_server(workspace.root, "--no-detect") as server,
            sync_playwright() as playwright,
        ):
            session = server.sign_in()
            browser = playwright.chromium.launch(**browser_options())
            for path, there in (("/", "table"), ("/runs/run-1", "canvas"), ("/new", "main button")):
                # The very first visit makes the server read what it then keeps.
                visits = [visit(path, there) for _ in range(1 + VISITS)][1:]
                found |= {
                    what: statistics.median(one[what] for one in visits) for what in visits[0]
                }
            browser.close()
    return found


def commands() -> Figures:
    """The command line's start."""
    found: Figures = {}
    for command in COMMANDS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(3):
            subprocess.run(
                [sys.executable, "-m", "cptstudio.cli", *command],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[f"cpt-studio {' '.join(command)}, ms CPU"] = 1000 * cpu / 3
    return found


def saves() -> Figures:
    """What saves cost a run of 13 million parameters, full training with AdamW."""
    # Commits of before do not have this benchmark.
    found = runpy.run_path(str(Path(__file__).with_name("saves.py")))
    with tempfile.TemporaryDirectory() as folder:
        found["make_workspace"](Path(folder), "13M")
        figures: Figures = found["times"](Path(folder))
    return figures


MEASURES: dict[str, Callable[[], Figures]] = {
    "commands": commands,
    "loop": loop,
    "many-runs": many_runs,
    "long-run": long_run,
    "resumed-run": resumed_run,
    "live": live,
    "pages": pages,
    "saves": saves,
}


def _following(manager: Any, names: list[str], seconds: float) -> tuple[float, int]:
    """See `runs_at_scale.following`."""
    told: list[int] = []

    def follow(name: str) -> None:
        for update in manager.watch(name, until_ended=False):
            told.append(len(update.rows))

    for name in names:
        threading.Thread(target=follow, args=(name,), daemon=True).start()
    time.sleep(3)
    told.clear()
    start, cpu = time.monotonic(), time.process_time()
    time.sleep(seconds / 2)
    return (time.process_time() - cpu) / (time.monotonic() - start), sum(told)


def _cpu_of(server: Any) -> float:
    import psutil

    processes = [psutil.Process(server.process.pid), *server.workers()]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _git(*command: str) -> bytes:
    return subprocess.run(["git", *command], cwd=ROOT, check=True, capture_output=True).stdout


class Checkout:
    """A commit's files, with an environment that has its source and this one's packages."""

    def __init__(self, commit: str, folder: Path) -> None:
        self.name = _git("rev-parse", "--short", commit).decode().strip()
        self._folder = folder / "source"
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as files:
            files.extractall(self._folder, filter="data")
        venv.create(folder / "environment", symlinks=True)
        self._python = folder / "environment" / "bin" / "python"
        (site,) = (folder / "environment").glob("lib/python*/site-packages")
        # Its source comes first. What lies in a .pth file here, as an editable package does, is not
        # read by that environment.
        shared = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        paths = [str(self._folder / "src"), *shared]
        # Else the first pair would measure Python's compiler.
        compileall.compile_dir(self._folder, quiet=2)
        (site / "commit.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")

    def measure(self, name: str) -> Figures:
        """Run one measure in a process of its own."""
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "figures.json"
            subprocess.run(
                [str(self._python), "-P", __file__, "--measure", name, "--into", str(answer)],
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": str(self._folder)},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            figures: Figures = json.loads(answer.read_text(encoding="utf-8"))
        return figures


def compare(before: Checkout, after: Checkout, name: str, pairs: int) -> str:
    """One measure of both in turns, as a table."""
    from benchmarks.peers.markdown import table

    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pair in range(pairs):
        turns = (before, after) if pair % 2 == 0 else (after, before)
        figures = {turn: turn.measure(name) for turn in turns}
        for what in figures[before].keys() & figures[after].keys():
            found[what].append((figures[before][what], figures[after][what]))
    rows = []
    for what in sorted(found):
        ratios = sorted(new / old if old else 1.0 for old, new in found[what])
        olds, news = zip(*found[what], strict=True)
        rows.append(
            [
                what,
                f"{statistics.median(olds):.4g}",
                f"{statistics.median(news):.4g}",
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            ]
        )
    return table([name, before.name, after.name, "ratio (smallest to largest)"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commit", nargs="?", help="the state before")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    parser.add_argument("--after", default="HEAD", metavar="COMMIT", help="what is compared")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        options.into.write_text(json.dumps(MEASURES[options.measure]()), encoding="utf-8")
        return
    unknown = set(options.measures) - set(MEASURES)
    if not options.commit or unknown:
        parser.error(f"Give a commit, and measures among {', '.join(MEASURES)}.")
    with tempfile.TemporaryDirectory(prefix="against-commit-") as folder:
        before = Checkout(options.commit, Path(folder) / "before")
        after = Checkout(options.after, Path(folder) / "after")
        for name in options.measures or MEASURES:
            print(f"\n{compare(before, after, name, options.pairs)}\n")
            print(f"Medians of {options.pairs} pairs; load {os.getloadavg()[1]:.1f}.", flush=True)


if __name__ == "__main__":
    main()
