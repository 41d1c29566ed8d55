"""Known facts about runs, kept for as long as their files stay the same.

A workspace may hold hundreds of runs and thousands of folders that are none. Describing a run
reads some ten files; seeing that it is as it was takes a look at their times and its two locks,
and a folder that is no run takes one look. Only runs that are over are kept: what lives is
always looked at anew.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from cptstudio import run_files
from cptstudio.durable import UnusableFileError
from cptstudio.run_files import RunConfig
from cptstudio.runs import locks, records
from cptstudio.runs.run import Run, describe
from cptstudio.workspace import Workspace

_SETTLED_NS: Final = 2 * 10**9
"""A file that is younger may change again without its time telling: clocks of disks are coarse."""
_LISTED_SECONDS: Final = 5.0
_Mark = tuple[tuple[str, int, int, int], ...]


class KnownRuns:
    """Describes the runs of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: dict[str, tuple[_Mark, Run]] = {}
        self._configs: dict[str, tuple[tuple[int, ...], RunConfig]] = {}
        self._listed: tuple[tuple[int, int], float, frozenset[str]] | None = None

    def names(self) -> set[str]:
        """Return the names of the folders that hold a config.json, as a run's does.

        Ours come and go by being renamed, which the time of the folder of all runs tells. A
        config.json that is put into a folder by hand is noticed some seconds later.
        """
        parent = os.fspath(self._workspace.runs)
        try:
            status = os.lstat(parent)
        except OSError:
            return set()
        mark, now = (status.st_ino, status.st_mtime_ns), time.monotonic()
        if self._listed and self._listed[0] == mark and now < self._listed[1]:
            return set(self._listed[2])
        found = {
            name
            for name in self._workspace.run_names()
            if os.path.lexists(f"{parent}/{name}/{run_files.CONFIG}")
        }
        if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
            self._listed = (mark, now + _LISTED_SECONDS, frozenset(found))
        return found

    def describe(
        self,
        id: str,
        folder: Path,
        directory: Path,
        queue_position: int | None,
        stalled_after: float,
    ) -> Run | None:
        """See `run.describe`; one that is over and whose files are as they were is not read."""
        mark = self._mark(folder, directory)
        known = self._known.get(id)
        if known is not None and known[0] == mark and not is_locked(folder, directory):
            run = known[1]
            if run.queue_position != queue_position:
                run = replace(run, queue_position=queue_position)
            return run
        found = describe(id, folder, directory, queue_position, stalled_after, self._config)
        if found is None or found.state.alive or found.lock_held or not _is_settled(mark):
            self._known.pop(id, None)
        else:
            self._known[id] = (mark, found)
        return found

    def keep_only(self, ids: set[str]) -> None:
        """Drop what is known of runs that are gone."""
        for id in (self._known.keys() | self._configs.keys()) - ids:
            self._known.pop(id, None)
            self._configs.pop(id, None)

    def written(self, config: RunConfig) -> None:
        """Take over a configuration that was just written, so that it is not read back."""
        path = self._workspace.run(config.name) / run_files.CONFIG
        self._configs[config.name] = (_version(path), config)

    def _config(self, directory: Path) -> RunConfig:
        """See `run_files.read_config`; one that is as it was is not read again."""
        try:
            version = _version(directory / run_files.CONFIG)
        except OSError:
            return run_files.read_config(directory)
        known = self._configs.get(directory.name)
        if known is not None and known[0] == version:
            return known[1]
        config = run_files.read_config(directory)
        if time.time_ns() - version[-1] > _SETTLED_NS:
            self._configs[directory.name] = (version, config)
        return config

    def _mark(self, folder: Path, directory: Path) -> _Mark:
        found = []
        inner, outer = os.fspath(directory), os.fspath(folder)
        checkpoints = f"{inner}/{run_files.CHECKPOINTS}"
        paths = [inner, outer, checkpoints]
        paths += [
            f"{inner}/{name}" for name in (run_files.CONFIG, run_files.RESULT, run_files.METRICS)
        ]
        with contextlib.suppress(OSError):
            paths += [f"{checkpoints}/{name}" for name in sorted(os.listdir(checkpoints))]
        for path in paths:
            try:
                status = os.lstat(path)
            except OSError:
                continue
            found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)


def _version(path: Path) -> tuple[int, ...]:
    status = os.lstat(path)
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns


def _is_settled(mark: _Mark) -> bool:
    newest = max((changed for *_, changed in mark), default=0)
    return time.time_ns() - newest > _SETTLED_NS


def is_locked(folder: Path, directory: Path) -> bool:
    """Return whether a keeper or a trainer holds a run, or it cannot be said."""
    try:
        return locks.is_held(folder / records.LOCK) or locks.is_held(directory / run_files.LOCK)
    except (UnusableFileError, OSError):
        return True
