"""The real web server to be killed, behind the same handle as the small one.

It is asked over HTTP as the page asks it: start, resume, stop. Rows that it answered with are
acknowledged.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.faults.server import ServerHandle, kill_all
from cptstudio import run_files
from cptstudio.run_files import RunConfig
from cptstudio.workspace import Workspace
from tests.web.server_process import RunningServer, SignedIn, free_port

_ROWS_SECONDS: Final = 0.3
_COMMANDS: Final = {
    "start": ("start", {}),
    "begin": ("start", {}),
    "resume": ("resume", {"confirmed": True}),
    "stop": ("stop", {}),
}


class WebServer(ServerHandle):
    """The handle of `start_web_interface.py`, which begins to serve in the background."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        workspace.root.mkdir(parents=True, exist_ok=True)
        self._running = RunningServer(workspace.root, free_port())
        self._session = SignedIn("", "")
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._come_up, daemon=True)]
        self._threads[0].start()

    def _come_up(self) -> None:
        with contextlib.suppress(AssertionError, OSError, http.client.HTTPException):
            self._running.wait_until_up()
            self._session = self._running.sign_in()
            listed = self._running.api(self._session, "GET", "/api/runs").json["runs"]
            self.states = {run["id"]: run["state"]["text"] for run in listed}
        if not self._session.cookie:
            self.error = self._running.text
        self.ready.set()
        while not self._ended.wait(_ROWS_SECONDS) and self._session.cookie:
            self._ask_for_rows()

    def _ask_for_rows(self) -> None:
        after = max((seq for _, _, seq in self.rows), default=0)
        for run in self._workspace.run_names():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                path = f"/api/runs/{run}/rows?after={after}"
                answer = self._running.api(self._session, "GET", path)
                if answer.status == 200:
                    self.rows |= {(run, r["session"], r["seq"]) for r in answer.json["rows"]}

    def tell(self, **what: Any) -> None:
        """Send a command and do not wait for the answer."""
        run = what.get("run", "")
        if what["do"] == "start":
            config = RunConfig.model_validate(what["config"])
            run = config.name
            if not self._workspace.run(run).exists():
                self._workspace.make(self._workspace.runs)
                run_files.reserve(self._workspace.run(run), config)
        command, body = _COMMANDS[what["do"]]
        thread = threading.Thread(target=self._post, args=(run, command, body), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _post(self, run: str, command: str, body: dict[str, Any]) -> None:
        self.ready.wait()
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._running.api(self._session, "POST", f"/api/runs/{run}/{command}", body)

    def strike(self) -> None:
        """Send SIGKILL to the server's processes, and do not wait for their end."""
        with contextlib.suppress(psutil.NoSuchProcess):
            # The master begins another worker when one ends, so it goes first.
            workers = {worker.pid for worker in self._running.workers()}
            self._running.process.kill()
            kill_all(workers)

    def kill(self) -> None:
        """Kill it and collect what it acknowledged."""
        self.strike()
        self._running.process.wait()
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def pid(self) -> int:
        """Of its master."""
        return self._running.process.pid

    @property
    def alive(self) -> bool:
        """Whether its master runs."""
        return self._running.process.poll() is None

    def is_own(self, path: str) -> bool:
        """Whether a path below the workspace is the server's own: all but runs and records."""
        private = self._workspace.private
        return Path(path).is_relative_to(private) and not Path(path).is_relative_to(
            private / "runs"
        )
