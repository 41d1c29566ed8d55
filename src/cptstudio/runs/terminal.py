"""Runs that were started from a terminal, without a keeper."""

from __future__ import annotations

from pathlib import Path

import psutil

from cptstudio import durable, run_files
from cptstudio.durable import UnusableFileError
from cptstudio.runs import launching, locks
from cptstudio.runs.identity import ProcessIdentity, identify


def trainer_of(run_directory: Path) -> ProcessIdentity | None:
    """Return the process that holds the trainer's lock of a run directory, if that is beyond doubt.

    The pid in the lock's file is only a hint: the process behind it must have been started as
    the training program of this very directory, and the lock must be held.
    """
    path = run_directory / run_files.LOCK
    try:
        pid = int(durable.read_bytes(path, 64))
        process = identify(pid)
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, UnusableFileError, psutil.Error):
        return None
    if process is None or not trains(command, run_directory) or not locks.is_held(path):
        return None
    return process


def trains(command: list[str], run_directory: Path) -> bool:
    """Return whether an argument list is the training program's on this directory."""
    for before, module, directory in zip(command, command[1:], command[2:], strict=False):
        if before == "-m" and module == launching.TRAINER_MODULE:
            return Path(directory).absolute().resolve() == run_directory.resolve()
    return False
