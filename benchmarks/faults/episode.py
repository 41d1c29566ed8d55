"""One run, hit again and again until it has trained to its end after all."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults.findings import Findings
from benchmarks.faults.server import Server, ServerHandle, kill_all, processes_of
from cptstudio import run_files, run_rows
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace
from tests.runs.toy_runs import toy_config

_NAME = "run"
_PATIENCE_SECONDS = 300.0
_WRONG_LOOKS = 6
_MEASURED = ("seconds", "time", "elapsed", "memory", "per_second", "seq", "session")
_VICTIMS = (
    {"server"}, {"keeper"}, {"trainer"},
    {"server", "keeper"}, {"server", "trainer"}, {"keeper", "trainer"},
    {"server", "keeper", "trainer"},
)  # fmt: skip


class Episode:
    """A run of a new workspace.

    Args:
        workspace: does not exist yet.
        parts: model and corpus.
        chance: decides who is hit, and when.
        findings: takes counts and violations.
        steps: length of the run.
        reference: rows of the uninterrupted run; None lets this one train undisturbed, as that.
        start_server: which server is hit.
    """

    def __init__(
        self,
        workspace: Workspace,
        parts: dict[str, Any],
        chance: random.Random,
        findings: Findings,
        steps: int,
        reference: list[dict[str, Any]] | None,
        start_server: Callable[[Workspace], ServerHandle] = Server,
    ) -> None:
        self._workspace = workspace
        self._chance = chance
        self._findings = findings
        self._steps = steps
        self._reference = reference
        self._config = toy_config(parts, _NAME, steps)
        self._manager = TrainingManager(workspace, prevent_sleep=False)
        self._acknowledged: set[tuple[str, int, int]] = set()
        self._start_server = start_server
        self._server = start_server(workspace)
        self._server.ready.wait()

    def play(self, kills: int) -> list[dict[str, Any]]:
        """Hit the run until it is complete; returns the rows of the uninterrupted run."""
        self._server.tell(do="start", config=self._config.model_dump(mode="json"))
        disturbed = self._reference is not None
        if disturbed:
            self._disturb(kills)
        self._complete()
        rows = _rows(self._workspace.run(_NAME))
        self._check_file()
        if disturbed:
            self._findings.check(
                "a disturbed run's rows equal the undisturbed one's",
                rows == self._reference,
                f"{self._workspace.root} differs",
            )
        self._server.kill()
        return self._reference if self._reference is not None else rows

    # --- faults ------------------------------------------------------------------------------

    def _disturb(self, kills: int) -> None:
        for _ in range(self._chance.randrange(2, 7)):
            if self._findings.counts["kills"] >= kills:
                return
            phase = self._chance.choice(["start", "steps", "steps", "checkpoint", "stop"])
            if not self._await(phase):
                return
            self._hit(set(self._chance.choice(_VICTIMS)), phase)
            self._check_state()
            self._restart_server()
            self._go_on()

    def _await(self, phase: str) -> bool:
        """Wait for the moment; False when the run is complete before."""
        directory = self._workspace.run(_NAME)
        if phase == "start":
            time.sleep(self._chance.random() * 3)
        elif phase in ("steps", "stop"):
            step = self._chance.randrange(1, self._steps)
            if not self._until(lambda: _step(self._manager) >= step):
                return False
            if phase == "stop":
                self._server.tell(do="stop", run=_NAME)
                time.sleep(self._chance.random() * 0.3)
        else:
            folder = directory / run_files.CHECKPOINTS
            before = _names(folder)
            if not self._until(lambda: _names(folder) != before):
                return False
        return not self._is_complete()

    def _until(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            run = self._run()
            if run is not None and not run.lock_held and run.state.name != "prepared":
                return not self._is_complete()
            if time.monotonic() > deadline:
                self._findings.violations.append(f"waited in vain: {run and run.state}")
                return False
            time.sleep(0.002)
        return True

    def _hit(self, victims: set[str], phase: str) -> None:
        keepers, trainers = processes_of(self._workspace)
        self._findings.check(
            "at most one trainer of a run", len(trainers) <= 1, f"{len(trainers)} trainers"
        )
        if "server" in victims:
            self._server.strike()
        if "keeper" in victims:
            kill_all(keepers)
        if "trainer" in victims:
            kill_all(trainers)
        if "server" in victims:
            self._bury_server()
        self._findings.did("kills")
        self._findings.did(f"kills of {' + '.join(sorted(victims))}")
        self._findings.did(f"kills during {phase}")

    # --- checks ------------------------------------------------------------------------------

    def _check_state(self) -> None:
        """Compare the derived state with the processes that live."""
        wrong = 0
        for _ in range(1000):
            before = processes_of(self._workspace)
            run = self._run()
            expected = _expected(before, run)
            settled = bool(expected) and processes_of(self._workspace) == before
            if settled and (run is None or run.state.name in expected):
                break
            # A process that was just killed takes a moment to be gone.
            wrong = wrong + 1 if settled else 0
            if wrong == _WRONG_LOOKS:
                self._findings.violations.append(
                    f"state {run and run.state} ({run and run.state.reason}) with {before}"
                )
                break
            time.sleep(0.02)
        else:
            self._findings.violations.append(f"the processes {before} never settled")
        self._findings.did("checked: state against the living processes")
        if run is not None and run.state.outcome == "completed":
            complete = _step(self._manager) == self._steps
            self._findings.check("complete only after all steps", complete, "it was not")

    def _restart_server(self) -> None:
        """A server that was killed comes back: it starts nothing and makes nothing."""
        if self._server.alive:
            return
        processes_before = processes_of(self._workspace)
        state_before = self._run()
        before = _tree(self._workspace)
        self._server = self._start_server(self._workspace)
        self._server.ready.wait()
        after, (keepers, trainers) = _tree(self._workspace), processes_of(self._workspace)
        new = keepers - processes_before[0] | trainers - processes_before[1]
        changed = {path for path, facts in after.items() if before.get(path) != facts}
        changed = {path for path in changed if not self._server.is_own(path)}
        if any(processes_before):
            # Keeper and trainer live on, and write in the places that are theirs.
            own = (self._workspace.run(_NAME), self._workspace.private / "runs" / _NAME)
            changed = {path for path in changed if not path.startswith(tuple(map(str, own)))}
        self._findings.check("start-up starts no process", not new, f"{new}")
        self._findings.check(
            "start-up creates and changes no path", not changed, f"{sorted(changed)}"
        )
        # A living run may end meanwhile; one that is over stays what it was.
        if state_before is not None and not state_before.lock_held:
            told, was = self._server.states.get(_NAME), str(state_before.state)
            self._findings.check("a new server knows the state", told == was, f"{told}, not {was}")

    def _check_file(self) -> None:
        """The file of rows: nothing lost, nothing doubled, one writer after the other."""
        self._bury_server()
        rows = read_json_lines(self._workspace.run(_NAME) / run_files.METRICS).records
        seqs = [row["seq"] for row in rows]
        sessions = [row["session"] for row in rows]
        increasing = all(a < b for a, b in itertools.pairwise(seqs))
        self._findings.check("seq strictly increases", increasing, "it does not")
        self._findings.check(
            "one trainer after the other wrote", sessions == sorted(sessions), "interleaved"
        )
        there = {(_NAME, row["session"], row["seq"]) for row in rows}
        lost = self._acknowledged - there
        self._findings.did("acknowledged rows", len(self._acknowledged))
        self._findings.check("no acknowledged row is lost", not lost, f"{sorted(lost)[:5]}")

    # --- going on ----------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Ask the server for what a user would: begin or resume what does not run."""
        run = self._run()
        if run is None:
            self._server.tell(do="start", config=self._config.model_dump(mode="json"))
        elif not run.lock_held and run.state.name == "prepared":
            self._server.tell(do="begin", run=_NAME)
        elif not run.lock_held and run.state.outcome != "completed":
            self._server.tell(do="resume", run=_NAME)
            self._findings.did("resumed")

    def _complete(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        quiet_since = time.monotonic()
        while not self._is_complete():
            run = self._run()
            if run is not None and run.lock_held:
                quiet_since = time.monotonic()
            elif time.monotonic() > quiet_since + 3:
                self._go_on()
                quiet_since = time.monotonic()
            if time.monotonic() > deadline:
                self._findings.violations.append(f"never completed: {run and run.state}")
                kill_all(set().union(*processes_of(self._workspace)))
                return
            time.sleep(0.05)

    def _is_complete(self) -> bool:
        run = self._run()
        return run is not None and run.state.outcome == "completed" and not run.lock_held

    def _run(self) -> Run | None:
        return next((run for run in self._manager.runs() if run.id == _NAME), None)

    def _bury_server(self) -> None:
        self._server.kill()
        self._acknowledged |= self._server.rows


def _expected(living: tuple[set[int], set[int]], run: Run | None) -> set[str]:
    keepers, trainers = living
    if trainers:
        return {"running", "stopping"} if keepers else {"orphaned"}
    if keepers:
        return set()  # On its way: the keeper starts the trainer, or records its end.
    if run is None or run.attempt is None:
        return {"prepared"}
    if run.exit is not None:
        return {"ended"}
    return {"lost"}


def _rows(directory: Path) -> list[dict[str, Any]]:
    rows = run_rows.current_rows(read_json_lines(directory / run_files.METRICS).records)
    return [
        {key: value for key, value in row.items() if not any(part in key for part in _MEASURED)}
        for row in rows
    ]


def _step(manager: TrainingManager) -> int:
    run = next(iter(manager.runs()), None)
    row = run.last_row() if run is not None else None
    return int(row["step"]) if row is not None else 0


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _tree(workspace: Workspace) -> dict[str, tuple[int, int, int] | None]:
    """Everything below a workspace: of files also inode, size and time of the last change."""
    found: dict[str, tuple[int, int, int] | None] = {}
    for directory, folders, files in os.walk(workspace.root):
        found |= {os.path.join(directory, name): None for name in folders}
        for name in files:
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(path)
                found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found
