"""Which state the evidence means, for every kind of evidence."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.run_files import RunResult
from cptstudio.runs import locks, records, states
from cptstudio.runs.identity import ProcessIdentity
from cptstudio.runs.records import Control, ExitRecord, KeeperRecord, Spec
from cptstudio.runs.states import Evidence, derive
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.workspace import Workspace

SPEC = Spec("a", "run", "/r", 1.0, ["python"], None, False, 1.0)
KEEPER = KeeperRecord(
    "a", ProcessIdentity(10, 1.0, "boot"), ProcessIdentity(11, 1.0, "boot"), 1.0, None
)
EXIT = ExitRecord("a", 0, None, "", None, 1.0, 2.0, 1.0)
COMPLETED = RunResult(
    outcome="completed",
    reason="All steps are done.",
    step=5,
    planned_steps=5,
    checkpoint=None,
    best_checkpoint=None,
    skipped_steps=0,
    session=0,
    ended=2.0,
)
STOPPED = COMPLETED.model_copy(update={"outcome": "stopped"})
KEPT = Evidence(True, spec=SPEC, keeper=KEEPER, boot="boot", has_rows=True)
ALIVE = replace(KEPT, lock_held=True, keeper_lives=True)


def told(evidence: Evidence, result: RunResult) -> Evidence:
    return replace(evidence, result=result, result_mark="new")


def untouched(evidence: Evidence) -> Evidence:
    """A complete run was resumed, and its result is still the one from before."""
    assert evidence.keeper is not None
    former = replace(evidence.keeper, former_result="former")
    return replace(evidence, keeper=former, result=COMPLETED, result_mark="former")


CASES: list[tuple[str, Evidence, str, str | None]] = [
    ("never started", Evidence(True), "prepared", None),
    ("written down, not yet kept", replace(ALIVE, keeper=None), "running", None),
    ("server died before it spawned", Evidence(True, spec=SPEC), "prepared", None),
    ("kept", ALIVE, "running", None),
    ("stop asked", replace(ALIVE, control=Control("a", "stop", 1.0)), "stopping", None),
    ("stop of an earlier attempt", replace(ALIVE, control=Control("z", "stop", 1.0)), "running",
     None),
    ("keeper killed", replace(ALIVE, keeper_lives=False), "orphaned", None),
    ("both killed", KEPT, "lost", None),
    ("both killed, trainer had ended", told(KEPT, COMPLETED), "lost", "completed"),
    ("both killed, an older result", replace(KEPT, result=COMPLETED), "lost", None),
    ("another boot", replace(KEPT, boot="other"), "lost", None),
    ("completed", told(replace(KEPT, exit=EXIT), COMPLETED), "ended", "completed"),
    ("stopped", told(replace(KEPT, exit=replace(EXIT, code=3)), STOPPED), "ended", "stopped"),
    ("failed", replace(KEPT, exit=replace(EXIT, code=1)), "ended", "failed"),
    ("an unknown code", replace(KEPT, exit=replace(EXIT, code=77)), "ended", "failed"),
    ("exit 0 without a result", replace(KEPT, exit=EXIT), "ended", "failed"),
    ("exit 0, result says stopped", told(replace(KEPT, exit=EXIT), STOPPED), "ended", "failed"),
    ("crash", replace(KEPT, exit=replace(EXIT, code=None, signal=signal.SIGSEGV)), "ended",
     "failed"),
    ("killed", replace(KEPT, exit=replace(EXIT, code=None, signal=9, requested="kill")), "ended",
     "killed"),
    ("killed from outside", replace(KEPT, exit=replace(EXIT, code=None, signal=9)), "ended",
     "killed"),
    ("exit of an earlier attempt", replace(KEPT, exit=replace(EXIT, attempt="z")), "lost", None),
    ("being resumed", replace(ALIVE, spec=replace(SPEC, attempt="b"), exit=EXIT), "running", None),
    ("the resume never began", told(replace(KEPT, spec=replace(SPEC, attempt="b"), exit=EXIT),
     COMPLETED), "ended", "completed"),
    ("its resume never trained", untouched(replace(KEPT, exit=replace(EXIT, code=1))), "ended",
     "completed"),
    ("its resume was killed before it trained", untouched(KEPT), "ended", "completed"),
    ("its resume is set up", untouched(ALIVE), "running", None),
    ("its resume trained and was killed",
     replace(untouched(replace(KEPT, exit=replace(EXIT, code=None, signal=9))), result=None,
     result_mark=None), "ended", "killed"),
    ("deleted", Evidence(False), "missing", None),
    ("deleted while it trains", replace(ALIVE, directory_exists=False), "missing", None),
    ("from a terminal", Evidence(True, trainer_lock_held=True, has_rows=True), "running", None),
    ("ended in a terminal", told(Evidence(True, has_rows=True), COMPLETED), "ended", "completed"),
    ("killed in a terminal", Evidence(True, has_rows=True), "lost", None),
    ("lost, resumed in a terminal", replace(KEPT, trainer_lock_held=True), "running", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "name", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_is_found_means_one_state(evidence: Evidence, name: str, outcome: str | None) -> None:
    state = derive(evidence)
    assert (state.name, state.outcome) == (name, outcome)
    assert state.reason
    assert not re.search(r"exit code|SIG(KILL|TERM|INT)", state.reason)


def test_an_end_that_somebody_asked_for_is_told_without_codes_and_signals() -> None:
    def reason(result: RunResult, code: int, **exit: object) -> str:
        return derive(told(replace(KEPT, exit=replace(EXIT, code=code, **exit)), result)).reason

    stopped = STOPPED.model_copy(update={"step": 64, "checkpoint": "step-00000064"})
    assert reason(stopped, 3, requested="stop") == "Stopped by you at step 64; checkpoint saved."
    others = "Stopped by the system or another program at step 64; checkpoint saved."
    assert reason(stopped, 3) == others
    early = STOPPED.model_copy(update={"step": 0})
    assert reason(early, 3, requested="stop") == "Stopped by you before the first step."
    # Of a version that put what happened into its reason.
    former = stopped.model_copy(update={"reason": "Stopped by Ctrl-C."})
    in_terminal = derive(told(Evidence(True, has_rows=True), former)).reason
    assert in_terminal == "Stopped by you at step 64; checkpoint saved."
    many = COMPLETED.model_copy(update={"step": 1200, "planned_steps": 1200, "skipped_steps": 2})
    assert reason(many, 0) == "Completed 1,200 steps; 2 of them skipped."
    early_stop = many.model_copy(update={"step": 40, "reason": "Stopped early at step 40: why."})
    assert reason(early_stop, 0) == "Stopped early at step 40: why."


def test_a_reboot_and_an_out_of_memory_kill_are_named() -> None:
    assert "restarted since" in derive(replace(KEPT, boot="other")).reason
    killed = replace(EXIT, code=None, signal=9, memory={"oom_kills": {"cgroup": 1}})
    assert "out-of-memory" in derive(replace(KEPT, exit=killed)).reason


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _binary(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def _deep(path: Path) -> None:
    path.write_text('{"a":' * 100_000)


def _wrong(path: Path) -> None:
    path.write_text('{"attempt": 5, "pid": 1e999}')


def _folder(path: Path) -> None:
    path.mkdir()


HOSTILE: list[Callable[[Path], None]] = [_fifo, _link, _huge, _binary, _deep, _wrong, _folder]
FILES = [
    records.SPEC,
    records.KEEPER,
    records.CONTROL,
    records.EXIT,
    records.LOCK,
    records.KEEPER_LOCK,
    run_files.RESULT,
    run_files.METRICS,
    run_files.LOCK,
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_a_hostile_file_in_any_place_is_named_and_never_a_success(
    tmp_path: Path, make: Callable[[Path], Any], name: str
) -> None:
    folder, directory = tmp_path / "private", tmp_path / "run"
    folder.mkdir()
    directory.mkdir()
    for place, record in ((records.SPEC, SPEC), (records.KEEPER, KEEPER), (records.EXIT, EXIT)):
        (folder / place).write_bytes(records.to_json(record))
    (directory / run_files.RESULT).write_text(COMPLETED.model_dump_json())
    in_run = name in (run_files.RESULT, run_files.METRICS, run_files.LOCK)
    target = (directory if in_run else folder) / name
    target.unlink(missing_ok=True)
    make(target)
    evidence = states.gather(folder, directory)
    state = derive(evidence)
    if name in (records.SPEC, records.CONTROL, records.KEEPER, records.EXIT, run_files.RESULT):
        assert any(str(target) in problem for problem in evidence.problems)
    if name in (records.EXIT, run_files.RESULT):
        assert state.outcome != "completed" or state.name == "lost"
    assert not locks.is_held(folder / "none")


@pytest.mark.parametrize("name", ["config.json", "events.jsonl", "checkpoints", "train.log"])
@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__.strip("_"))
def test_a_hostile_file_in_a_run_directory_hides_no_other_run(
    workspace: Workspace, make: Callable[[Path], Any], name: str
) -> None:
    for run in ("good", "bad"):
        workspace.make(workspace.run(run))
        (workspace.run(run) / run_files.CONFIG).write_text("{}")
    target = workspace.run("bad") / name
    target.unlink(missing_ok=True)
    make(target)
    manager = TrainingManager(workspace)
    assert {run.id for run in manager.runs()} == {"good", "bad"}
    assert all(run.problems for run in manager.runs())
    assert manager.run("bad").checkpoints() == []
    for update in manager.watch("bad"):
        assert not update.rows
    with pytest.raises(UserError):
        manager.start_prepared("bad")


@pytest.mark.parametrize("name", ["queue.json", "settings.json", "server.lock", "launch.lock"])
@pytest.mark.parametrize("make", [_fifo, _link, _huge, _binary, _folder])
def test_a_hostile_file_of_the_studio_is_named_when_it_is_needed(
    workspace: Workspace, make: Callable[[Path], Any], name: str
) -> None:
    workspace.make(workspace.run("run"))
    (workspace.run("run") / run_files.CONFIG).write_text("{}")
    workspace.make(workspace.private)
    make(workspace.private / name)
    manager = TrainingManager(workspace)
    assert [run.id for run in manager.runs()] == ["run"]
    for act in (manager.external.detect, lambda: _serve_once(manager)):
        try:
            act()
        except UserError as error:
            assert name in str(error)


def _serve_once(manager: TrainingManager) -> None:
    with manager.serve():
        pass
