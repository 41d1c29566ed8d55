"""Training by other programs on this machine: shown, never owned.

Processes that train are found by `detect`. Watching one reads its log; stopping one sends it a
signal. Each needs a confirmation of its own: `ask` says in a sentence what will happen, and its
token goes to `watch` or `stop` when the user has agreed.

    confirmation = manager.external.ask(pid, "watch")
    if user_agrees_to(confirmation.sentence):
        for news in manager.external.watch(confirmation.token):
            draw(news.rows)

Runs that other programs left are listed by `imported`, read-only, with rows for their charts.
Nothing is ever written into a folder of another program.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from cptstudio.errors import UserError
from cptstudio.runs.external import detection
from cptstudio.runs.external.detection import Detection
from cptstudio.runs.external.external_processes import Action, Confirmation, ExternalProcesses
from cptstudio.runs.external.foreign_rows import ForeignHistory, ForeignRows
from cptstudio.runs.external.imported_list import ImportedEntry, ImportedList
from cptstudio.runs.external.log_parser import LogRecord
from cptstudio.runs.preferences import read_preferences
from cptstudio.workspace import Workspace


class ExternalTraining:
    """Processes and runs of other programs.

    Args:
        workspace: whose preferences and list of imported runs count.
        detect: whether processes are looked at; None asks the preferences each time.
    """

    def __init__(self, workspace: Workspace, detect: bool | None = None) -> None:
        self._workspace = workspace
        self._detect = detect
        self._external = ExternalProcesses()
        self._imported = ImportedList(workspace)

    # --- processes ---------------------------------------------------------------------------

    def detect(self) -> Detection:
        """Look once at the processes of this machine, unless that is off."""
        return detection.detect(self._looks())

    def ask(self, pid: int, action: Action) -> Confirmation:
        """Return the question to confirm before a process is watched or stopped.

        Raises:
            UserError: it does not train (any more), this cannot be done with it, or detection
                is off.
        """
        if not self._looks():
            raise UserError("Detection is off, so no process can be watched or stopped.")
        return self._external.ask(detection.training_process(pid), action)

    def watch(self, token: str, stop: threading.Event | None = None) -> Iterator[ForeignHistory]:
        """Yield what a process's log tells; see `ExternalProcesses.watch`."""
        return _histories(self._external.watch(token, stop))

    def stop(self, token: str) -> None:
        """See `ExternalProcesses.stop`."""
        self._external.stop(token)

    # --- runs that they left -----------------------------------------------------------------

    def imported(self) -> list[ImportedEntry]:
        """See `ImportedList.entries`."""
        return self._imported.entries()

    def imported_run(self, id: str) -> ImportedEntry:
        """See `ImportedList.entry`."""
        return self._imported.entry(id)

    def import_runs(self, path: Path) -> list[ImportedEntry]:
        """See `ImportedList.add`."""
        return self._imported.add(path)

    def forget_imported(self, id: str) -> None:
        """See `ImportedList.forget`."""
        self._imported.forget(id)

    def _looks(self) -> bool:
        if self._detect is not None:
            return self._detect
        return read_preferences(self._workspace.private).detect


def _histories(records: Iterable[LogRecord]) -> Iterator[ForeignHistory]:
    rows = ForeignRows()
    for record in records:
        yield rows.add([record])
