"""Deleted things, kept for a minute so that a deletion can be undone.

    <workspace>/.cpt-studio/trash/<id>.<state>.json      what was deleted, and where it lies
    <folder of the thing>/.<its name>.trash-<id>         the thing itself

A thing stays beside where it was, because a folder of models may be a link to another disk, over
which nothing can be renamed. Its hidden name is in no list. A note has one of two states: `moving`
while files are on their way, in either direction, and `kept` once all of them are away. So a server
that is killed at any moment leaves no doubt: at the next start what was `moving` is put back whole,
what was `kept` is deleted for good.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import MachineError, UserError, machine_error
from cptstudio.workspace import Workspace, check_new_name

KEPT_SECONDS: Final = 60.0
_FOLDER: Final = "trash"
_MARK: Final = ".trash-"
_State = Literal["moving", "kept"]
_MOVING: Final = "moving"
_KEPT: Final = "kept"
_logger = logging.getLogger(__name__)


class NotInTrashError(UserError):
    """It was deleted for good, was put back, or never was in the trash."""


class TakenNameError(UserError):
    """Another thing has the name by now."""


@dataclass(frozen=True)
class Thing:
    """A deleted thing.

    Attributes:
        kind: what it is, such as "run".
        name: what the user calls it.
        deleted: Unix seconds.
        moves: where each of its files and folders was and where it lies, within the workspace.
        memory: what else belongs to it, such as a run's tags.
    """

    id: str
    kind: str
    name: str
    deleted: float
    moves: tuple[tuple[str, str], ...] = ()
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Restorer:
    """How a kind of thing is put back.

    Attributes:
        memory: puts back what is no file; called when the files are there again.
        merge: joins a file with one that is at its place by now: (where it lies, its place).
    """

    memory: Callable[[Mapping[str, Any]], None] = lambda memory: None
    merge: Callable[[Path, Path], None] | None = None


class Trash:
    """The trash of one workspace, in the hands of its one server.

    Args:
        seconds: how long a deletion can be undone.
    """

    def __init__(self, workspace: Workspace, seconds: float = KEPT_SECONDS) -> None:
        self._workspace = workspace
        self._folder = workspace.private / _FOLDER
        self.seconds = seconds
        self._restorers: dict[str, Restorer] = {}
        self._things: dict[str, tuple[Thing, float]] = {}
        self._leaving: dict[str, Thing] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._sizes: dict[str, int] = {}

    def restores(self, kind: str, restorer: Restorer) -> None:
        """Say how a kind of thing is put back, where moving its files is not all."""
        self._restorers[kind] = restorer

    def put(
        self,
        kind: str,
        name: str,
        paths: Sequence[Path],
        memory: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Move files and folders out of the way; all of them, or none.

        Args:
            paths: in the order in which they go and come back; those that are not there are left
                out.
            memory: what else is to be put back; JSON.

        Returns:
            What `restore` takes; None where the disk has no room for a note, and so it was deleted
            for good: deleting is how room is made.

        Raises:
            FileNotFoundError: nothing is there.
            OSError, UserError: it cannot be moved; everything is where it was.
        """
        there = [path for path in paths if os.path.lexists(path)]
        if paths and not there:
            raise FileNotFoundError(paths[0])
        id = f"t{secrets.token_hex(8)}"
        root = self._workspace.root
        moves = [
            (os.path.relpath(path, root), os.path.relpath(_aside(path, id), root)) for path in there
        ]
        thing = Thing(id, kind, name, time.time(), tuple(moves), dict(memory or {}))
        try:
            self._workspace.make(self._folder, mode=0o700)
            durable.write_json(self._note(id, _MOVING), _as_json(thing), mode=0o600)
        except (OSError, UserError) as error:
            refused = error if isinstance(error, MachineError) else machine_error(error)
            if refused is None or not refused.full:
                raise
            for path in there:
                _remove(_moved_aside(path))
            _logger.info("%s %s: permanently deleted because the disk is full", kind, name)
            return None
        self._move_away(thing)
        with self._changed:
            self._things[id] = (thing, time.monotonic() + self.seconds)
            self._wake()
        _logger.info("%s %s: moved to the trash as %s", kind, name, id)
        return id

    def restore(self, id: str) -> Thing:
        """Put a thing back where it was.

        Raises:
            NotInTrashError: it is not here any more.
            TakenNameError: there is another one of its name; it stays here until its time is over.
        """
        with self._changed:
            found = self._things.get(id)
            if found is None:
                raise NotInTrashError("This was permanently deleted, or already restored.")
            thing = found[0]
            self._check_free(thing)
            self._rename_note(id, _KEPT, _MOVING)
            try:
                self._move_back(thing)
            except OSError:
                self._move_away(thing)
                raise
            del self._things[id]
            self._sizes.pop(id, None)
            self._finish(thing)
        _logger.info("%s %s: restored", thing.kind, thing.name)
        return thing

    def things(self) -> list[tuple[Thing, float]]:
        """Return the things that can be restored, newest first, and for how many seconds."""
        now = time.monotonic()
        with self._changed:
            found = [(thing, max(0.0, due - now)) for thing, due in self._things.values()]
        return sorted(found, key=lambda one: -one[0].deleted)

    def size(self, id: str | None = None) -> int:
        """Bytes that a thing, or all that is not deleted for good yet, has on the disk."""
        with self._changed:
            things = [*(thing for thing, _ in self._things.values()), *self._leaving.values()]
        total = 0
        for thing in things:
            if id in (None, thing.id):
                if thing.id not in self._sizes:
                    root = self._workspace.root
                    self._sizes[thing.id] = sum(_size(root / aside) for _, aside in thing.moves)
                total += self._sizes[thing.id]
        return total

    def empty(self) -> None:
        """Delete everything for good, now."""
        with self._changed:
            self._leave(list(self._things))
        self._delete_leaving()

    def clear_former(self) -> None:
        """Finish what a server left that has ended: only the workspace's one server may call this.

        What was on its way is put back. Everything else is deleted for good, by a thread, since
        that may take long.
        """
        try:
            durable.sweep_staging(self._folder)
            notes = sorted(self._folder.glob("t*.json"))
        except OSError:
            return  # Nothing was ever deleted, or nothing can be now.
        for note in notes:
            id, _, state = note.name.removesuffix(".json").partition(".")
            thing = _read(note, id)
            if thing is None or id in self._things:
                continue
            try:
                if state == _MOVING:
                    self._check_free(thing, but_moved=True)
                    self._move_back(thing)
                    self._finish(thing)
                    _logger.info("%s %s: restored after a crash", thing.kind, thing.name)
                else:
                    with self._changed:
                        self._leaving[id] = thing
                        self._wake()
            except (OSError, UserError) as error:
                _logger.warning("trash: %s %s stays: %s", thing.kind, thing.name, error)

    # --- inside ------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have the thread look at what is due; the caller holds the lock."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="trash", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _work(self) -> None:
        """Delete what is due, until nothing is left."""
        while True:
            self._delete_leaving()
            with self._changed:
                if not self._things and not self._leaving:
                    self._thread = None
                    return
                now = time.monotonic()
                due = [id for id, (_, when) in self._things.items() if when <= now]
                self._leave(due)
                if not self._leaving:
                    self._changed.wait(min(when for _, when in self._things.values()) - now)

    def _leave(self, ids: Sequence[str]) -> None:
        for id in ids:
            self._leaving[id] = self._things.pop(id)[0]

    def _delete_leaving(self) -> None:
        for thing in list(self._leaving.values()):
            if not self._workspace.is_present():
                with self._changed:
                    self._leaving.clear()  # The next start of a server there sees to it.
                return
            for _, aside in thing.moves:
                _remove(self._workspace.root / aside)
            left = [a for _, a in thing.moves if os.path.lexists(self._workspace.root / a)]
            if left:
                _logger.warning(
                    "%s %s: could not delete some files: %s", thing.kind, thing.name, left
                )
            else:
                self._note(thing.id, _KEPT).unlink(missing_ok=True)
                _logger.info("%s %s: permanently deleted", thing.kind, thing.name)
            with self._changed:
                self._leaving.pop(thing.id, None)
                self._sizes.pop(thing.id, None)

    def _move_away(self, thing: Thing) -> None:
        """Move a thing's files away, or leave all of them where they were."""
        root = self._workspace.root
        try:
            for origin, aside in thing.moves:
                if os.path.lexists(root / origin):
                    _rename(root / origin, root / aside)
        except OSError:
            self._move_back(thing)
            # Reached only when all is back: the note is the only one that knows what is not.
            self._note(thing.id, _MOVING).unlink(missing_ok=True)
            raise
        self._rename_note(thing.id, _MOVING, _KEPT)

    def _move_back(self, thing: Thing) -> None:
        root, merge = self._workspace.root, self._restorer(thing).merge
        for origin, aside in thing.moves:
            if not os.path.lexists(root / aside):
                continue
            if merge is not None and os.path.lexists(root / origin):
                merge(root / aside, root / origin)
                _remove(root / aside)
            else:
                (root / origin).parent.mkdir(parents=True, exist_ok=True)
                _rename(root / aside, root / origin)

    def _check_free(self, thing: Thing, but_moved: bool = False) -> None:
        root = self._workspace.root
        if self._restorer(thing).merge is not None:
            return
        for origin, aside in thing.moves:
            if but_moved and not os.path.lexists(root / aside):
                continue
            if os.path.lexists(root / origin):
                raise TakenNameError(
                    f"There is now another {thing.kind} {thing.name!r}. Rename or delete "
                    "it to undo."
                )
            check_new_name(root / origin, thing.kind)

    def _finish(self, thing: Thing) -> None:
        try:
            self._restorer(thing).memory(thing.memory)
        finally:
            self._note(thing.id, _MOVING).unlink(missing_ok=True)

    def _restorer(self, thing: Thing) -> Restorer:
        return self._restorers.get(thing.kind, Restorer())

    def _note(self, id: str, state: _State) -> Path:
        return self._folder / f"{id}.{state}.json"

    def _rename_note(self, id: str, state: _State, other: _State) -> None:
        _rename(self._note(id, state), self._note(id, other))


