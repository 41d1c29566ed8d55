"""The lock that makes a trainer the only one of its run directory.

The kernel frees it when the process ends, however it ends, so there is no stale lock.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

from cptstudio.errors import UserError, refusal_of
from cptstudio.run_files import LOCK

PATIENCE_SECONDS = 0.5


class RunDirectoryGoneError(Exception):
    """The run directory was deleted while the trainer ran. It must not be made again."""


class RunLock:
    """Holds a run directory until it is closed or the process ends.

    Raises:
        UserError: another trainer holds it, the directory is not there, or what lies in the lock's
            place is no regular file.
    """

    def __init__(self, run_directory: Path) -> None:
        self.run_directory = run_directory
        path = run_directory / LOCK
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            said = f"Could not open {path}: {error.strerror}."
            raise refusal_of(error) or UserError(said) from None
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise UserError(f"{path} is not a regular file, so it cannot be locked. Remove it.")
        if not _take(self._descriptor):
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise UserError(
                f"A trainer is already running in {run_directory} (process "
                f"{holder or 'unknown'}). Wait for it, or stop it first."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        self._identity = _identity(os.fstat(self._descriptor))

    def check_present(self) -> None:
        """Make sure that the run directory is still the one that was locked.

        Raises:
            RunDirectoryGoneError: it was deleted or replaced.
        """
        try:
            found = _identity(os.stat(self.run_directory / LOCK, follow_symlinks=False))
        except OSError:
            found = None
        if found != self._identity:
            raise RunDirectoryGoneError(str(self.run_directory))

    def close(self) -> None:
        """Free the lock. Its file stays: whoever waits for it must find the same one."""
        os.close(self._descriptor)


def _take(descriptor: int) -> bool:
    """Take the lock; a reader that asks whether it is free may hold it for an instant."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)


def _identity(information: os.stat_result) -> tuple[int, int]:
    return information.st_dev, information.st_ino
