"""How soon pages see a row, with many pages at once and one that sleeps.

    python -m benchmarks.live_updates [--clients 40] [--rate 10] [--seconds 20] [--json FILE]

A real server serves a run whose rows this program appends. Clients in other processes follow it
as examples/follow_run.py does. Measured are, for each row and client, the time from just before
the row is written to when the client has it; the server's memory; and HTTP answers meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from cptstudio.workspace import Workspace
from examples.follow_run import RunFollower
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, train_row
from tests.web.server_process import RunningServer, SignedIn, running_server

CLIENTS_IN_A_PROCESS = 10
RUN = "watched"


def follow(url: str, token: str, clients: int, last: int, answers: Queue[Any]) -> None:
    """Be so many clients; answer with every client's latencies in seconds."""
    latencies: list[list[float]] = [[] for _ in range(clients)]
    done = [threading.Event() for _ in range(clients)]

    def client(number: int) -> RunFollower:
        def tell(kind: str, value: Any) -> None:
            if kind == "row":
                latencies[number].append(time.time() - value["time"])
                if value["seq"] == last:
                    done[number].set()

        return RunFollower(url, token, RUN, tell)

    followers = [client(number) for number in range(clients)]
    for follower in followers:
        follower.start()
    answers.put("connected")
    for event in done:
        event.wait(120)
    answers.put(latencies)
    for follower in followers:
        follower.close()


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which so great a part of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def http_times(server: RunningServer, cookie: SignedIn, stop: threading.Event) -> list[float]:
    """Seconds of requests, one after the other, until `stop`."""
    found = []
    paths = ["/api/status", f"/api/runs/{RUN}/series?keys=loss", "/api/runs", "/"]
    number = 0
    while not stop.wait(0.2):
        begun = time.perf_counter()
        answer = server.api(cookie, "GET", paths[number % len(paths)])
        found.append(time.perf_counter() - begun)
        assert answer.status == 200, answer.body
        number += 1
    return found


def measure(clients: int, rate: float, seconds: float) -> dict[str, Any]:
    """One measurement; times in milliseconds, memory in bytes."""
    count = int(rate * seconds)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        workspace = Workspace(folder)
        metrics = make_run(workspace, RUN)
        token = (workspace.private / "token").read_text().strip()
        cookie = server.sign_in()
        answers: Queue[Any] = context.Queue()
        sizes = [CLIENTS_IN_A_PROCESS] * (clients // CLIENTS_IN_A_PROCESS)
        sizes += [clients % CLIENTS_IN_A_PROCESS] if clients % CLIENTS_IN_A_PROCESS else []
        processes = [
            context.Process(target=follow, args=(server.origin, token, size, count, answers))
            for size in sizes
        ]
        for process in processes:
            process.start()
        for _ in processes:
            answers.get(timeout=120)
        (worker,) = server.workers()
        before, cpu = worker.memory_info().rss, sum(worker.cpu_times()[:2])
        stop = threading.Event()
        times: list[float] = []
        asking = threading.Thread(target=lambda: times.extend(http_times(server, cookie, stop)))
        asking.start()
        begun = time.monotonic()
        for seq in range(1, count + 1):
            append(metrics, train_row(seq, seq, time=time.time()))
            time.sleep(max(0.0, begun + seq / rate - time.monotonic()))
        latencies = [one for _ in processes for one in answers.get(timeout=180)]
        used = sum(worker.cpu_times()[:2]) - cpu
        grown = worker.memory_info().rss - before
        elapsed = time.monotonic() - begun
        stop.set()
        asking.join()
        for process in processes:
            process.join()
    received = [value for one in latencies for value in one]
    return {
        "clients": clients,
        "rows": count,
        "rows_received_by_each": sorted({len(one) for one in latencies}),
        "latency_ms": {
            "p50": round(1000 * percentile(received, 0.5)),
            "p95": round(1000 * percentile(received, 0.95)),
            "max": round(1000 * max(received)),
        },
        "http_ms": {
            "requests": len(times),
            "p50": round(1000 * statistics.median(times)),
            "p95": round(1000 * percentile(times, 0.95)),
        },
        "server_cpu": round(used / elapsed, 2),
        "server_memory_grown": grown,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--rate", type=float, default=10.0, help="rows a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="write the result here, too")
    options = parser.parse_args()
    result = measure(options.clients, options.rate, options.seconds)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
