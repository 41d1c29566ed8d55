"""Tags and notes of runs, and the pinned one: what the user says about runs.

They are kept in the studio's private folder, for the run itself and not for its name: a new
run of a deleted one's name begins without them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Final

from pydantic import Field, ValidationError

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.validation import LateModel, sentences
from cptstudio.workspace import Workspace

_FILE: Final = "labels.json"


class Label(LateModel, extra="ignore", frozen=True):
    """The user's tags and note for a run."""

    created: float = Field(description="When the run was made that this is about.")
    tags: tuple[str, ...] = ()
    note: str = ""


class _Stored(LateModel, extra="ignore"):
    runs: dict[str, Label] = {}
    pinned: str | None = None


class Labels:
    """The labels of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()

    def all(self) -> tuple[dict[str, Label], str | None]:
        """Return the labels by run, and the pinned run.

        Raises:
            UserError: the file cannot be used.
        """
        stored = self._read()
        return stored.runs, stored.pinned

    def set(self, run: str, created: float, tags: Iterable[str], note: str) -> None:
        """Say something about a run."""
        label = Label(created=created, tags=tuple(tags), note=note)
        with self._lock:
            stored = self._read()
            stored.runs[run] = label
            if not label.tags and not label.note and stored.pinned != run:
                del stored.runs[run]
            self._write(stored)

    def pin(self, run: str | None, created: float = 0.0) -> None:
        """Make a run the one that others are compared with; None for none."""
        with self._lock:
            stored = self._read()
            stored.pinned = run
            if run is not None and run not in stored.runs:
                stored.runs[run] = Label(created=created)
            self._write(stored)

    def forget_all_but(self, runs: dict[str, float]) -> None:
        """Drop what was said about runs that are gone, or were made anew since.

        Args:
            runs: by id, when each was created; those with time 0 cannot be told and stay.
        """
        with self._lock:
            stored = self._read()
            kept = {
                run: label
                for run, label in stored.runs.items()
                if run in runs and (not runs[run] or runs[run] == label.created)
            }
            pinned = stored.pinned if stored.pinned in kept else None
            if len(kept) != len(stored.runs) or pinned != stored.pinned:
                self._write(_Stored(runs=kept, pinned=pinned))

    def _read(self) -> _Stored:
        path = self._workspace.private / _FILE
        try:
            value: Any = durable.read_json(path)
            return _Stored.model_validate(value)
        except FileNotFoundError:
            return _Stored()
        except ValidationError as error:
            raise UserError(f"{path} cannot be used:", sentences(error, _Stored)) from None

    def _write(self, stored: _Stored) -> None:
        folder = self._workspace.make(self._workspace.private, mode=0o700)
        durable.write_json(folder / _FILE, stored.model_dump(mode="json"), mode=0o600)
