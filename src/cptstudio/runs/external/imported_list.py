"""Runs of other programs in the history: which files they are, and what these tell.

They come from two places: files that the user named (`add`), of which only the path is
remembered, in the studio's private folder; and files of ForgeLLM that lie in the workspace's
own folder of runs, because ForgeLLM keeps its runs in `models/cpt`, too. All of them are only
read. Nothing is ever written, moved or removed where they lie.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import UserError
from cptstudio.runs import locks
from cptstudio.runs.external.foreign_rows import ForeignHistory, ForeignRows
from cptstudio.runs.external.imported import ImportedRun, find_imported_runs, read_imported_run
from cptstudio.workspace import Workspace

ID_PREFIX: Final = "imported-"
_FILE: Final = "imported.json"
_LOCK: Final = "imported.lock"
_PATIENCE_SECONDS: Final = 10.0
_TOLD: Final = ("source", "created", "ended", "base_model", "output")
_MOST_FILES: Final = 10_000
_Mark = tuple[int, int, int, int]


@dataclass(frozen=True)
class ImportedEntry:
    """One run of another program.

    Attributes:
        id: "imported-" and a hash of its path: the same in every process.
        in_workspace: it was found in the workspace's folder of runs; otherwise the user named
            it, and `forget` takes it out again.
        run: what the file tells; None when it cannot be read.
    """

    id: str
    path: Path
    in_workspace: bool
    run: ImportedRun | None
    problem: str | None

    @property
    def name(self) -> str:
        """What the user calls it: as the file names it, else the file's name."""
        return self.run.name if self.run is not None else self.path.stem

    def history(self) -> ForeignHistory:
        """Its rows and events, in the shape of those of our own runs."""
        return ForeignRows().add(self.run.rows if self.run is not None else ())

    def last_row(self, kind: str = "train") -> dict[str, Any] | None:
        """Its newest row of a kind; None without one."""
        rows = self.history().rows
        return next((row for row in reversed(rows) if row["kind"] == kind), None)

    def problems(self) -> list[str]:
        """Return why it cannot be read, or what was left out of it and why, in sentences."""
        notes = list(self.run.notes) if self.run is not None else []
        return [self.problem, *notes] if self.problem else notes

    def as_json(self) -> dict[str, Any]:
        """Return all but its rows and events, for scripts and for the web."""
        return {
            "id": self.id,
            "name": self.name,
            "state": "imported",
            "path": self.path,
            "in_workspace": self.in_workspace,
            **{name: getattr(self.run, name, None) for name in _TOLD},
            "last_row": self.last_row(),
            "problems": self.problems(),
        }


class ImportedList:
    """The runs of other programs of one workspace.

    Args:
        workspace: its folders; nothing is created before the first `add`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read: dict[Path, tuple[_Mark, ImportedRun | None, str | None]] = {}
        self._folders: dict[str, tuple[int, int, tuple[str, ...]]] = {}
        self._reading = threading.Lock()

    def entries(self) -> list[ImportedEntry]:
        """Return all of them, the newest first; those that do not tell when they ran come last.

        Raises:
            UnusableFileError: the list of what the user named is damaged.
        """
        with self._reading:
            inside = set(find_imported_runs(self._workspace.runs, self._folders))
        paths = sorted(inside | set(self._paths()))
        with self._reading:
            self._read = {path: read for path, read in self._read.items() if path in paths}
            found = [self._look(path, path in inside) for path in paths]
        return sorted(found, key=lambda entry: (-_created(entry), entry.name, entry.id))

    def entry(self, id: str) -> ImportedEntry:
        """Return one of them.

        Raises:
            UserError: there is none with this id.
        """
        for entry in self.entries():
            if entry.id == id:
                return entry
        raise UserError(f"There is no imported run {id!r}.")

    def add(self, path: Path) -> list[ImportedEntry]:
        """Remember a run's file, or all that ForgeLLM left in a folder and the folders in it.

        Only the paths are remembered. What was added before is not added again.

        Raises:
            UserError: nothing is there that can be read as a run.
        """
        given = Path(path).expanduser().absolute()
        # The user names a file; a link to it is followed once, here, and never again.
        target = durable.real_path(given)
        try:
            if target.is_dir():
                paths = find_imported_runs(target)
                if not paths:
                    raise UserError(
                        f"{given} and its subfolders contain no ForgeLLM files "
                        "(CPT_*.json or IFT_*.json). Choose a log or metrics file."
                    )
            else:
                read_imported_run(target)
                paths = [target]
        except FileNotFoundError:
            raise UserError(f"{given} does not exist.") from None
        except OSError as error:
            raise UserError(f"Could not read {given}: {error.strerror}.") from None
        with self._changing() as known:
            known += [path for path in paths if path not in known]
            if len(known) > _MOST_FILES:
                raise UserError(
                    f"There are already {_MOST_FILES:,} imported runs. Remove some first."
                )
        return [entry for entry in self.entries() if entry.path in paths]

    def forget(self, id: str) -> None:
        """Take a run out of the list. Its file stays where and what it is.

        Raises:
            UserError: there is none with this id, or it lies in the workspace itself.
        """
        entry = self.entry(id)
        with self._changing() as known:
            if entry.path in known:
                known.remove(entry.path)
        if entry.in_workspace:
            raise UserError(
                f"{entry.path} is in this workspace's runs folder and is listed as long "
                "as it exists."
            )

    # --- inside ------------------------------------------------------------------------------

    def _look(self, path: Path, in_workspace: bool) -> ImportedEntry:
        id = ID_PREFIX + hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
        try:
            run, problem = self._run(path)
        except FileNotFoundError:
            run, problem = None, f"{path} no longer exists."
        except OSError as error:
            run, problem = None, f"Could not read {path}: {error.strerror}."
        return ImportedEntry(id, path, in_workspace, run, problem)

    def _run(self, path: Path) -> tuple[ImportedRun | None, str | None]:
        """Read a file, or what was read of it before when it has not changed since."""
        status = os.stat(path, follow_symlinks=False)
        mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._read.get(path)
        if known is None or known[0] != mark:
            try:
                known = (mark, read_imported_run(path), None)
            except UserError as error:
                known = (mark, None, str(error))
            self._read[path] = known
        return known[1:]

    def _paths(self) -> list[Path]:
        path = self._workspace.private / _FILE
        try:
            value: Any = durable.read_json(path)
        except FileNotFoundError:
            return []
        paths = value.get("paths") if isinstance(value, dict) else None
        if not isinstance(paths, list) or not all(_is_path(item) for item in paths):
            raise UnusableFileError(path, "is not a list of imported runs")
        return [Path(item) for item in paths[:_MOST_FILES]]

    @contextmanager
    def _changing(self) -> Iterator[list[Path]]:
        private = self._workspace.make(self._workspace.private, mode=0o700)
        lock = locks.take(private / _LOCK, _PATIENCE_SECONDS)
        if lock is None:
            raise UserError("Another process is changing the list. Try again.")
        with lock:
            before = self._paths()
            paths = list(before)
            yield paths
            if paths != before:
                value = {"paths": [str(path) for path in paths]}
                durable.write_json(private / _FILE, value, mode=0o600)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value.startswith("/") and "\0" not in value


def _created(entry: ImportedEntry) -> float:
    return (entry.run.created or 0.0) if entry.run is not None else 0.0