def _aside(path: Path, id: str) -> Path:
    return path.with_name(f".{path.name}{_MARK}{id}")


def _moved_aside(path: Path) -> Path:
    """Where a path is about to be deleted: of a name that tells what it is, should that end."""
    gone = durable.staging_path(path)
    path.rename(gone)
    return gone


def _rename(path: Path, target: Path) -> None:
    os.rename(path, target)
    durable.flush_directory(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes below a path; what vanishes meanwhile counts nothing."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total


def _as_json(thing: Thing) -> dict[str, Any]:
    return {
        "kind": thing.kind,
        "name": thing.name,
        "deleted": thing.deleted,
        "moves": [list(move) for move in thing.moves],
        "memory": thing.memory,
    }


def _read(note: Path, id: str) -> Thing | None:
    """A note of ours; None, with a line in the log, where it is none: nothing is deleted for it."""
    try:
        value = durable.read_json(note)
        moves = tuple((str(origin), str(aside)) for origin, aside in value["moves"])
        for origin, aside in moves:
            inside = not os.path.isabs(origin) and ".." not in Path(origin).parts
            if not inside or _aside(Path(origin), id) != Path(aside):
                raise ValueError(f"it names {aside!r}")
        memory = dict(value["memory"])
        return Thing(
            id, str(value["kind"]), str(value["name"]), float(value["deleted"]), moves, memory
        )
    except (UnusableFileError, OSError, KeyError, TypeError, ValueError) as error:
        _logger.warning("trash: %s is no note: %s", note, error)
        return None
