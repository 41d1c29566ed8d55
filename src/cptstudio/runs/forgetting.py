"""Deleted stays deleted: what is remembered of a run goes when its directory has gone.

Only the studio's private records are removed here. A run directory is never made, and a run
whose lock is still held is left alone until its trainer has ended.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from cptstudio.durable import UnusableFileError
from cptstudio.runs import launching, locks, records
from cptstudio.runs.queue import Queue
from cptstudio.runs.records import Spec
from cptstudio.workspace import Workspace, folder_names

_logger = logging.getLogger(__name__)


def remembered(private: Path) -> set[str]:
    """Return the ids of the runs of which something is remembered."""
    return set(folder_names(private / "runs"))


def forget(workspace: Workspace, run: str) -> bool:
    """Clear what is remembered of a run whose directory is gone.

    Returns:
        Whether nothing is remembered any more; False when the directory is there or the
        run's lock is held.
    """
    folder = launching.private_folder(workspace.private, run)
    if os.path.lexists(workspace.run(run)):
        return False
    if not folder.is_dir():
        return True
    try:
        lock = locks.take(folder / records.LOCK, patience=0)
    except FileNotFoundError:
        return True
    except UnusableFileError as error:
        _logger.warning("run %s: %s", run, error)
        return False
    if lock is None:
        return False
    with lock:
        if os.path.lexists(workspace.run(run)):
            return False
        clear(folder)
        try:
            for entry in list(os.scandir(folder)):
                if entry.name != records.LOCK:
                    os.unlink(entry.path)
            # Last, and while it is held: who opened it before compares inodes after taking it.
            lock.path.unlink()
            os.rmdir(folder)
        except OSError as error:
            # A start of the same name makes its own files here at the same time.
            _logger.info("run %s: could not remove %s: %s", run, folder, error)
            return False
    Queue(workspace.private).remove(run)
    _logger.info("run %s: forgotten because %s is gone", run, workspace.run(run))
    return True


def clear(folder: Path) -> None:
    """Remove a run's records; the caller holds its lock, whose files stay."""
    for name in (records.CONTROL, records.EXIT, records.KEEPER, records.SPEC):
        (folder / name).unlink(missing_ok=True)


def clear_if_of_another_run(folder: Path, created: float) -> None:
    """Remove records of a deleted run of the same name; the caller holds the lock."""
    try:
        spec = records.read(folder / records.SPEC, Spec)
    except UnusableFileError:
        return
    if spec is not None and spec.run_created != created:
        clear(folder)
