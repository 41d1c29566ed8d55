"""In which state a run is: a pure function of what is found on disk and of held locks.

    prepared -> running -> stopping -> ended (completed, stopped, failed or killed)

A newly started server can find three more: `orphaned` (the trainer runs, its keeper is gone),
`lost` (nothing runs, and nobody recorded how it ended) and `missing` (the run directory is
gone). An unknown end is lost, never a success. Nothing here remembers a former state, so no
state leaves "ended" or "lost" by itself.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from cptstudio import run_files
from cptstudio.device_failures import Cause
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.run_endings import BY_OTHERS, BY_YOU, ending_of
from cptstudio.run_files import EXIT_CODES, RunResult
from cptstudio.runs import locks, records
from cptstudio.runs.identity import boot_id
from cptstudio.runs.records import Control, ExitRecord, KeeperRecord, Spec

StateName = Literal[
    "prepared", "running", "stopping", "ended", "orphaned", "lost", "missing", "imported"
]
Outcome = Literal["completed", "stopped", "failed", "killed"]
ALIVE: frozenset[StateName] = frozenset({"running", "stopping", "orphaned"})
_BY_KEY_BEFORE = "Stopped by Ctrl-C"
"""How the reason of a run in a terminal began in former versions."""
_OUTCOME_OF_CODE = {code: outcome for outcome, code in EXIT_CODES.items()}
_LOOKS = 3


@pydantic_dataclass(frozen=True)
class RunState:
    """A run's state, and the evidence for it.

    Attributes:
        name: as listed at the top of this module; "imported" is a run of another program.
        outcome: with "ended": how; with "lost": what the trainer itself reported, if it did.
        reason: the evidence, in a sentence.
        alone: with "running": started from a terminal, without a keeper.
        cause: with "ended": what ended it, if that was no fault of its own.
    """

    name: StateName
    outcome: Outcome | None = None
    reason: str = ""
    cause: Cause | None = None
    alone: bool = Field(default=False, exclude=True)

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated property
    @property
    def alive(self) -> bool:
        """Return whether a trainer or its keeper lives."""
        return self.name in ALIVE

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated property
    @property
    def text(self) -> str:
        """The state in a word or two."""
        return str(self)

    def __str__(self) -> str:
        if self.name == "ended":
            return f"ended ({self.outcome})"
        if self.name == "lost" and self.outcome:
            return f"lost (reported by the trainer: {self.outcome})"
        return self.name


@dataclass(frozen=True)
class Evidence:
    """The evidence that a state is derived from.

    Attributes:
        lock_held: the run's own lock is held, by keeper or trainer.
        trainer_lock_held: the trainer's lock in the run directory is held.
        spec, keeper, control, exit: the records, where there are valid ones.
        result: the trainer's last word; None where there is none that can be read.
        result_mark: what identifies result.json now.
        has_rows: whether the trainer ever wrote a metrics row.
        boot: which boot of the machine this is.
        problems: files that could not be read, each with its reason.
    """

    directory_exists: bool
    lock_held: bool = False
    keeper_lives: bool = False
    trainer_lock_held: bool = False
    spec: Spec | None = None
    keeper: KeeperRecord | None = None
    control: Control | None = None
    exit: ExitRecord | None = None
    result: RunResult | None = None
    result_mark: str | None = None
    has_rows: bool = False
    boot: str = ""
    problems: tuple[str, ...] = field(default=())


def gather(folder: Path, run_directory: Path, created: float | None = None) -> Evidence:
    """Look at a run: its private folder and its directory. Writes nothing.

    Records of another run of the same name (another `created`), which was deleted, are left
    out.

    A lock that is freed between two looks would make a run that has just ended look
    orphaned; the records are therefore read between two equal looks at the locks.
    """
    for _ in range(_LOOKS):
        held = _locks(folder, run_directory)
        evidence = _read(folder, run_directory, *held)
        if _locks(folder, run_directory) == held:
            break
    spec = evidence.spec
    if created is not None and spec is not None and spec.run_created != created:
        evidence = replace(evidence, spec=None, keeper=None, control=None, exit=None)
    return evidence


def _locks(folder: Path, run_directory: Path) -> tuple[bool, bool, bool]:
    held = _held(folder / records.LOCK)
    # A trainer that has a keeper is covered by the first lock; looking at the other one just
    # when it takes it would be in its way.
    alone = not held and _held(run_directory / run_files.LOCK)
    return held, _held(folder / records.KEEPER_LOCK), alone


def _held(path: Path) -> bool:
    try:
        return locks.is_held(path)
    except (UnusableFileError, OSError):
        return False


def _read(
    folder: Path, run_directory: Path, lock_held: bool, keeper_lives: bool, trainer_held: bool
) -> Evidence:
    problems: list[str] = []
    result = None
    try:
        result = run_files.read_result(run_directory)
    except (UserError, OSError) as error:
        problems.append(str(error))
    metrics = records.file_mark(run_directory / run_files.METRICS)
    return Evidence(
        directory_exists=run_directory.is_dir() and not run_directory.is_symlink(),
        lock_held=lock_held,
        keeper_lives=keeper_lives,
        trainer_lock_held=trainer_held,
        spec=_record(folder / records.SPEC, Spec, problems),
        keeper=_record(folder / records.KEEPER, KeeperRecord, problems),
        control=_record(folder / records.CONTROL, Control, problems),
        exit=_record(folder / records.EXIT, ExitRecord, problems),
        result=result,
        result_mark=records.file_mark(run_directory / run_files.RESULT),
        has_rows=metrics is not None and not metrics.endswith(":0"),
        boot=boot_id(),
        problems=tuple(problems),
    )


def _record(path: Path, kind: type[records.Stored], problems: list[str]) -> records.Stored | None:
    try:
        return records.read(path, kind)
    except (UnusableFileError, OSError) as error:
        problems.append(str(error))
        return None


def derive(evidence: Evidence) -> RunState:
    """Return the state that the evidence means."""
    if not evidence.directory_exists:
        return RunState("missing", reason="its directory is gone")
    keeper, spec = evidence.keeper, evidence.spec
    if evidence.lock_held and spec and (keeper is None or keeper.attempt != spec.attempt):
        return RunState("running", reason="it is being started")
    if keeper is None:
        return _without_keeper(evidence)
    ended = evidence.exit
    complete = _still_complete(evidence)
    if complete is not None and not evidence.lock_held and not evidence.trainer_lock_held:
        return complete
    if ended is not None and ended.attempt == keeper.attempt:
        return _how_it_ended(ended, _newer_result(evidence))
    if not evidence.lock_held:
        if evidence.trainer_lock_held:
            return _without_keeper(evidence)
        return _lost(_newer_result(evidence), rebooted=keeper.trainer.boot != evidence.boot)
    if not evidence.keeper_lives:
        return RunState("orphaned", reason="its lock is held, but its keeper is gone")
    control = evidence.control
    if control is not None and control.attempt == keeper.attempt:
        return RunState("stopping", reason=f"{control.request} was requested")
    return RunState("running", reason="its lock is held and its keeper is running")


def _newer_result(evidence: Evidence) -> RunResult | None:
    """result.json, if the last attempt's trainer wrote it."""
    assert evidence.keeper is not None
    same = evidence.result_mark == evidence.keeper.former_result
    return None if same else evidence.result


