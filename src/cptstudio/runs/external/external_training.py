"""What other programs train, or have trained, on this machine: shown, never owned.

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
        """Look once at the processes of this machine; see `TrainingManager.detect`."""
        return detection.detect(self._looks())

    def ask(self, pid: int, action: Action) -> Confirmation:
        """What the user has to confirm before a process is watched or stopped.

        Args:
            pid: of a process that trains.
            action: "watch" or "stop".

        Raises:
            UserError: it does not train (any more), this cannot be done with it, or detection
                is off.
        """
        if not self._looks():
            raise UserError("Detection is off, so no process can be watched or stopped.")
        return self._external.ask(detection.training_process(pid), action)

    def watch(self, token: str, stop: threading.Event | None = None) -> Iterator[ForeignHistory]:
        """Yield what a process's log tells, from its beginning until the process has ended.

        Args:
            token: of a confirmation to "watch"; it is used up by this call.
            stop: ends the iteration when it is set.

        Raises:
            UserError: the token does not confirm this, or the log cannot be read.
        """
        return _histories(self._external.watch(token, stop))

    def stop(self, token: str) -> None:
        """Send SIGTERM to a process, after checking again that it is the confirmed one.

        Args:
            token: of a confirmation to "stop"; it is used up by this call.

        Raises:
            UserError: the token does not confirm this, or the process is another one, or
                trains no more. Then no signal was sent.
        """
        self._external.stop(token)

    # --- runs that they left -----------------------------------------------------------------

    def imported(self) -> list[ImportedEntry]:
        """Runs of other programs, the newest first.

        They are those that the user named (`import_runs`), and those of ForgeLLM that lie in
        this workspace's folder of runs.
        """
        return self._imported.entries()

    def imported_run(self, id: str) -> ImportedEntry:
        """One of them; its `history()` has rows and events in the shape of our own.

        Raises:
            UserError: there is none with this id.
        """
        return self._imported.entry(id)

    def import_runs(self, path: Path) -> list[ImportedEntry]:
        """Remember the path of a run's file, or of all ForgeLLM runs in a folder.

        Nothing is copied, and nothing is written beside it.

        Raises:
            UserError: nothing is there that can be read as a run.
        """
        return self._imported.add(path)

    def forget_imported(self, id: str) -> None:
        """Take a run out of the list again. Its file stays where and what it is.

        Raises:
            UserError: there is none with this id, or it lies in the workspace itself.
        """
        self._imported.forget(id)

    def _looks(self) -> bool:
        if self._detect is not None:
            return self._detect
        return read_preferences(self._workspace.private).detect


def _histories(records: Iterable[LogRecord]) -> Iterator[ForeignHistory]:
    rows = ForeignRows()
    for record in records:
        yield rows.add([record])
