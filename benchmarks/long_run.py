"""How soon a long run's charts are there, and whether a spike of one row is seen.

    python -m benchmarks.long_run [--rows 1000000] [--json FILE]

A real server serves a run whose metrics.jsonl has a million rows (some 440 MB), one of which is
a spike. Asked over HTTP, as the page does, are the loss chart and the five charts of the Run
page: the first time ever, after that, and by a new server that finds the columns on disk.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from cptstudio.workspace import Workspace
from tests.web.run_directories import make_run
from tests.web.server_process import RunningServer, SignedIn, running_server

RUN = "long"
SPIKE = 50.0
CHARTS = "loss,learning_rate,tokens_per_second,gradient_norm,memory_process"


def write_rows(path: Path, count: int) -> int:
    """Rows as the trainer writes them; returns the step of the spike."""
    generator = random.Random(0)
    spike_at = count // 3 + 7
    row = (
        '{"seq":%d,"session":0,"kind":"train","step":%d,"time":%r,"loss":%r,"learning_rate":%r,'
        '"gradient_norm":%r,"tokens":2048,"tokens_seen":%d,"epoch":%r,"elapsed":%r,'
        '"step_seconds":%r,"tokens_per_second":%r,"memory_active":2034523212,'
        '"memory_peak":3034523212,"memory_cache":134523212,"memory_process":4034523212}\n'
    )
    with path.open("w") as file:
        for step in range(1, count + 1):
            noise = generator.random()
            loss = SPIKE if step == spike_at else 2 + 2 * math.exp(-5 * step / count) + noise / 5
            rate = 1e-4 * math.cos(step / count * 1.5)
            seconds = 0.3 + noise / 100
            first = (step, step, 1.79e9 + 0.3 * step, loss, rate, noise, 2048 * step)
            file.write(row % (*first, step / count, 0.3 * step, seconds, 2048 / seconds))
    return spike_at


def ask(server: RunningServer, cookie: SignedIn, query: str) -> tuple[float, dict[str, Any]]:
    """Seconds of one answer, and the answer."""
    begun = time.perf_counter()
    answer = server.api(cookie, "GET", f"/api/runs/{RUN}/series?{query}")
    seconds = time.perf_counter() - begun
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return seconds, found


def highest(answer: dict[str, Any]) -> float:
    """The greatest loss in the chart."""
    values: list[float | None] = answer["keys"]["loss"]["max"]
    return max(value for value in values if value is not None)


def measure(rows: int) -> dict[str, Any]:
    """One measurement; times in milliseconds."""
    found: dict[str, Any] = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        metrics = make_run(workspace, RUN)
        spike_at = write_rows(metrics, rows)
        found["megabytes"] = round(metrics.stat().st_size / 1e6)
        with running_server(Path(folder)) as server:
            cookie = server.sign_in()
            begun = time.perf_counter()
            seconds, answer = ask(server, cookie, "keys=loss")
            found["first_chart_ms"] = round(1000 * seconds)
            found["first_chart_complete"] = answer["complete"]
            while not answer["complete"]:
                _, answer = ask(server, cookie, "keys=loss")
            found["all_rows_ms"] = round(1000 * (time.perf_counter() - begun))
            assert highest(answer) == SPIKE
            found["again_ms"] = round(1000 * ask(server, cookie, "keys=loss")[0])
            found["five_charts_ms"] = round(1000 * ask(server, cookie, f"keys={CHARTS}")[0])
            zooms = []
            width = rows // 2
            while width > 10:
                start, end = max(1, spike_at - width // 2), spike_at + width // 2
                seconds, answer = ask(server, cookie, f"keys=loss&from={start}&to={end}")
                assert highest(answer) == SPIKE
                zooms.append(seconds)
                width //= 10
            found["zoom_ms"] = round(1000 * max(zooms))
            (worker,) = server.workers()
            found["server_megabytes"] = round(worker.memory_info().rss / 1e6)
            kept = workspace.private / "cache" / "series" / f"{RUN}.columns"
            while not kept.exists():
                time.sleep(0.1)
        with running_server(Path(folder)) as server:
            cookie = server.sign_in()
            seconds, answer = ask(server, cookie, "keys=loss")
            assert answer["complete"]
            assert highest(answer) == SPIKE
            found["new_server_ms"] = round(1000 * seconds)
            (worker,) = server.workers()
            found["new_server_megabytes"] = round(worker.memory_info().rss / 1e6)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the result here, too")
    options = parser.parse_args()
    result = measure(options.rows)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
