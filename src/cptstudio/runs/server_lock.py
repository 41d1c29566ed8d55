"""One server per workspace: the holder of `server.lock`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.identity import boot_id
from cptstudio.runs.locks import Lock

_FILE = "server.lock"
_TEXT_LIMIT = 4096
_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.05


def take_server_lock(private: Path, description: str) -> Lock:
    """Become the workspace's only server.

    A server that is just ending, or whose first process was killed, is waited for a little.

    Args:
        private: the workspace's private folder; it is created.
        description: what a second server tells its user, such as the address.

    Raises:
        UserError: another server holds it; the message says which process.
    """
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (lock := locks.take(private / _FILE)) is None:
        if not _is_ending(private) or time.monotonic() > deadline:
            raise UserError(
                f"Another CPT Studio serves this workspace: {server_holder(private)}. Use "
                "that one, or stop it first."
            )
        time.sleep(_PAUSE_SECONDS)
    describe_server(lock, description)
    return lock


def describe_server(lock: Lock, description: str, ending: bool = False) -> None:
    """Write into a lock that is held what a second server tells its user.

    Args:
        ending: it is going to be free in a moment.
    """
    said = {"pid": os.getpid(), "boot": boot_id(), "description": description, "ending": ending}
    text = json.dumps(said).encode()
    # In place: a lock's file must stay the same file.
    os.ftruncate(lock.descriptor, 0)
    os.pwrite(lock.descriptor, text[:_TEXT_LIMIT], 0)


def server_holder(private: Path) -> str:
    """Return who holds the lock, in words."""
    try:
        value = _read(private)
        description = f" ({value['description']})" if value["description"] else ""
        return f"process {int(value['pid'])}{description}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "an unknown process"


def _is_ending(private: Path) -> bool:
    try:
        value = _read(private)
        if value["ending"] is True:
            return True
        pid = int(value["pid"])
        if pid > 1:
            os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return False
    return False


def _read(private: Path) -> Any:
    descriptor = os.open(private / _FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return json.loads(os.read(descriptor, _TEXT_LIMIT))
    finally:
        os.close(descriptor)
