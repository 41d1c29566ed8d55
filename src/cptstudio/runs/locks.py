"""Locks whose being held is the only proof of life.

A lock belongs to the open file description (`flock`, 4.4BSD): processes that inherit the
descriptor hold it together, and the kernel frees it when the last one is gone, however it
went. The file is therefore never a stale "lock file": only the held lock means anything.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import machine_error

# A reader that asks whether a lock is free holds a shared lock for some microseconds; a taker
# that meets it must not conclude that a trainer is alive.
_PATIENCE_SECONDS = 0.5
_PAUSE_SECONDS = 0.01


class Lock:
    """One lock that this process holds, perhaps together with its children.

    Attributes:
        path: the file; its content is of no importance.
        descriptor: hand it to a child (`pass_fds`) and the child holds the lock, too.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def close(self) -> None:
        """Close this process's copy; the lock is free when no process has one any more."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def take(path: Path, patience: float = _PATIENCE_SECONDS) -> Lock | None:
    """Take the lock, or return None when somebody holds it.

    The inode behind the path is compared after taking: a file that was exchanged in between
    is another lock than the one that was taken.

    Args:
        path: the lock's file; it is created where its folder exists.
        patience: seconds during which a holder may still let go.

    Raises:
        FileNotFoundError: its folder is not there.
        UnusableFileError: something other than a regular file is there.
    """
    deadline = time.monotonic() + patience
    while True:
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                return None
            time.sleep(_PAUSE_SECONDS)
            continue
        if _is_the_file_at(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock. Creates and changes nothing."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path, flags: int) -> int:
    try:
        return durable.open_descriptor(path, flags, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        refused = machine_error(error)
        raise refused or UnusableFileError(path, f"cannot be opened: {error.strerror}") from None


def _is_the_file_at(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
