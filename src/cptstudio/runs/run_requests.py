"""Asking a living run to stop, or ending it.

A run that has a keeper is asked through control.json: the keeper alone signals its child. A
trainer without a keeper (an orphan, or one that was started from a terminal) is signalled from
here, and only when it is beyond doubt which process it is.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

from cptstudio.errors import UserError
from cptstudio.runs import records, terminal
from cptstudio.runs.identity import ProcessIdentity, send_signal
from cptstudio.runs.records import Control, KeeperRecord, Request
from cptstudio.runs.run import Run


def deliver(run: Run, folder: Path, request: Request) -> None:
    """Deliver a request to a run.

    Raises:
        UserError: nothing of it lives, or its trainer cannot be identified.
    """
    if not run.state.alive and not run.lock_held:
        raise UserError(f"The run {run.id} is {run.state}, so there is nothing to {request}.")
    if run.state.alone:
        _signal(run, terminal.trainer_of(run.directory), request, group=False)
        return
    kept = records.read(folder / records.KEEPER, KeeperRecord)
    if kept is not None and run.keeper_pid is None and kept.attempt == run.attempt:
        _signal(run, kept.trainer, request, group=request == "kill")
    elif run.attempt is not None:
        records.write(folder / records.CONTROL, Control(run.attempt, request, time.time()))


def _signal(run: Run, process: ProcessIdentity | None, request: Request, group: bool) -> None:
    number = signal.SIGTERM if request == "stop" else signal.SIGKILL
    try:
        sent = process is not None and send_signal(process, number, group)
    except PermissionError:
        raise UserError(f"The trainer of {run.id} belongs to another user.") from None
    if not sent:
        raise UserError(
            f"Could not identify the trainer of {run.id} for certain, so no signal was "
            "sent. Look for it in your system's process list."
        )
