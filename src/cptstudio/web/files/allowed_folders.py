"""Folders that the user allowed: roots of the file browser, and folders of models.

They are kept in `.cpt-studio/places.json`. An id is made from the folder's path, so that it
stays the same and a page cannot name a folder that was not allowed.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.validation import LateModel
from cptstudio.web.problems import NotFound
from cptstudio.workspace import Workspace

WORKSPACE_ROOT = "workspace"
_FILE = "places.json"
_MOST = 100
_USUAL = ("Documents", "Desktop", "Downloads")


class _Stored(LateModel, extra="forbid"):
    roots: list[str] = []
    models: list[str] = []


@dataclass(frozen=True)
class Root:
    """A folder that the file browser shows.

    Attributes:
        label: what the user sees.
        removable: it was added on the page, so it can be taken away there.
    """

    id: str
    path: Path
    label: str
    removable: bool


class AllowedFolders:
    """The allowed folders of a workspace.

    Args:
        workspace: always a root itself.
        given: roots named on the command line.
    """

    def __init__(self, workspace: Workspace, given: Sequence[Path] = ()) -> None:
        self._workspace = workspace
        self._given = [Path(os.path.realpath(path.expanduser())) for path in given]
        self._lock = threading.Lock()

    def roots(self) -> list[Root]:
        """Return all roots, the workspace first."""
        own = Path(os.path.realpath(self._workspace.root))
        found = [Root(WORKSPACE_ROOT, own, f"Workspace ({own.name})", False)]
        found += [Root(_id_of(path), path, str(path), False) for path in self._given]
        added = [Path(path) for path in self._read().roots]
        found += [Root(_id_of(path), path, str(path), True) for path in added]
        return list({root.id: root for root in reversed(found)}.values())[::-1]

    def root(self, root_id: str) -> Root:
        """Return one root.

        Raises:
            NotFound: it is not allowed (any more).
        """
        for root in self.roots():
            if root.id == root_id:
                return root
        raise NotFound(f"There is no folder with the id {root_id!r} among those you allowed.")

    def add_root(self, path: str) -> Root:
        """Allow a folder.

        Raises:
            UserError: it is no folder, or one that holds secrets of the studio.
        """
        folder = self._checked(path)
        with self._lock:
            stored = self._read()
            self._write(stored, roots=_with(stored.roots, folder))
        return self.root(next(r.id for r in self.roots() if r.path == folder))

    def remove_root(self, root_id: str) -> None:
        """Take a root away that was added on the page; nothing on disk is touched."""
        root = self.root(root_id)
        if not root.removable:
            raise UserError(f"{root.label} is always shown while this server runs.")
        with self._lock:
            stored = self._read()
            self._write(stored, roots=[one for one in stored.roots if one != str(root.path)])

    def suggestions(self) -> list[str]:
        """Folders that people keep documents in, as far as they are there and not allowed yet."""
        # Unlike Path.home(), it does not fail where there is none.
        home = Path(os.path.expanduser("~"))
        usual = [home, *(home / name for name in _USUAL)] if home.is_absolute() else []
        allowed = {root.path for root in self.roots()}
        real = [Path(os.path.realpath(path)) for path in usual]
        return [
            str(path)
            for path in dict.fromkeys(real)
            if os.path.isdir(path) and os.access(path, os.R_OK | os.X_OK) and path not in allowed
        ]

    def model_folders(self) -> list[Path]:
        """Return the folders of models that the user named."""
        return [Path(path) for path in self._read().models]

    def add_model_folder(self, path: str) -> Path:
        """Remember a folder of a model.

        Raises:
            UserError: it is no folder.
        """
        folder = self._checked(path)
        with self._lock:
            stored = self._read()
            self._write(stored, models=_with(stored.models, folder))
        return folder

    def remove_model_folder(self, path: str) -> None:
        """Forget a folder of a model; nothing on disk is touched."""
        with self._lock:
            stored = self._read()
            if path not in stored.models:
                raise NotFound(f"{path} is not among the model folders you added.")
            self._write(stored, models=[one for one in stored.models if one != path])

    def _checked(self, path: str) -> Path:
        # Unlike pathlib's, it leaves the home of a user that there is not as it stands.
        given = Path(os.path.expanduser(path))
        if "\0" in path or not given.is_absolute():
            raise UserError(f"{path!r}: give the whole path of a folder, beginning with / or ~.")
        folder = Path(os.path.realpath(given))
        if not os.path.isdir(folder):
            raise UserError(f"{path} is not a folder on this machine.")
        private = Path(os.path.realpath(self._workspace.private))
        if folder == private or private in folder.parents:
            raise UserError(f"{path} holds the studio's own token and records; it is not shown.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise UserError(f"{path} isn't readable with your permissions.")
        return folder

    def _read(self) -> _Stored:
        path = self._workspace.private / _FILE
        try:
            return _Stored.model_validate(durable.read_json(path, durable.MEBIBYTE))
        except FileNotFoundError:
            return _Stored()
        except ValidationError:
            raise UserError(f"{path} is damaged: delete it, and add your folders again.") from None

    def _write(self, stored: _Stored, **changes: list[str]) -> None:
        self._workspace.make(self._workspace.private, mode=0o700)
        value = stored.model_copy(update=changes)
        durable.write_json(self._workspace.private / _FILE, value.model_dump(), mode=0o600)


def _id_of(path: Path) -> str:
    return "r" + hashlib.sha256(os.fsencode(path)).hexdigest()[:15]


def _with(paths: list[str], folder: Path) -> list[str]:
    text = str(folder)
    if text in paths:
        return paths
    if len(paths) >= _MOST:
        raise UserError(f"There are {_MOST} folders already. Remove one first.")
    return [*paths, text]
