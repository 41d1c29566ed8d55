"""Training goes on whatever happens to the server, and a new one finds it again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.training.small_workspace import make_workspace, small_settings
from tests.web.server_process import PATIENCE, RunningServer, free_port, running_server, wait_for


def stop(server: RunningServer) -> None:
    server.process.terminate()


def kill_master(server: RunningServer) -> None:
    server.process.kill()


def kill_all(server: RunningServer) -> None:
    workers = server.workers()
    server.process.kill()
    for worker in workers:
        worker.kill()


def interrupt_group(server: RunningServer) -> None:
    """What Ctrl-C in a terminal does: the signal goes to all processes of the group."""
    os.killpg(server.process.pid, signal.SIGINT)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outlive") / "workspace"
    make_workspace(root)
    return root


@pytest.fixture
def running() -> Iterator[list[psutil.Process]]:
    """Servers and trainers, which end with the test also when it fails."""
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        if process.is_running():
            process.terminate()
    psutil.wait_procs(processes, timeout=PATIENCE)


@pytest.mark.slow
@pytest.mark.parametrize("end", [stop, kill_master, kill_all, interrupt_group])
def test_a_run_outlives_its_server(
    workspace: Path, end: Callable[[RunningServer], None], running: list[psutil.Process]
) -> None:
    port, name = free_port(), f"run-{end.__name__.replace('_', '-')}"
    first = RunningServer(workspace, port, "--no-detect")
    running.append(psutil.Process(first.process.pid))
    first.wait_until_up()
    cookie = first.sign_in()
    settings = small_settings(
        length="100000 steps",
        evaluation={"every": "5000 steps", "max_tokens": 200},
        checkpoints={"every": "5000 steps"},
    )
    started = first.api(cookie, "POST", "/api/runs", {"name": name, "settings": settings})
    assert started.status == 201, started.body

    def rows(server: RunningServer, after: int = 0) -> list[dict[str, Any]]:
        path = f"/api/runs/{name}/rows?after={after}&limit=2000"
        return list(server.api(cookie, "GET", path).json["rows"])

    seen = wait_for(lambda: rows(first), "the first rows")
    detail = first.api(cookie, "GET", f"/api/runs/{name}").json
    trainer = psutil.Process(detail["trainer_pid"])
    running.append(trainer)
    end(first)
    first.process.wait(PATIENCE)
    with running_server(workspace, "--no-detect", port=port) as second:
        # The trainer is the same, and no row is missing.
        cookie = second.sign_in()
        again = second.api(cookie, "GET", f"/api/runs/{name}").json
        assert again["trainer_pid"] == trainer.pid and trainer.is_running()
        assert again["state"]["alive"]
        last = seen[-1]["seq"]
        later = wait_for(lambda: rows(second, last), "rows after the restart")
        assert [row["seq"] for row in later] == list(range(last + 1, last + 1 + len(later)))
        assert second.api(cookie, "POST", f"/api/runs/{name}/stop").status == 200
        wait_for(
            lambda: not second.api(cookie, "GET", f"/api/runs/{name}").json["state"]["alive"],
            "the run's end",
        )
        ended = second.api(cookie, "GET", f"/api/runs/{name}").json["state"]
        assert ended["outcome"] == "stopped", ended
