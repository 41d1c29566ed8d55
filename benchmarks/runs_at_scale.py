"""What it costs to know many runs: the first look at 100 of them, and following three.

    python -m benchmarks.runs_at_scale [--runs 100] [--junk 0] [--only-web]

3 runs are alive, the others have ended: the keepers are real, the trainers are stand-ins that only
append 50 rows a second, since training would hide the cost that is measured here. --junk makes
folders beside them that are no runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from cptstudio import run_files
from cptstudio.runs import launching, locks, records
from cptstudio.runs.identity import ProcessIdentity
from cptstudio.runs.records import ExitRecord, KeeperRecord, Spec
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import make_toy_parts, toy_config
from tests.web.server_process import RunningServer, running_server

_ROWS_PER_SECOND = 50
_WRITER = (
    "import json, os, sys, time\n"
    "out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
    "seq, start = 0, time.monotonic()\n"
    "while True:\n"
    "    seq += 1\n"
    "    row = dict(seq=seq, session=0, kind='train', step=seq, time=time.time(), loss=3.14159,\n"
    "               learning_rate=1e-4, gradient_norm=0.5, tokens=512, tokens_seen=512 * seq,\n"
    "               epoch=0.1, skipped=0, elapsed=1.0, step_seconds=0.02,\n"
    "               tokens_per_second=25600.0, memory_active=10**9, memory_peak=10**9,\n"
    "               memory_cache=10**8, memory_process=10**9)\n"
    "    os.write(out, json.dumps(row).encode() + b'\\n')\n"
    f"    time.sleep(max(0, start + seq / {_ROWS_PER_SECOND} - time.monotonic()))\n"
)


def make_run(workspace: Workspace, parts: dict[str, Any], name: str, alive: bool) -> None:
    """A run directory with 1,000 rows; alive with a keeper, else ended."""
    directory = workspace.make(workspace.run(name))
    config = toy_config(parts, name, 100_000)
    run_files.write_record(directory / run_files.CONFIG, config)
    with (directory / run_files.METRICS).open("w") as file:
        for seq in range(1, 1001):
            row = {"seq": seq, "session": 0, "kind": "train", "step": seq, "loss": 3.0}
            file.write(json.dumps(row) + "\n")
    folder = workspace.make(launching.private_folder(workspace.private, name), 0o700)
    attempt = secrets.token_hex(8)
    command = [sys.executable, "-I", "-S", "-c", _WRITER, str(directory / run_files.METRICS)]
    records.write(
        folder / records.SPEC,
        Spec(attempt, name, str(directory), config.created, command, None, False, 1.0),
    )
    if alive:
        lock = locks.take(folder / records.LOCK)
        assert lock is not None
        with lock:
            subprocess.Popen(
                [sys.executable, "-m", launching.KEEPER_MODULE, str(folder), str(lock.descriptor)],
                pass_fds=(lock.descriptor,),
                start_new_session=True,
            )
        return
    gone = ProcessIdentity(4_000_000, 1.0, "an earlier boot")
    records.write(folder / records.KEEPER, KeeperRecord(attempt, gone, gone, 1.0, None))
    records.write(folder / records.EXIT, ExitRecord(attempt, 1, None, "", None, 1.0, 2.0, 1.0))


def first_look(root: Path, count: int) -> tuple[float, float]:
    """Wall and CPU seconds that a fresh process needs to know all states, imports included."""
    code = (
        "import sys\n"
        "from cptstudio.runs.training_manager import TrainingManager\n"
        "from cptstudio.workspace import Workspace\n"
        "runs = TrainingManager(Workspace(sys.argv[1])).runs()\n"
        "states = [run.state.name for run in runs]\n"
        f"assert len(states) == {count} and states.count('running') == 3, states\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def web_first_look(root: Path, count: int) -> tuple[float, float]:
    """Wall and CPU seconds from the web server's start until it has told all states."""
    start = time.monotonic()
    with running_server(root) as server:
        runs = server.api(server.sign_in(), "GET", "/api/runs").json["runs"]
        wall = time.monotonic() - start
        cpu = _cpu_of(server)
    _check(runs, count)
    return wall, cpu


