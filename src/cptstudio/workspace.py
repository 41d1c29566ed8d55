"""Where everything of a workspace lives, with checked names and confined paths.

Only reading is done here: a `Workspace` never creates a folder by being constructed. The one
who writes asks for `make(...)` of the folder it needs, which also notes the workspace's format.
"""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cptstudio import __version__, durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import MachineError, UserError, machine_error

CHECKPOINTS: Final = "checkpoints"
"""The folder of a run that holds them."""
FORMAT: Final = 1
"""Raised when a version writes into a workspace what former ones would misread or damage."""
_FORMAT_FILE: Final = "workspace.json"
_PRIVATE: Final = ".cpt-studio"

BUILD_LOCK = ".build.lock"
"""Lies in the folder of each corpus that a build was begun of."""
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str, what: str) -> str:
    """Return a name that is safe as a folder name, or raise.

    Args:
        name: the name of a run, corpus or model.
        what: what it names, for the message, such as "run".

    Raises:
        UserError: it does not match `NAME_PATTERN`.
    """
    if NAME_PATTERN.fullmatch(name) is None:
        raise UserError(
            f"{name!r} is not a valid {what} name. Use 1 to 64 letters, digits, dots, "
            "underscores or hyphens, starting with a letter or digit."
        )
    return name


def check_format(root: Path) -> int:
    """Return a workspace's format: 0 where nothing was noted, as versions of before left it.

    Raises:
        UserError: a newer version has written to it, so it must not be touched by this one; or
            the note cannot be read.
    """
    path = root / _PRIVATE / _FORMAT_FILE
    if not path.parent.is_dir():
        return 0
    advice = (
        "It records the workspace format. Restore a copy of it; or delete it if no newer "
        "version of CPT Studio was ever used here."
    )
    try:
        noted: Any = durable.read_json(path, durable.MEBIBYTE)
    except FileNotFoundError:
        return 0
    except UnusableFileError as error:
        raise UserError(f"{error}. {advice}") from None
    found = noted.get("format") if isinstance(noted, dict) else None
    if type(found) is not int or found < 1:
        raise UserError(f"{path}: {found!r} is not a valid format. {advice}")
    if found > FORMAT:
        raise UserError(
            f"The workspace {root} was written by a newer version of CPT Studio "
            f"({noted.get('written_by')}): it has format {found}, but this version "
            f"({__version__}) supports formats up to {FORMAT}. Nothing was changed. "
            "Update CPT Studio, or choose another workspace."
        )
    return found


def why_model_is_absent(folder: Path, what: str = "base model") -> str | None:
    """Say that the folder of a base model or a checkpoint is gone, or None where it is there.

    Args:
        what: the folder is of, where it is no checkpoint.
    """
    if os.path.exists(folder):
        return None
    if folder.parent.name == CHECKPOINTS:
        return (
            f"The checkpoint {folder.name} of {folder.parent.parent.name} no longer "
            "exists: a run in training deletes its older ones. Choose a newer one."
        )
    if os.path.islink(folder):
        return f"The {what} folder {folder} is a broken link."
    return (
        f"The {what} folder {folder} does not exist (moved or deleted?). Restore it, or "
        "add a link to its new location."
    )


def check_new_name(path: Path, what: str) -> None:
    """Refuse a name that differs from one that is there only in case or in how letters are put.

    Both would be one folder on macOS, whose file systems take no notice of either (Apple File
    System Reference, "Case-insensitive, normalization-insensitive"), and so after a move to a Mac.
    Two that are there already stay two.

    Args:
        path: what is about to be made; one that is there is no new name.
        what: what it names, for the message, such as "run".

    Raises:
        UserError: there is such a one.
    """
    try:
        names = {entry.name for entry in os.scandir(path.parent)}
    except OSError:
        return
    twin = next((name for name in names if _folded(name) == _folded(path.name)), None)
    if path.name not in names and twin is not None:
        there = twin.removesuffix(path.suffix) if path.suffix == ".json" else twin
        raise UserError(
            f"There is already a {what} {there!r}, which would be the same folder on a "
            "Mac. Choose a name that differs in more than upper and lower case."
        )


