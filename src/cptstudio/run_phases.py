"""A trainer's current phase and its progress.

It is told in two files of the run directory. phase.json is replaced when a phase begins and, at
most once a second, while it goes on; phases.jsonl gets a line for each phase that begins, so that
it can be told afterwards how long each took. A record names the attempt or the process that wrote
it: what a trainer left that was killed is never taken for what the next one does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel

from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines_backwards
from cptstudio.run_files import Record, read_record

PHASE: Final = "phase.json"
PHASES: Final = "phases.jsonl"

PhaseName = Literal[
    "starting", "checking", "loading", "restoring", "baseline", "training", "evaluating",
    "asking", "sampling", "saving", "stopping", "ending",
]  # fmt: skip
Unit = Literal["bytes", "tokens", "prompts"]

TITLES: Final[dict[PhaseName, str]] = {
    "starting": "Starting the trainer",
    "checking": "Checking files",
    "loading": "Loading the model",
    "restoring": "Restoring the checkpoint",
    "baseline": "Baseline evaluation",
    "training": "Training",
    "evaluating": "Evaluating",
    "asking": "Asking facts",
    "sampling": "Generating samples",
    "saving": "Saving",
    "stopping": "Stopping",
    "ending": "Ending",
}
BEFORE_TRAINING: Final[tuple[PhaseName, ...]] = (
    "starting", "checking", "loading", "restoring", "baseline",
)  # fmt: skip
_MOST_READ: Final = 256 * 1024
_MOST_TOLD: Final = 40

ATTEMPT_VARIABLE: Final = "CPT_STUDIO_ATTEMPT"
"""Environment variable by which a keeper names the attempt that a trainer belongs to."""


class Phase(Record):
    """phase.json: what a trainer does now.

    Attributes:
        attempt: the keeper's id of this start; None for a run in a terminal.
        pid: of the trainer.
        session: which trainer process of the run it is.
        name: of the phase; "starting" and "stopping" are told by readers alone.
        step: optimizer updates done when it began.
        detail: what it works on, such as the name of a checkpoint; "" where the title says it.
        number, of: which one it is of how many of its kind, where that is known.
        done, total: how far it is, in `unit`; None where it does not count.
        rate: units a second.
        remaining: seconds until it is done.
        began, time: Unix times of its beginning and of this record.
        saving: the checkpoint that is written meanwhile, beside it.
        stopping: the trainer knows that it shall stop.
    """

    format_version: Literal[1] = 1
    attempt: str | None
    pid: int
    session: int
    name: PhaseName
    step: int
    detail: str = ""
    number: int | None = None
    of: int | None = None
    done: int | None = None
    total: int | None = None
    unit: Unit | None = None
    rate: float | None = None
    remaining: float | None = None
    began: float
    time: float
    saving: str | None = None
    stopping: bool = False


class SessionPhase(BaseModel, frozen=True):
    """A phase of a session.

    Attributes:
        preparing: it comes before the first step.
        began: Unix time; None where it is still to come.
        seconds: how long it took, if it is over.
    """

    name: PhaseName
    title: str
    step: int
    preparing: bool
    began: float | None = None
    seconds: float | None = None


def read_phase(run_directory: Path) -> Phase | None:
    """Return what a trainer wrote last about its phase; None without a record that can be read."""
    try:
        return read_record(run_directory / PHASE, Phase)
    except (UserError, OSError):
        return None


def phase_of(
    record: Phase | None, *, attempt: str | None, pid: int | None, started: float, stopping: bool
) -> Phase:
    """Return what the living trainer of a run does.

    Args:
        record: of `read_phase`.
        attempt: of its keeper's; None for a run in a terminal.
        pid: of the trainer, which tells a run in a terminal.
        started: Unix time of its start.
        stopping: a stop was asked for, whether the trainer knows it yet or not.
    """
    own = record is not None and record.attempt == attempt
    own = own and (attempt is not None or (record is not None and record.pid == pid))
    if record is None or not own:
        record = Phase(
            attempt=attempt, pid=pid or 0, session=0, name="starting", step=0,
            began=started, time=started,
        )  # fmt: skip
    stopping = stopping or record.stopping
    # Until it can stop, it finishes a step or gives an evaluation up; a save is what stopping does.
    if not stopping or record.name in ("saving", "ending"):
        return record.model_copy(update={"stopping": stopping})
    nothing = ("number", "of", "done", "total", "unit", "rate", "remaining")
    return record.model_copy(
        update={"name": "stopping", "stopping": True, "detail": "", **dict.fromkeys(nothing)}
    )


def title_of(phase: Phase) -> str:
    """Return a phase in a few words: "Evaluating, 4 of 12"."""
    title = TITLES[phase.name]
    if phase.name == "saving" and phase.stopping:
        title = "Stopping: saving"
    if phase.name == "stopping" and phase.saving:
        return f"{title}: saving {phase.saving}"
    if phase.detail and phase.name in ("checking", "saving"):
        separator = " " if phase.name == "saving" else ": "
        title = f"{title}{separator}{phase.detail}"
    return f"{title}, {phase.number:,} of {phase.of:,}" if phase.number and phase.of else title


def last_session_phases(run_directory: Path) -> list[SessionPhase]:
    """Return the phases of a run's last session in order, its newest forty if there are more."""
    try:
        lines = read_json_lines_backwards(run_directory / PHASES, _MOST_READ)
        read = list(itertools.islice((line for line in lines if _is_phase(line)), _MOST_TOLD + 1))
    except (OSError, UnusableFileError):
        return []
    session = read[0]["session"] if read else None
    own = [line for line in read if line["session"] == session][::-1]
    ends = [*(line["time"] for line in own[1:]), None][: len(own)]
    found = [
        SessionPhase(
            name=line["phase"],
            title=TITLES[line["phase"]],
            step=line["step"],
            preparing=line["phase"] in BEFORE_TRAINING,
            began=line["time"],
            seconds=None if end is None else max(0.0, end - line["time"]),
        )
        for line, end in zip(own, ends, strict=True)
    ]
    return found[-_MOST_TOLD:]


def phases_to_come(
    phase: Phase, begun: Sequence[SessionPhase], resumed: bool
) -> list[SessionPhase]:
    """Return the phases between what a trainer does now and its first step, that one included.

    Args:
        phase: what it does now.
        begun: the session's phases so far.
        resumed: it goes on from a checkpoint.
    """
    way: list[PhaseName] = [
        "checking",
        "loading",
        "restoring" if resumed else "baseline",
        "training",
    ]
    done = {one.name for one in begun} if phase.name != "starting" else set()
    left = way[max((way.index(name) for name in way if name in done), default=-1) + 1 :]
    return [
        SessionPhase(
            name=name, title=TITLES[name], step=phase.step, preparing=name in BEFORE_TRAINING
        )
        for name in (left if phase.name in BEFORE_TRAINING else ())
    ]


def _is_phase(line: dict[str, Any]) -> bool:
    return (
        line.get("phase") in TITLES
        and isinstance(line.get("session"), int)
        and isinstance(line.get("step"), int)
        and isinstance(line.get("time"), int | float)
    )
