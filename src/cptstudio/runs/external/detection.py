"""Finds training that was started elsewhere: a look at the processes of this machine.

It only reads. A process counts by its parsed arguments (`command_lines`), never by a word that
occurs in them. What the system does not tell about a process (another user's folder or open
files) is absent, with the reason. Each decision that was near is logged with its evidence.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from cptstudio.durable import read_bytes, real_path
from cptstudio.errors import UserError
from cptstudio.runs.external.command_lines import (
    SCRIPT_SIZE_LIMIT,
    TrainingCommand,
    mentions_a_tool,
    parse_command_line,
)
from cptstudio.runs.external.output_files import output_file
from cptstudio.runs.identity import ProcessIdentity, identify

logger = logging.getLogger(__name__)

SHOWN_CHARACTERS: Final = 4096
_VERDICTS: Final = {True: "trains", None: "may train", False: "is not training"}


@dataclass(frozen=True)
class ExternalProcess:
    """A training process that the studio did not start. It is shown, never owned.

    Attributes:
        owner: login name of its user, or None when the system does not tell.
        started: Unix time in seconds.
        folder: its working directory, against which its relative paths count.
        log_file: the regular file that its output goes to, directly or through tee.
        log_reason: how the log file is known, or why there is none.
    """

    identity: ProcessIdentity
    owner: str | None
    arguments: tuple[str, ...]
    command: TrainingCommand
    started: float
    folder: Path | None
    log_file: Path | None
    log_reason: str

    @property
    def command_line(self) -> str:
        """The command as it would be typed in a shell, fit to be shown."""
        return visible(shlex.join(self.arguments))

    @property
    def adapter_folder(self) -> Path | None:
        """Where the command line says that adapters are written, as an absolute path."""
        if self.command.adapter_path is None:
            return None
        path = Path(self.command.adapter_path)
        if path.is_absolute():
            return path
        return self.folder / path if self.folder is not None else None

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for scripts and for the web."""
        return {
            "pid": self.identity.pid,
            "identity": asdict(self.identity),
            "owner": self.owner,
            "started": self.started,
            "command": list(self.arguments),
            "folder": self.folder,
            "adapter_folder": self.adapter_folder,
            "log_file": self.log_file,
            "log_reason": self.log_reason,
            "tool": self.command.tool,
            "trains": self.command.trains,
            "model": self.command.model,
            "data": self.command.data,
            "iterations": self.command.iterations,
            "configuration": self.command.configuration,
            "evidence": self.command.evidence,
        }


@dataclass(frozen=True)
class Decision:
    """Why a process counts as training, or why one that came near does not.

    `trains` is None where its configuration file or its script decides.
    """

    pid: int
    trains: bool | None
    evidence: str


def visible(text: str) -> str:
    """Text that others chose, fit for a terminal and a log: no control characters, not endless."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text[:SHOWN_CHARACTERS]
    )
    return shown if len(text) <= SHOWN_CHARACTERS else f"{shown}…"


@dataclass(frozen=True)
class Detection:
    """The result of looking for training processes.

    Attributes:
        processes: those that train, by start time. Those whose configuration file or script
            decides whether they train are among them: `command.trains` is None.
        decisions: the near ones, each with its evidence.
        looked_at: processes whose command line could be read.
        unreadable: processes of other users that the system does not let us read.
        off: detection was turned off, and nothing was looked at.
    """

    processes: tuple[ExternalProcess, ...] = ()
    decisions: tuple[Decision, ...] = ()
    looked_at: int = 0
    unreadable: int = 0
    off: bool = False


def detect(enabled: bool = True) -> Detection:
    """Look once at all processes.

    Args:
        enabled: False turns it off: no process is looked at, and the log says so.
    """
    if not enabled:
        logger.info("Detection of other training is off.")
        return Detection(off=True)
    found: list[ExternalProcess] = []
    decisions: list[Decision] = []
    looked_at = unreadable = 0
    for process in psutil.process_iter():
        try:
            seen = examine(process.pid)
        except psutil.AccessDenied:
            unreadable += 1
            continue
        if seen is None:
            continue
        looked_at += 1
        verdict, arguments = seen
        if isinstance(verdict, ExternalProcess):
            found.append(verdict)
            command = verdict.command
            decisions.append(Decision(process.pid, command.trains, command.evidence))
        elif mentions_a_tool(arguments):
            decisions.append(Decision(process.pid, False, verdict))
    for decision in decisions:
        verdict_of = _VERDICTS[decision.trains]
        logger.info("Process %d %s: %s.", decision.pid, verdict_of, decision.evidence)
    logger.info(
        "Checked %d processes (%d more could not be read): %d are training.",
        looked_at,
        unreadable,
        len(found),
    )
    found.sort(key=lambda one: one.identity.start)
    return Detection(tuple(found), tuple(decisions), looked_at, unreadable)


def training_process(pid: int) -> ExternalProcess:
    """Return the process with this pid, as it is now.

    Raises:
        UserError: there is none that trains.
    """
    try:
        seen = examine(pid)
    except psutil.AccessDenied:
        raise UserError(f"Could not read the command line of process {pid}.") from None
    if seen is None:
        raise UserError(f"There is no process {pid}.")
    if isinstance(seen[0], str):
        raise UserError(f"Process {pid} is not training: {seen[0]}.")
    return seen[0]


def examine(pid: int) -> tuple[ExternalProcess | str, Sequence[str]] | None:
    """Look at one process: what it trains or why it does not, and its argument list.

    Returns:
        None when there is no such process (any more), or it has no command line.

    Raises:
        psutil.AccessDenied: its command line may not be read.
    """
    try:
        identity = identify(pid)
        if identity is None:
            return None
        process = psutil.Process(pid)
        arguments = tuple(process.cmdline())
        if not arguments:
            return None
        cwd = _told(process.cwd)
        folder = Path(cwd) if cwd else None
        verdict: TrainingCommand | str = parse_command_line(
            arguments, _told(process.exe), lambda script: _read_script(script, folder)
        )
        if isinstance(verdict, TrainingCommand) and verdict.trains is False:
            verdict = f"{verdict.evidence}, but without --train"
        if isinstance(verdict, str):
            return visible(verdict), arguments
        verdict = replace(verdict, evidence=visible(verdict.evidence))
        log_file, log_reason = output_file(process)
        described = ExternalProcess(
            identity=identity,
            owner=_told(process.username),
            arguments=arguments,
            command=verdict,
            started=process.create_time(),
            folder=folder,
            log_file=log_file,
            log_reason=log_reason,
        )
    except (psutil.NoSuchProcess, ProcessLookupError):  # Zombies are among them.
        return None
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    # All of it was read by pid: it holds only if the pid still means the same process.
    return (described, arguments) if identify(pid) == identity else None


def _told(ask: Callable[[], str]) -> str | None:
    """What the system says about a process; None where it does not."""
    try:
        return ask() or None
    except (psutil.AccessDenied, KeyError):  # A user may have no name.
        return None


def _read_script(script: str, folder: Path | None) -> str | None:
    path = Path(script)
    if not path.is_absolute():
        if folder is None:
            return None
        path = folder / path
    try:
        # Installers link their start scripts into a folder of the user's search path.
        source = read_bytes(real_path(path), SCRIPT_SIZE_LIMIT)
    except (OSError, UserError, RuntimeError, ValueError):
        return None
    return source.decode("utf-8", errors="replace")
