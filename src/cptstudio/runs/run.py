"""A run as it is shown: what its files and locks say at this moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cptstudio import durable, run_files, run_rows
from cptstudio.errors import UserError
from cptstudio.run_files import RunConfig
from cptstudio.run_phases import PHASE, Phase, phase_of, read_phase
from cptstudio.runs import states
from cptstudio.runs.records import ExitRecord
from cptstudio.runs.states import Evidence, RunState

_SIGNS: Final = (run_files.METRICS, run_files.EVENTS, run_files.LOG, PHASE)


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        state: what it does, and why it is held to do that.
        config: its configuration, or None when it cannot be read (see `problems`).
        attempt: id of its last start or resume by a keeper, or None.
        lock_held: whether keeper or trainer hold its lock.
        keeper_pid, trainer_pid: of the living ones; hints for the user.
        started: Unix time of its last attempt, or None.
        exit: how its last attempt ended, or None.
        phase: what its trainer does, while it lives.
        stalled: alive, but without a sign of life for long.
        queue_position: its place in the queue, 1 for the next, or None.
        problems: files that could not be read, each with its reason.
    """

    id: str
    directory: Path
    state: RunState
    config: RunConfig | None
    attempt: str | None
    lock_held: bool
    keeper_pid: int | None
    trainer_pid: int | None
    started: float | None
    exit: ExitRecord | None
    phase: Phase | None
    stalled: bool
    queue_position: int | None
    problems: tuple[str, ...]

    @property
    def created(self) -> float:
        """Unix time in seconds at which it was prepared; 0 when that is unknown."""
        return self.config.created if self.config else 0.0

    def checkpoints(self) -> list[str]:
        """Return the names of its complete checkpoints, oldest first."""
        return [path.name for path in run_files.checkpoints_of(self.directory)]

    def last_row(self, kind: str = "train") -> dict[str, Any] | None:
        """Return the newest metrics row of a kind, from the end of the file; None without one."""
        return run_rows.last_row(self.directory, kind)


def describe(
    id: str,
    folder: Path,
    directory: Path,
    queue_position: int | None,
    stalled_after: float,
    read_config: Callable[[Path], RunConfig],
) -> Run | None:
    """Look at a run; None when neither its directory nor a living process of it is there.

    Args:
        stalled_after: seconds without a sign of life that count as stalled.
        read_config: as `run_files.read_config`.
    """
    config, problems = None, []
    try:
        config = read_config(directory)
    except (UserError, OSError) as error:
        problems.append(str(error))
    evidence = states.gather(folder, directory, config.created if config else None)
    if not evidence.directory_exists and not evidence.lock_held:
        return None
    is_run = config is not None or os.path.lexists(directory / run_files.CONFIG)
    if evidence.directory_exists and not is_run:
        return None
    state = states.derive(evidence)
    kept, ended = evidence.keeper, evidence.exit
    damage = None if state.alive else run_files.newer_incomplete(directory)
    attempt = evidence.spec if evidence.lock_held and evidence.spec else kept
    return Run(
        id=id,
        directory=directory,
        state=state,
        config=config,
        attempt=attempt.attempt if attempt else None,
        lock_held=evidence.lock_held,
        keeper_pid=kept.keeper.pid if kept and evidence.keeper_lives else None,
        trainer_pid=kept.trainer.pid if kept and evidence.lock_held else None,
        started=kept.started if kept else None,
        exit=ended if ended and kept and ended.attempt == kept.attempt else None,
        phase=phase_now(directory, state, evidence),
        stalled=state.alive and _silent_for(directory, evidence) > stalled_after,
        queue_position=queue_position,
        problems=(*problems, *evidence.problems, *([damage] if damage else [])),
    )


def phase_now(directory: Path, state: RunState, evidence: Evidence) -> Phase | None:
    """Return what a run's trainer does; None while it does not live."""
    if not state.alive:
        return None
    kept = evidence.spec if state.name == "running" and evidence.spec else evidence.keeper
    started = evidence.keeper.started if evidence.keeper else 0.0
    return phase_of(
        read_phase(directory),
        attempt=kept.attempt if kept and not state.alone else None,
        pid=_pid_in_lock(directory) if state.alone else None,
        started=started,
        stopping=state.name == "stopping",
    )


def _pid_in_lock(directory: Path) -> int | None:
    try:
        return int(durable.read_bytes(directory / run_files.LOCK, 32))
    except (OSError, ValueError, UserError):
        return None


def _silent_for(directory: Path, evidence: Evidence) -> float:
    """Seconds since the trainer last wrote a row, an event, a line of its log, or its progress."""
    signs = [evidence.keeper.started if evidence.keeper else 0.0]
    for name in _SIGNS:
        try:
            signs.append((directory / name).stat(follow_symlinks=False).st_mtime)
        except OSError:
            continue
    return time.time() - max(signs) if max(signs) else 0.0