def _still_complete(evidence: Evidence) -> RunState | None:
    """A complete run whose last attempt ended before it took away the result.

    The trainer does that before its first step, so the run is what it was.
    """
    assert evidence.keeper is not None
    mark, result = evidence.result_mark, evidence.result
    if mark is None or mark != evidence.keeper.former_result:
        return None
    if result is None or result.outcome != "completed":
        return None
    reason = (
        f"{ending_of(result, BY_YOU)} A later resume ended before its first step and "
        f"changed nothing; see {run_files.LOG}."
    )
    return RunState("ended", "completed", reason)


def _without_keeper(evidence: Evidence) -> RunState:
    """A run that was trained from a terminal, or not at all."""
    if evidence.trainer_lock_held:
        return RunState("running", reason="a trainer without a keeper holds its lock", alone=True)
    if evidence.result is not None:
        result = evidence.result
        by_you = result.reason.startswith((BY_YOU, _BY_KEY_BEFORE))
        reason = ending_of(result, BY_YOU if by_you else BY_OTHERS)
        return RunState("ended", result.outcome, reason, result.cause)
    if evidence.has_rows:
        return _lost(None, rebooted=False)
    return RunState("prepared", reason="it has not been started yet")


def _lost(result: RunResult | None, rebooted: bool) -> RunState:
    reason = "it is not running, and nobody recorded how it ended"
    if rebooted:
        reason += " (the machine was restarted since)"
    if result is not None:
        return RunState(
            "lost", result.outcome, f"{reason}; last words of the trainer: {result.reason}"
        )
    return RunState("lost", reason=reason)


def _how_it_ended(ended: ExitRecord, result: RunResult | None) -> RunState:
    if ended.signal is not None:
        return _ended_by_signal(ended)
    if result is not None:
        said = ending_of(result, BY_YOU if ended.requested else BY_OTHERS)
    else:
        said = ended.reason or f"it ended without a reason; see the end of {run_files.LOG}"
    outcome = _OUTCOME_OF_CODE.get(ended.code if ended.code is not None else -1)
    if outcome in ("completed", "stopped") and (result is None or result.outcome != outcome):
        contradiction = f"the trainer ended as {outcome}, but its result does not confirm it"
        return RunState("ended", "failed", f"{contradiction}: {said}")
    cause = result.cause if result is not None and outcome == "failed" else None
    return RunState("ended", outcome or "failed", said, cause)


def _ended_by_signal(ended: ExitRecord) -> RunState:
    assert ended.signal is not None
    if ended.signal == signal.SIGKILL and ended.requested == "kill":
        return RunState("ended", "killed", "Force-stopped by you.")
    killed = ended.signal == signal.SIGKILL
    for cause in get_args(Cause):
        if ended.cause == cause:
            outcome: Outcome = "killed" if killed else "failed"
            return RunState("ended", outcome, f"{ended.reason}.", cause)
    kills = ended.memory.get("oom_kills")
    if killed and isinstance(kills, dict) and any(kills.values()):
        # Of a version that did not say so itself.
        reason = "killed from outside; the system counted an out-of-memory kill meanwhile"
        return RunState("ended", "killed", reason, "memory")
    if ended.signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return RunState("ended", "killed", "Ended by the system or another program.")
    try:
        name = signal.Signals(ended.signal).name
    except ValueError:
        name = f"signal {ended.signal}"
    return RunState("ended", "failed", f"crashed with {name}")
