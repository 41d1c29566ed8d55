"""A server to be killed: a process that holds the server's lock and does what it is told.

    python -m benchmarks.faults.server WORKSPACE

It reads one JSON object a line ({"do": "start", "config": ...}, "begin", "resume", "stop") and
answers {"ready": ...}, {"done": ...}, {"error": ...}. It follows every run and tells each row
that it was told itself, as {"row": [run, session, seq]}: an acknowledged row.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import psutil

from benchmarks.faults.findings import Findings
from cptstudio.errors import UserError
from cptstudio.run_files import RunConfig
from cptstudio.runs.launching import KEEPER_MODULE, TRAINER_MODULE
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace


class ServerHandle(ABC):
    """What the faults need of a server.

    Attributes:
        ready: it serves, or could not.
        states: of all runs, as it told them when it began.
        error: why it does not serve, or None.
        rows: run, session and seq of each row that it acknowledged.
    """

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.states: dict[str, str] = {}
        self.error: str | None = None
        self.rows: set[tuple[str, int, int]] = set()

    @abstractmethod
    def tell(self, **what: Any) -> None:
        """Send a command and do not wait."""

    @abstractmethod
    def strike(self) -> None:
        """Send SIGKILL and do not wait."""

    @abstractmethod
    def kill(self) -> None:
        """Kill it with SIGKILL and collect what it acknowledged."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Of its (first) process."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the process runs."""

    @abstractmethod
    def is_own(self, path: str) -> bool:
        """Whether it may make or change a path when it starts."""


class Server(ServerHandle):
    """The handle of this module's process, whose output is collected in the background."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._lock_file = str(workspace.private / "server.lock")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.server", str(workspace.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break
            answer = json.loads(line)
            if "ready" in answer:
                self.states = answer["ready"]
                self.ready.set()
            elif "error" in answer:
                self.error = answer["error"]
                self.ready.set()
            elif "row" in answer:
                run, session, seq = answer["row"]
                self.rows.add((run, session, seq))
        self.ready.set()

    def tell(self, **what: Any) -> None:
        """Send a command and do not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def strike(self) -> None:
        """Send SIGKILL and do not wait."""
        self._process.kill()

    def kill(self) -> None:
        """Kill it with SIGKILL and collect the rest of its output."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def is_own(self, path: str) -> bool:
        """It makes its lock and nothing else."""
        return path == self._lock_file


def processes_of(workspace: Workspace) -> tuple[set[int], set[int]]:
    """Pids of the living keepers and trainers of a workspace."""
    keepers, trainers = set(), set()
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        if not any(part.startswith(f"{workspace.root}{os.sep}") for part in command):
            continue
        if KEEPER_MODULE in command:
            keepers.add(process.pid)
        elif TRAINER_MODULE in command:
            trainers.add(process.pid)
    return keepers, trainers


def kill_all(pids: set[int]) -> None:
    """Send SIGKILL to each."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def double_start(
    workspace: Workspace, findings: Findings, start: Callable[[Workspace], ServerHandle]
) -> None:
    """Start two servers at once: one serves, the other says who does."""
    servers = [start(workspace), start(workspace)]
    for server in servers:
        server.ready.wait()
    serving = [server for server in servers if server.error is None and server.alive]
    refused = [server for server in servers if server.error is not None]
    findings.did("two servers started at once")
    findings.check("exactly one of two servers serves", len(serving) == 1, f"{len(serving)} do")
    if len(serving) == 1 and refused:
        told = f"process {serving[0].pid}" in (refused[0].error or "")
        findings.check("the other one names it", told, str(refused[0].error))
    for server in servers:
        server.kill()


def _say(value: dict[str, Any]) -> None:
    # One write, so that a kill leaves a whole line or none.
    os.write(1, json.dumps(value).encode() + b"\n")


def _obey(manager: TrainingManager, command: dict[str, Any]) -> None:
    run = command.get("run", "")
    try:
        if command["do"] == "start":
            config = RunConfig.model_validate(command["config"])
            run = config.name
            manager.start(config)
        elif command["do"] == "begin":
            manager.start_prepared(run)
        elif command["do"] == "resume":
            manager.resume(run, confirmed=True)
        elif command["do"] == "stop":
            manager.stop(run)
        if command["do"] == "start":
            _follow(manager, run)
        _say({"done": command["do"]})
    except UserError as error:
        _say({"refused": str(error)})


def _follow(manager: TrainingManager, run: str) -> None:
    def tell() -> None:
        for update in manager.watch(run, until_ended=False):
            for row in update.rows:
                _say({"row": [run, row["session"], row["seq"]]})

    threading.Thread(target=tell, daemon=True).start()


def _serve(root: str) -> None:
    manager = TrainingManager(Workspace(root), prevent_sleep=False)
    try:
        with manager.serve():
            _say({"ready": {run.id: str(run.state) for run in manager.runs()}})
            for run in manager.runs():
                _follow(manager, run.id)
            for line in sys.stdin:
                _obey(manager, json.loads(line))
    except UserError as error:
        _say({"error": str(error)})


if __name__ == "__main__":
    _serve(sys.argv[1])
