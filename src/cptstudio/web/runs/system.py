"""The machine's load while a run was trained, for the charts of its page."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from cptstudio.run_system import MEASURED, read_system
from cptstudio.runs.external.imported_list import ID_PREFIX
from cptstudio.validation import LateModel
from cptstudio.web.runs.run_library import RunLibrary

_BEFORE = "This run was trained by an earlier version, which didn't record it."
_FOREIGN = "Not recorded: this run comes from another program."
_NOT_YET = "No data yet."


class SystemAnswer(LateModel):
    """Samples by columns, all of one length; null is what could not be measured."""

    interval: float | None = Field(None, description="Seconds between two samples now.")
    cores: int | None = None
    memory: int | None = Field(None, description="Bytes of the machine.")
    disk: int | None = Field(None, description="Bytes of the run's disk.")
    run_seconds: list[float] = Field(
        default_factory=list, description="Of all sessions together, pauses between them left out."
    )
    step: list[int | None] = Field(default_factory=list)
    session: list[int] = Field(default_factory=list)
    numbers: dict[str, list[float | None]] = Field(default_factory=dict)
    missing: dict[str, str] = Field(
        default_factory=dict, description="Why a number is not there, by its name."
    )
    reason: str | None = Field(None, description="Why nothing is there at all.")


def system_of(library: RunLibrary, run: str, after: float) -> SystemAnswer:
    """Samples of a run.

    Args:
        after: only those after so many seconds of the run.
    """
    if run.startswith(ID_PREFIX):
        library.imported(run)
        return SystemAnswer(reason=_FOREIGN)
    found = read_system(library.directory(run))
    if found is None or not found.sessions:
        summary = library.summary(run)
        begun = summary.step is not None and not summary.state.alive
        return SystemAnswer(reason=_BEFORE if begun else _NOT_YET)
    last = found.sessions[-1]
    samples = [one for one in found.samples if one["run_seconds"] > after]
    return SystemAnswer(
        interval=found.interval,
        cores=_whole(last.get("cores")),
        memory=_whole(last.get("memory")),
        disk=_whole(last.get("disk")),
        run_seconds=[float(one["run_seconds"]) for one in samples],
        step=[_whole(one.get("step")) for one in samples],
        session=[_whole(one.get("session")) or 0 for one in samples],
        numbers={name: [_number(one.get(name)) for one in samples] for name in MEASURED},
        missing={
            name: str(reason)
            for name, reason in (last.get("missing") or {}).items()
            if name in MEASURED
        },
        reason=None if found.samples else _NOT_YET,
    )


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
