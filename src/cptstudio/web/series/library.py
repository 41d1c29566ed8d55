"""The curves of all runs: one reader a run, shared by charts, tables and live updates."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from cptstudio.errors import UserError
from cptstudio.run_files import METRICS
from cptstudio.web.series import disk_cache, first_picture, parsing, reading
from cptstudio.web.series.answers import SeriesQuery, answer
from cptstudio.web.series.columns import RunColumns
from cptstudio.workspace import Workspace

MEMORY_LIMIT: Final = 1024**3
_WORTH_KEEPING: Final = 8 * 1024 * 1024
_READ_AT_ONCE: Final = 4 * 1024 * 1024
_VERY_LONG: Final = 64 * 1024 * 1024
_GROWN_BY: Final = 1.25
_logger = logging.getLogger(__name__)


class SeriesLibrary:
    """Columns of the runs of one workspace, read when they are first asked for.

    Args:
        workspace: nothing is created in it before a long run was looked at.
        memory_limit: bytes of columns; those that were not looked at for longest are dropped.
    """

    def __init__(self, workspace: Workspace, memory_limit: int = MEMORY_LIMIT) -> None:
        self._workspace = workspace
        self._folder = workspace.private / "cache" / "series"
        self._memory_limit = memory_limit
        self._known: OrderedDict[str, CachedSeries] = OrderedDict()
        self._foreign: OrderedDict[str, tuple[Any, RunColumns]] = OrderedDict()
        self._lock = threading.Lock()

    def columns(
        self, run: str, directory: Path, patience: float | None = None
    ) -> RunColumns | None:
        """Return the run's columns, read up to the end of the file as it is now.

        Args:
            patience: seconds after which None is returned while a long file is still being
                read, in a thread of its own; None waits.

        Raises:
            UnusableFileError: its metrics cannot be read.
        """
        shelf = self._cached(run, directory)
        return shelf.columns if shelf.bring_up_to_date(patience) else None

    def takes_long(self, run: str, directory: Path) -> bool:
        """Return whether its metrics are a long file that nobody began to read."""
        return self._cached(run, directory).takes_long()

    def answer(
        self, run: str, directory: Path, query: SeriesQuery, patience: float | None = None
    ) -> dict[str, Any]:
        """Return a chart's curves; not `complete` while a long file is still being read.

        Raises:
            UnusableFileError: its metrics cannot be read.
        """
        shelf = self._cached(run, directory)
        if patience is not None and shelf.takes_long():
            # Drawn before the reading begins, which would take the processor from it.
            try:
                picture = answer(first_picture.sample(directory / METRICS), query)
            except FileNotFoundError:
                picture = None
            if not shelf.bring_up_to_date(0.0) and picture is not None:
                return picture | {"complete": False}
        if not shelf.bring_up_to_date(patience):
            try:
                columns = first_picture.sample(directory / METRICS)
            except FileNotFoundError:
                columns = RunColumns(directory / METRICS)
            return answer(columns, query) | {"complete": False}
        with shelf.columns.lock:
            return answer(shelf.columns, query) | {"complete": True}

    def foreign(self, id: str, rows: Sequence[dict[str, Any]], source: Any) -> RunColumns:
        """Columns of rows of another program, kept as long as `source` is the same object."""
        with self._lock:
            known = self._foreign.get(id)
            if known is not None and known[0] is source:
                return known[1]
        columns = RunColumns(Path(id))
        columns.add(parsing.from_records(rows), 0, 0)
        with self._lock:
            self._foreign[id] = (source, columns)
            while len(self._foreign) > 16:
                self._foreign.popitem(last=False)
        return columns

    def forget(self, run: str) -> None:
        """Drop what is known of a run, in memory and on disk."""
        with self._lock:
            self._known.pop(run, None)
        disk_cache.forget(self._folder, run)

    def forget_all_but(self, runs: Iterable[str]) -> None:
        """Drop what is known of runs that are gone."""
        there = set(runs)
        with self._lock:
            known = set(self._known)
        for run in (known | disk_cache.kept_runs(self._folder)) - there:
            self.forget(run)

    def _cached(self, run: str, directory: Path) -> CachedSeries:
        with self._lock:
            shelf = self._known.get(run)
            if shelf is None or shelf.columns.path != directory / METRICS:
                shelf = self._known[run] = CachedSeries(run, directory / METRICS, self)
            self._known.move_to_end(run)
            total = sum(other.columns.memory for other in self._known.values())
            while total > self._memory_limit and len(self._known) > 1:
                _, dropped = self._known.popitem(last=False)
                total -= dropped.columns.memory
            return shelf

    def keep_on_disk(self, shelf: CachedSeries) -> None:
        """Write a long run's columns, unless it was deleted meanwhile."""
        columns = shelf.columns
        if columns.offset < max(_WORTH_KEEPING, _GROWN_BY * shelf.kept_offset):
            return
        if not columns.path.parent.is_dir():
            return
        try:
            self._workspace.make(self._workspace.private, mode=0o700)
            folder = self._workspace.make(self._folder, mode=0o700)
            with columns.lock:
                kept = disk_cache.copy_of(columns)
            if kept is not None:
                disk_cache.save(kept, disk_cache.path_of(folder, shelf.run))
                shelf.kept_offset = kept.offset
        except (OSError, UserError) as error:
            _logger.warning("the columns of %s are not kept on disk: %s", shelf.run, error)
        if not columns.path.parent.is_dir():
            self.forget(shelf.run)

    @property
    def folder(self) -> Path:
        """Where columns are kept."""
        return self._folder


class CachedSeries:
    """One run's columns, and who is reading them."""

    def __init__(self, run: str, path: Path, library: SeriesLibrary) -> None:
        self.run = run
        self.columns = RunColumns(path)
        self.kept_offset = 0
        self._library = library
        self._reader: threading.Thread | None = None
        self._reading = threading.Lock()
        self._problem: Exception | None = None
        self._looked_on_disk = False

    def bring_up_to_date(self, patience: float | None) -> bool:
        """Read on; returns whether everything was read within the patience."""
        deadline = None if patience is None else time.monotonic() + patience
        with self._reading:
            reader = self._reader
            if reader is None or not reader.is_alive():
                if not self._is_much():
                    with self.columns.lock:
                        reading.read_on(self.columns)
                    return True
                self._problem = None
                reader = threading.Thread(target=self._read, name="metrics-reader", daemon=True)
                self._reader = reader
                reader.start()
        reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if reader.is_alive():
            return False
        if self._problem is not None:
            raise self._problem
        return True

    def takes_long(self) -> bool:
        """Return whether nobody reads a file yet that takes a second or more."""
        with self._reading:
            if self._reader is not None and self._reader.is_alive():
                return False
            return self._is_much(_VERY_LONG)

    def _is_much(self, limit: int = _READ_AT_ONCE) -> bool:
        with self.columns.lock:
            if self.columns.waiting() <= limit:
                return False
            if not self._looked_on_disk and not self.columns.count:
                self._looked_on_disk = True
                if disk_cache.load(
                    self.columns, disk_cache.path_of(self._library.folder, self.run)
                ):
                    self.kept_offset = self.columns.offset
            return self.columns.waiting() > limit

    def _read(self) -> None:
        try:
            with self.columns.lock:
                reading.read_on(self.columns)
        except Exception as error:
            self._problem = error
            return
        finally:
            # Whoever waits goes on now; keeping a copy on disk takes a while.
            self._reader = None
        threading.Thread(
            target=self._library.keep_on_disk, args=(self,), name="metrics-keeper", daemon=True
        ).start()
