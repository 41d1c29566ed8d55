"""One server per workspace: who holds `server.lock`, and who that is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.identity import boot_id
from cptstudio.runs.locks import Lock

_FILE = "server.lock"
_TEXT_LIMIT = 4096


def take_server_lock(private: Path, description: str) -> Lock:
    """Become the workspace's only server.

    Args:
        private: the workspace's private folder; it is created.
        description: what a second server tells its user, such as the address.

    Raises:
        UserError: another server holds it; the message says which process.
    """
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = locks.take(private / _FILE)
    if lock is None:
        raise UserError(
            f"Another CPT Studio serves this workspace: {server_holder(private)}. "
            "Use that one, or end it first."
        )
    text = json.dumps({"pid": os.getpid(), "boot": boot_id(), "description": description})
    # In place: a lock's file must stay the same file.
    os.ftruncate(lock.descriptor, 0)
    os.pwrite(lock.descriptor, text.encode()[:_TEXT_LIMIT], 0)
    return lock


def server_holder(private: Path) -> str:
    """Who holds the lock, in words."""
    try:
        descriptor = os.open(private / _FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            value = json.loads(os.read(descriptor, _TEXT_LIMIT))
        finally:
            os.close(descriptor)
        description = f" ({value['description']})" if value["description"] else ""
        return f"process {int(value['pid'])}{description}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "a process that has not said who it is"