def check_new_run(directory: Path) -> None:
    """Refuse the directory of a new run whose name is taken.

    Raises:
        UserError: something is there, or what would be the same folder on a Mac.
    """
    if os.path.lexists(directory):
        raise UserError(
            f"There is already a run {directory.name!r}. Choose another name, or delete it first."
        )
    check_new_name(directory, "run")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Workspace:
    """The folders of one workspace.

    Args:
        root: the workspace folder; it need not exist yet.

    Attributes:
        was_away: the folder that is held was once found to be missing.

    Raises:
        UserError: a newer version has written to it, see `check_format`.
    """

    def __init__(self, root: Path | str) -> None:
        # Unlike pathlib's, it leaves the home of a user that there is not as it stands.
        self.root = Path(os.path.expanduser(root)).absolute()
        self._held: tuple[int, int] | None = None
        self.was_away = False
        check_format(self.root)

    @classmethod
    def held(cls, root: Path | str) -> Workspace:
        """One that a job works in: moved away meanwhile, it is not made anew. Ask for it first."""
        workspace = cls(root)
        workspace.hold()
        return workspace

    def hold(self) -> None:
        """From now on mean this very folder, not what else may come to have its path."""
        self._held = self._identity()

    def is_present(self) -> bool:
        """Return whether the folder that was held is still at its path."""
        present = self._held is None or self._identity() == self._held
        if not present:
            self.was_away = True
        return present

    def check_present(self) -> None:
        """Refuse to go on without the folder that was held, or after a newer version wrote to it.

        Raises:
            MachineError: it was moved or deleted, and perhaps another one is in its place.
            UserError: see `check_format`.
        """
        self._checked()

    def _checked(self) -> int:
        if not self.is_present():
            raise MachineError(
                f"The workspace {self.root} no longer exists: it was moved, renamed or "
                "deleted. Restore it, or stop the server and start it with the new path."
            )
        return check_format(self.root)

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.root)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @property
    def base_models(self) -> Path:
        """Local base models, one folder each."""
        return self.root / "models" / "base"

    @property
    def runs(self) -> Path:
        """Run directories, one folder each; the user may delete any of them at any time."""
        return self.root / "models" / "cpt"

    @property
    def corpora(self) -> Path:
        """Built corpora, one folder each."""
        return self.root / "corpora"

    @property
    def exports(self) -> Path:
        """Models made for other programs, one folder each."""
        return self.root / "exports"

    @property
    def facts(self) -> Path:
        """Ledgers of facts that models are asked, one folder each."""
        return self.root / "facts"

    @property
    def studies(self) -> Path:
        """What corpora were made of that were written from other corpora, one folder each."""
        return self.root / "study"

    @property
    def private(self) -> Path:
        """The studio's own files, readable by the user alone."""
        return self.root / _PRIVATE

    def run(self, name: str) -> Path:
        """Return the directory of the run with this name."""
        return self.runs / check_name(name, "run")

    def corpus(self, name: str) -> Path:
        """Return the directory of the corpus with this name."""
        return self.corpora / check_name(name, "corpus")

    def study(self, name: str) -> Path:
        """Return the directory of what was written for the corpus with this name."""
        return self.studies / check_name(name, "corpus")

    def base_model(self, name: str) -> Path:
        """Return the directory of the local base model with this name."""
        return self.base_models / check_name(name, "model")

    def export(self, name: str) -> Path:
        """Return the directory of the export with this name."""
        return self.exports / check_name(name, "export")

    def run_names(self) -> list[str]:
        """Return the names of the run directories that are there, sorted."""
        return folder_names(self.runs)

    def corpus_names(self) -> list[str]:
        """Return the names of the corpora that are there, sorted."""
        names = folder_names(self.corpora)
        return [name for name in names if not is_never_built(self.corpora / name)]

    def base_model_names(self) -> list[str]:
        """Return the names of the local base models that are there, sorted."""
        return folder_names(self.base_models)

    def export_names(self) -> list[str]:
        """Return the names of the exports that are there, sorted."""
        return folder_names(self.exports)

    def make(self, folder: Path, mode: int = 0o755) -> Path:
        """Create a folder of this workspace, with its parents, and return it.

        Raises:
            UserError: it cannot be created, or a newer version has written to the workspace.
        """
        folder.relative_to(self.root)
        if self._checked() < FORMAT:
            # A full disk says so at what is written next; deleting makes room on it without.
            with suppress(OSError):
                self.private.mkdir(parents=True, exist_ok=True, mode=0o700)
                note = {"format": FORMAT, "written_by": __version__}
                durable.write_json(self.private / _FORMAT_FILE, note, mode=0o600)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=mode)
        except OSError as error:
            said = f"Could not create {folder}: {error.strerror}."
            raise machine_error(error) or UserError(said) from None
        return folder


def is_never_built(corpus: Path) -> bool:
    """Whether all that lies in a corpus's folder is what a first build left that did not end."""
    versions = corpus / "versions"
    try:
        if (corpus / "manifest.json").exists() or not (corpus / BUILD_LOCK).exists():
            return False
        return not versions.exists() or all(
            durable.is_staging_name(entry.name) for entry in versions.iterdir()
        )
    except OSError:
        return False


def folder_names(parent: Path) -> list[str]:
    """Return the names of the folders in one that match `NAME_PATTERN`, sorted."""
    try:
        entries = list(os.scandir(parent))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        entry.name
        for entry in entries
        if NAME_PATTERN.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
    )