def web_requests(root: Path, count: int) -> list[str]:
    """What one server takes for the status bar's request before and after the list, and for lists.

    Wall seconds and CPU seconds of the server; of several requests the median.
    """
    told = []
    with running_server(root) as server:
        session = server.sign_in()

        def ask(path: str) -> tuple[float, float]:
            cpu, start = _cpu_of(server), time.monotonic()
            answer = server.api(session, "GET", path)
            wall = time.monotonic() - start
            assert answer.status == 200, answer.body
            if path == "/api/runs":
                _check(answer.json["runs"], count)
            else:
                assert len(answer.json["active"]) == 3
            return wall, _cpu_of(server) - cpu

        asked = (("/api/status", 1), ("/api/runs", 1), ("/api/runs", 9), ("/api/status", 9))
        for path, times in asked:
            walls, cpus = zip(*(ask(path) for _ in range(times)), strict=True)
            wall, cpu = statistics.median(walls), statistics.mean(cpus)
            what = "the first" if times == 1 else f"the median of {times} more"
            told.append(f"{path}, {what}: {wall:.3f} s ({cpu:.3f} s CPU)")
    return told


def _cpu_of(server: RunningServer) -> float:
    processes = [psutil.Process(server.process.pid), *server.workers()]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _check(runs: list[dict[str, Any]], count: int) -> None:
    states = [run["state"]["name"] for run in runs]
    assert len(states) == count and states.count("running") == 3, states


def following(manager: TrainingManager, names: list[str], seconds: float) -> tuple[float, int]:
    """CPU seconds of following, as a share of a core, and how many rows were told."""
    told: list[int] = []

    def follow(name: str) -> None:
        for update in manager.watch(name, until_ended=False):
            told.append(len(update.rows))

    for name in names:
        threading.Thread(target=follow, args=(name,), daemon=True).start()
    time.sleep(3)  # The history is read first; what is measured is the steady state.
    told.clear()
    start, cpu = time.monotonic(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.monotonic() - start), sum(told)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="how many, 3 of them alive")
    parser.add_argument("--junk", type=int, default=0, help="folders that are no runs")
    parser.add_argument("--only-web", action="store_true", help="only what the web server takes")
    options = parser.parse_args()
    count = options.runs
    with tempfile.TemporaryDirectory(prefix="runs-at-scale-") as base:
        workspace = Workspace(Path(base) / "workspace")
        parts = make_toy_parts(Path(base) / "parts")
        alive = [f"alive-{number}" for number in range(3)]
        for number in range(count - len(alive)):
            make_run(workspace, parts, f"ended-{number}", alive=False)
        for number in range(options.junk):
            workspace.make(workspace.runs / f"junk-{number}")
        for name in alive:
            make_run(workspace, parts, name, alive=True)
        manager = TrainingManager(workspace)
        while sum(run.state.alive and run.keeper_pid is not None for run in manager.runs()) < 3:
            time.sleep(0.1)
        print(f"{count} runs, 3 of them alive, and {options.junk:,} folders that are none")
        try:
            for line in web_requests(workspace.root, count):
                print(line, flush=True)
            if options.only_web:
                return
            looks = [first_look(workspace.root, count) for _ in range(5)]
            wall, cpu = sorted(looks)[2]
            print(f"first look at all runs: {wall:.2f} s ({cpu:.2f} s CPU), median of 5")
            wall, cpu = sorted(web_first_look(workspace.root, count) for _ in range(3))[1]
            print(f"web server, from its start to all states: {wall:.2f} s ({cpu:.2f} s CPU)")
            share, rows = following(manager, alive, 20.0)
            print(f"following 3 runs at 50 rows/s: {share:.2%} of a core, {rows} rows in 20 s")
        finally:
            manager.close()
            for name in alive:
                manager.kill(name)
                while manager.run(name).lock_held:
                    time.sleep(0.05)


if __name__ == "__main__":
    main()
