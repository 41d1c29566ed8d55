"""Watching and stopping training that was started elsewhere, each only when confirmed.

Whoever wants to watch or stop asks first and gets a confirmation to show to the user: a
sentence with what it is about, and a token that is good for this process and this action, once
and for a few minutes. Only with the token something happens. Nothing is written anywhere.

Stopping checks again, right before the signal, that the process is the same one, that its
command line still trains, and that it belongs to the user who asks.
"""

from __future__ import annotations

import io
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from cptstudio.durable import MEBIBYTE, open_regular_file
from cptstudio.errors import UserError
from cptstudio.runs.external.detection import ExternalProcess, examine, visible
from cptstudio.runs.external.log_parser import LogParser, LogRecord
from cptstudio.runs.identity import ProcessIdentity, is_alive, send_signal

logger = logging.getLogger(__name__)

Action = Literal["watch", "stop"]
CONFIRMATION_SECONDS: Final = 300.0
_READ_BYTES: Final = MEBIBYTE
_REMEMBERED: Final = 100


@dataclass(frozen=True)
class Confirmation:
    """A question for the user, and the token that confirms it.

    Attributes:
        token: good once, for this process and this action.
        sentence: what will happen, to which process.
    """

    token: str
    action: Action
    process: ExternalProcess
    sentence: str


class ExternalProcesses:
    """Hands out confirmations and acts on them."""

    def __init__(self) -> None:
        self._pending: dict[str, tuple[Confirmation, float]] = {}
        self._lock = threading.Lock()

    def ask(self, process: ExternalProcess, action: Action) -> Confirmation:
        """Return the question that the user has to confirm first.

        Raises:
            UserError: this can not be done with this process; the reason is told.
        """
        if action == "watch":
            if process.log_file is None:
                raise UserError(f"Cannot watch {_name(process)}: {process.log_reason}.")
            log = visible(str(process.log_file))
            sentence = f"Follow the log {log} of {_name(process)}?"
        else:
            _check_owner(process)
            sentence = (
                f"Send SIGTERM to {_name(process)}? It was not started by CPT Studio, and "
                "such programs do not save when stopped: progress since their last save "
                "will be lost."
            )
        confirmation = Confirmation(secrets.token_urlsafe(16), action, process, sentence)
        with self._lock:
            now = time.monotonic()
            fresh = [item for item in self._pending.items() if item[1][1] > now]
            self._pending = dict(fresh[-_REMEMBERED:])
            self._pending[confirmation.token] = (confirmation, now + CONFIRMATION_SECONDS)
        return confirmation

    def watch(self, token: str, stop: threading.Event | None = None) -> Iterator[LogRecord]:
        """Follow the process's log until it ends; see `follow_external`.

        Raises:
            UserError: the token does not confirm this, or the log cannot be read.
        """
        process = self._confirmed(token, "watch")
        assert process.log_file is not None
        logger.info("Watching %s, as confirmed: %s.", _name(process), process.log_file)
        return follow_external(process.identity, process.log_file, stop)

    def stop(self, token: str) -> None:
        """Send SIGTERM to the process.

        Raises:
            UserError: the token does not confirm this, or the process is not the one that was
                confirmed, or no longer trains; then no signal was sent.
        """
        process = self._confirmed(token, "stop")
        refusal = _why_not_to_signal(process)
        if refusal is None:
            try:
                sent = send_signal(process.identity, signal.SIGTERM)
                refusal = None if sent else "it has ended"
            except PermissionError:
                refusal = "the system does not permit it"
        if refusal is not None:
            logger.info("No signal was sent to %s: %s.", _name(process), refusal)
            raise UserError(f"No signal was sent to {_name(process)}: {refusal}.")
        logger.info("Sent SIGTERM to %s, as confirmed.", _name(process))

    def _confirmed(self, token: str, action: Action) -> ExternalProcess:
        with self._lock:
            confirmation, until = self._pending.pop(token, (None, 0.0))
        if confirmation is None or confirmation.action != action or time.monotonic() > until:
            raise UserError(
                "This confirmation is not valid for this action. A confirmation works "
                f"once, for one process, within {CONFIRMATION_SECONDS / 60:.0f} minutes. "
                "Try again."
            )
        return confirmation.process


def _name(process: ExternalProcess) -> str:
    owner = process.owner or "an unknown user"
    return f"process {process.identity.pid} of {owner} ({process.command_line})"


def _check_owner(process: ExternalProcess) -> None:
    if process.owner is None or process.owner != psutil.Process().username():
        raise UserError(
            f"{_name(process)} belongs to another user and cannot be stopped from here."
        )


def _why_not_to_signal(process: ExternalProcess) -> str | None:
    """What has changed since the process was confirmed; None when nothing has."""
    if not is_alive(process.identity):
        return "it has ended, and another process may have its number now"
    try:
        seen = examine(process.identity.pid)
    except psutil.AccessDenied:
        return "its command line can no longer be read"
    if seen is None:
        return "it has ended"
    verdict, arguments = seen
    if isinstance(verdict, str):
        return f"it is no longer training: {verdict}"
    if tuple(arguments) != process.arguments or verdict.owner != process.owner:
        return "it now runs another command or as another user"
    return None


def has_ended(process: ProcessIdentity) -> bool:
    """Return whether a process runs no more; one that waits to be reaped does not run."""
    if not is_alive(process):
        return True
    try:
        return psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def follow_external(
    process: ProcessIdentity,
    log_file: Path,
    stop: threading.Event | None = None,
    interval: float = 0.5,
) -> Iterator[LogRecord]:
    """Yield what a log file tells, from its beginning until the process has ended.

    The file that is open stays the one that is read, so renaming or deleting it loses
    nothing. When it is cut off it is read from its beginning again.

    Args:
        stop: ends the iteration when it is set.
        interval: seconds between two looks at a file that did not grow.

    Raises:
        UserError: the log file cannot be read, or is no regular file.
    """
    stopped = stop or threading.Event()
    try:
        file = open_regular_file(log_file)
    except FileNotFoundError:
        raise UserError(f"{log_file} no longer exists, so it cannot be followed.") from None
    return _records_until_the_end(process, file, stopped, interval)


def _records_until_the_end(
    process: ProcessIdentity, file: io.BufferedReader, stopped: threading.Event, interval: float
) -> Iterator[LogRecord]:
    parser = LogParser()
    offset = 0
    with file:
        descriptor = file.fileno()
        while not stopped.is_set():
            # Asked before reading, so that the last words of a process are read, too.
            ended = has_ended(process)
            if os.fstat(descriptor).st_size < offset:
                parser, offset = LogParser(), 0
            data = os.pread(descriptor, _READ_BYTES, offset)
            offset += len(data)
            yield from parser.feed(data)
            if data:
                continue
            if ended:
                yield from parser.close()
                return
            stopped.wait(interval)
