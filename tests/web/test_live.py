"""Live updates of the real server, followed as the documented example does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files, run_rows
from cptstudio.json_lines import read_json_lines
from cptstudio.runs import locks
from cptstudio.workspace import Workspace
from examples.follow_run import RunFollower
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, resume_row, train_row
from tests.web.server_process import RunningServer, running_server, wait_for

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "follow_run.py"


class Heard:
    """What a follower was told."""

    def __init__(self, server: RunningServer, run: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.restarts = 0
        self.updates = 0
        token = (server.workspace / ".cpt-studio" / "token").read_text().strip()
        self.follower = RunFollower(server.origin, token, run, self._tell)
        original = self.follower._update

        def counted(update: dict[str, Any]) -> None:
            self.updates += 1
            original(update)

        def joined() -> None:
            self.connections += 1
            join()

        join = self.follower._join
        self.connections = 0
        self.follower.client.on("update", counted)
        self.follower.client.on("connect", joined)
        self.follower.start()

    def _tell(self, kind: str, value: Any) -> None:
        if kind == "row":
            self.rows.append(value)
        elif kind == "event":
            self.events.append(value)
        elif kind == "state":
            self.states.append(value)
        else:
            self.rows.clear()
            self.restarts += 1

    @property
    def seqs(self) -> list[int]:
        return [row["seq"] for row in self.rows]

    def wait_for_row(self, seq: int) -> None:
        wait_for(lambda: self.rows and self.rows[-1]["seq"] == seq, f"row {seq}")

    def break_connection(self) -> None:
        """Cut the line as a network does: without a word."""
        self.follower.client.eio.ws.sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("workspace")
    with running_server(root) as running:
        yield running


@pytest.fixture
def workspace(server: RunningServer) -> Workspace:
    return Workspace(server.workspace)


def test_no_row_is_lost_or_doubled_over_two_broken_connections(
    server: RunningServer, workspace: Workspace
) -> None:
    metrics = make_run(workspace, "broken")
    heard = Heard(server, "broken")
    pace = threading.Event()
    for seq in range(1, 121):
        append(metrics, train_row(seq, seq))
        pace.wait(0.02)
        if seq in (40, 80):
            heard.wait_for_row(seq)
            heard.break_connection()
    heard.wait_for_row(120)
    heard.follower.close()
    assert heard.connections == 3
    assert heard.seqs == list(range(1, 121))
    assert heard.rows == read_json_lines(metrics.parent / run_files.METRICS).records


def test_updates_come_at_most_four_times_a_second(
    server: RunningServer, workspace: Workspace
) -> None:
    metrics = make_run(workspace, "fast")
    begun = time.monotonic()
    heard = Heard(server, "fast")
    pace = threading.Event()
    for seq in range(1, 301):
        append(metrics, train_row(seq, seq))
        pace.wait(0.005)
    heard.wait_for_row(300)
    heard.follower.close()
    assert heard.seqs == list(range(1, 301))
    assert heard.updates <= 4.2 * (time.monotonic() - begun) + 1


def test_a_resume_begins_the_curve_again(server: RunningServer, workspace: Workspace) -> None:
    metrics = make_run(workspace, "resumed")
    append(metrics, *(train_row(seq, seq) for seq in range(1, 31)))
    heard = Heard(server, "resumed")
    heard.wait_for_row(30)
    append(metrics, resume_row(31, 20, 20), *(train_row(32 + n, 21 + n) for n in range(5)))
    heard.wait_for_row(36)
    heard.follower.close()
    assert heard.restarts >= 1
    assert heard.rows == run_rows.current_rows(
        read_json_lines(metrics.parent / run_files.METRICS).records
    )


def test_torn_lines_events_and_the_end(server: RunningServer, workspace: Workspace) -> None:
    metrics = make_run(workspace, "torn")
    heard = Heard(server, "torn")
    append(metrics, train_row(1, 1))
    heard.wait_for_row(1)
    with metrics.open("ab") as file:
        file.write(b'{"seq":2,"kin')
    events = metrics.parent / run_files.EVENTS
    events.write_text(json.dumps({"event": "checkpoint", "step": 1, "message": "Saved."}) + "\n")
    wait_for(lambda: heard.events, "the event")
    assert heard.seqs == [1]
    with metrics.open("ab") as file:
        file.write(b"\n")
    append(metrics, train_row(2, 2))
    heard.wait_for_row(2)
    shutil.rmtree(metrics.parent)
    wait_for(lambda: any(state["name"] == "missing" for state in heard.states), "its absence")
    heard.follower.close()
    assert not metrics.parent.exists(), "following a deleted run does not bring it back"


def test_a_run_that_is_not_there_is_told(server: RunningServer) -> None:
    heard = Heard(server, "nothing")
    assert heard.follower.finished.wait(60)
    heard.follower.close()
    assert heard.states[0]["name"] == "missing"


@pytest.mark.slow
def test_a_stopped_client_costs_no_memory(server: RunningServer, workspace: Workspace) -> None:
    """Each row is large, so that rows kept for the sleeper would show: 40 MB of them."""
    metrics = make_run(workspace, "asleep")
    # With its trainer's lock held the run is alive, so the example follows it on.
    lock = locks.take(metrics.parent / run_files.LOCK)
    assert lock is not None
    awake = Heard(server, "asleep")
    sleeper = subprocess.Popen(
        [sys.executable, str(EXAMPLE), str(workspace.root), "asleep", "--url", server.origin],
        stdout=subprocess.PIPE,
    )
    (worker,) = server.workers()

    def write(first: int, last: int) -> None:
        for start in range(first, last, 100):
            rows = (train_row(seq, seq, ballast="x" * 8000) for seq in range(start, start + 100))
            append(metrics, *rows)
            awake.wait_for_row(start + 99)
            awake.rows[:] = awake.rows[-1:]

    try:
        assert sleeper.stdout is not None
        append(metrics, train_row(1, 1))
        # The first line may be the state; with a row it follows.
        assert any(b'"row"' in line for line in iter(sleeper.stdout.readline, b""))
        os.kill(sleeper.pid, signal.SIGSTOP)
        write(2, 1002)
        before = worker.memory_info().rss
        write(1002, 6002)
        grown = worker.memory_info().rss - before
        assert grown < 24e6, f"{grown / 1e6:.0f} MB more"
        seen = threading.Event()

        def drain() -> None:
            assert sleeper.stdout is not None
            for line in iter(sleeper.stdout.readline, b""):
                if b'"row"' in line and json.loads(line)["row"]["seq"] == 6001:
                    seen.set()

        threading.Thread(target=drain, daemon=True).start()
        os.kill(sleeper.pid, signal.SIGCONT)
        assert seen.wait(120), "it wakes up and fetches what it missed"
    finally:
        lock.close()
        sleeper.kill()
        sleeper.wait()
        awake.follower.close()
