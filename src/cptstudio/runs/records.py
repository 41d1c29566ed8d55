"""Records that manager and keeper write about a run, in `<workspace>/.cpt-studio/runs/<id>/`.

Each record has one writer: the manager writes spec.json and control.json, the keeper writes
keeper.json and exit.json. A start or resume is one *attempt* with an id of its own, which
every record carries: what belongs to an earlier attempt is thereby recognized, and nothing
has to be removed in the right order.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.runs.identity import ProcessIdentity

SPEC = "spec.json"
LOCK = "lock"
KEEPER_LOCK = "keeper.lock"
KEEPER = "keeper.json"
CONTROL = "control.json"
EXIT = "exit.json"
KEEPER_LOG = "keeper.log"

RECORD_LIMIT = 1024 * 1024
Request = Literal["stop", "kill"]
Stored = TypeVar("Stored", "Spec", "KeeperRecord", "Control", "ExitRecord")


@dataclass(frozen=True)
class Spec:
    """The run to start: written before anything is spawned.

    Attributes:
        attempt: id of this start or resume.
        run_directory: absolute.
        run_created: `created` of its config.json, so that another run of the same name, made
            after this one was deleted, is not taken for it.
        resume: name of the checkpoint it continues from, None for a first start, or "" for a
            run that ended before its first checkpoint and begins again.
        requested: Unix time in seconds.
        retries: commands that the keeper starts, one after the other, where an attempt ends for
            want of memory or by the watchdog; the user agreed to that before the start.
    """

    attempt: str
    run: str
    run_directory: str
    run_created: float
    command: list[str]
    resume: str | None
    prevent_sleep: bool
    requested: float
    retries: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class KeeperRecord:
    """The keeper's and the trainer's processes: written before the trainer's first instruction.

    Attributes:
        attempt: the attempt these processes belong to.
        trainer: the trainer, leader of its process group.
        started: Unix time in seconds.
        former_result: what identified result.json at that time, or None; another one now
            means that this trainer wrote it.
    """

    attempt: str
    keeper: ProcessIdentity
    trainer: ProcessIdentity
    started: float
    former_result: str | None


@dataclass(frozen=True)
class Control:
    """The user's request to a running attempt: "stop" (with a checkpoint) or "kill"."""

    attempt: str
    request: Request
    requested: float


@dataclass(frozen=True)
class ExitRecord:
    """How the trainer ended, by the process that was its parent.

    Attributes:
        code: its exit code, or None when a signal ended it or it never started.
        signal: number of the signal that ended it, or None.
        reason: a sentence, where there is more to say.
        requested: the last request that was delivered to it, or None.
        started: Unix time in seconds.
        ended: Unix time in seconds.
        duration: seconds by a clock that nobody sets.
        usage: its resources: user and system CPU seconds, peak resident bytes, page faults.
        memory: evidence of an out-of-memory kill, where the system gives any.
        cause: a `device_failures.Cause`, where a signal ended it and there is evidence of one.
    """

    attempt: str
    code: int | None
    signal: int | None
    reason: str
    requested: str | None
    started: float
    ended: float
    duration: float
    usage: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    cause: str | None = None


def file_mark(path: Path) -> str | None:
    """Return something that changes when a file is replaced; None when it is not there."""
    try:
        information = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return f"{information.st_ino}:{information.st_mtime_ns}:{information.st_size}"


def to_json(record: Any) -> bytes:
    """Return a record as it is stored."""
    return durable.dump_json(asdict(record), indent=2).encode() + b"\n"


def write(path: Path, record: Any) -> None:
    """Write a record atomically and durably, readable by the user alone."""
    durable.write_bytes(path, to_json(record), mode=0o600)


def read(path: Path, kind: type[Stored]) -> Stored | None:
    """Read a record; None when there is none.

    Raises:
        UnusableFileError: what is there is no such record.
    """
    try:
        value = durable.read_json(path, RECORD_LIMIT)
    except FileNotFoundError:
        return None
    try:
        record = _build(kind, value)
    except (TypeError, ValueError) as error:
        raise UnusableFileError(path, f"is not a valid record: {error}") from None
    assert isinstance(record, kind)
    return record


def _build(kind: type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError("it contains no JSON object")
    hints = get_type_hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    return kind(**{name: _checked(name, hints[name], item) for name, item in value.items()})


def _checked(name: str, hint: Any, item: Any) -> Any:
    if hint is ProcessIdentity:
        return _build(ProcessIdentity, item)
    if hint is float and isinstance(item, int) and not isinstance(item, bool):
        return float(item)
    origin = get_origin(hint)
    if origin is Literal:
        if item in get_args(hint):
            return item
    elif origin is UnionType:
        if type(item) in get_args(hint) or (item is None and NoneType in get_args(hint)):
            return item
    elif origin is list:
        if isinstance(item, list):
            return [_checked(name, get_args(hint)[0], part) for part in item]
    elif type(item) is (origin or hint):
        return item
    raise ValueError(f"{name} cannot be {type(item).__name__}")
