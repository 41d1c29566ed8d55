"""The interface's knowledge of runs: ours and those of other programs, by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptstudio import run_files
from cptstudio.durable import dump_json
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.external.imported_list import ID_PREFIX, ImportedEntry
from cptstudio.runs.run import Run
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.trash import Trash
from cptstudio.web.problems import NotFound
from cptstudio.web.runs import details as run_details
from cptstudio.web.runs.details import RunDetail
from cptstudio.web.runs.labels import Labels
from cptstudio.web.runs.summaries import Runs, RunSummary, Summaries, imported_summary
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from cptstudio.web.series.answers import SeriesQuery
    from cptstudio.web.series.columns import RunColumns
    from cptstudio.web.series.library import SeriesLibrary

PATIENCE_SECONDS = 0.3
"""How long a chart waits for a long file before it gets a first picture."""


@dataclass(frozen=True)
class RowPage:
    """A page of a run's current rows.

    Attributes:
        generation: of the rows; see `RunColumns.generation`.
        rows: as they are in the file.
        last_seq: of all rows of the run.
        more: whether rows follow that are not on this page.
    """

    generation: int
    rows: list[dict[str, Any]]
    last_seq: int
    more: bool


class RunLibrary:
    """Looks runs up for the pages."""

    def __init__(self, workspace: Workspace, manager: TrainingManager) -> None:
        self.workspace = workspace
        self.manager = manager
        self.labels = Labels(workspace)
        self.summaries = Summaries(self.labels)

    @cached_property
    def series(self) -> SeriesLibrary:
        """Curves. NumPy is loaded by the first use."""
        from cptstudio.web.series.library import SeriesLibrary

        return SeriesLibrary(self.workspace)

    # --- runs --------------------------------------------------------------------------------

    def run(self, id: str) -> Run:
        """Return one of our own runs.

        Raises:
            NotFound: there is none with this id.
        """
        try:
            return self.manager.run(id)
        except UserError as error:
            raise NotFound(error.message) from None

    def imported(self, id: str) -> ImportedEntry:
        """Return one run of another program.

        Raises:
            NotFound: there is none with this id.
        """
        try:
            return self.manager.external.imported_run(id)
        except UserError as error:
            raise NotFound(error.message) from None

    def all(self) -> Runs:
        """Return all runs; what is remembered of those that are gone is cleared."""
        runs = self.manager.runs()
        if "series" in self.__dict__:
            self.series.forget_all_but(run.id for run in runs)
        return self.summaries.all(runs, self.manager.external.imported())

    def summary(self, id: str) -> RunSummary:
        """Return the line of one run, whoever's it is."""
        if id.startswith(ID_PREFIX):
            return imported_summary(self.imported(id))
        return self.summaries.one(self.run(id))

    def detail(self, id: str) -> RunDetail:
        """Return all of one run, whoever's it is."""
        if id.startswith(ID_PREFIX):
            return run_details.imported_detail(self.imported(id))
        run = self.run(id)
        summary = self.summaries.one(run)
        last_seq = generation = None
        try:
            # A long file is first read for its chart, which is drawn before all of it is read.
            if run.directory.is_dir() and not self.series.takes_long(id, run.directory):
                columns = self.series.columns(id, run.directory, PATIENCE_SECONDS)
                if columns is not None:
                    with columns.lock:
                        last_seq, generation = columns.last_seq, columns.generation
        except UserError as error:
            summary.problems.append(str(error))
        return run_details.detail(run, summary, last_seq, generation)

    def delete(
        self, id: str, trash: Trash, memory: Mapping[str, Any], *, confirmed: bool
    ) -> str | None:
        """Move a run of ours to the trash, with what is remembered of it.

        Returns:
            What the trash puts it back by; None where it is gone for good.
        """
        self.run(id)
        kept = self.manager.delete(id, confirmed=confirmed, trash=trash, memory=memory)
        self.series.forget(id)
        self.labels.forget_all_but({run.id: run.created for run in self.manager.runs()})
        return kept

    # --- rows --------------------------------------------------------------------------------

    def curves(self, id: str, wish: SeriesQuery) -> dict[str, Any]:
        """Return the data of a chart of the run."""
        from cptstudio.web.series.answers import answer

        if id.startswith(ID_PREFIX):
            return answer(self._foreign(id), wish) | {"complete": True}
        return self.series.answer(id, self.directory(id), wish, PATIENCE_SECONDS)

    def rows(self, id: str, after: int, limit: int) -> RowPage:
        """Current rows with a greater `seq` than `after`, in file order."""
        from cptstudio.web.series import reading

        if id.startswith(ID_PREFIX):
            columns = self._foreign(id)
            rows = [row for row in self.imported(id).history().rows if row["seq"] > after]
            return RowPage(columns.generation, rows[:limit], columns.last_seq, len(rows) > limit)
        read = self.columns(id)
        with read.lock:
            found = reading.rows_after(read, after, limit + 1)
            return RowPage(read.generation, found[:limit], read.last_seq, len(found) > limit)

    def lines(self, id: str) -> Iterator[str]:
        """Return all current rows, each as a line of JSON, read as they are asked for."""
        from cptstudio.web.series import reading

        columns = self.columns(id)
        if id.startswith(ID_PREFIX):
            return (dump_json(row) for row in self.imported(id).history().rows)
        return (line.decode("utf-8-sig").strip() for line in reading.current_lines(columns))

    def columns(self, id: str) -> RunColumns:
        """Return a run's columns, read to the end, however long it takes."""
        if id.startswith(ID_PREFIX):
            return self._foreign(id)
        columns = self.series.columns(id, self.directory(id))
        assert columns is not None
        return columns

    def events(self, id: str) -> list[dict[str, Any]]:
        """Return the run's events."""
        if id.startswith(ID_PREFIX):
            return list(self.imported(id).history().events)
        return read_json_lines(self.directory(id) / run_files.EVENTS).records

    def directory(self, id: str) -> Path:
        """Return the directory of a run of ours.

        Raises:
            NotFound: there is none.
        """
        try:
            directory = self.workspace.run(id)
        except UserError as error:
            raise NotFound(error.message) from None
        if not directory.is_dir() or directory.is_symlink():
            raise NotFound(f"There is no run {id!r} in {self.workspace.runs}.")
        return directory

    def _foreign(self, id: str) -> RunColumns:
        entry = self.imported(id)
        return self.series.foreign(id, entry.history().rows, entry.run)
