"""The folder of an export while it is made: room is asked for, and it is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from cptstudio import durable
from cptstudio.errors import UserError, machine_error
from cptstudio.job_programs import TellsProgress, counted
from cptstudio.lm.saving import CollectedWeights
from cptstudio.run_files import FileRecord
from cptstudio.workspace import Workspace, check_new_name


@contextmanager
def new_folder(workspace: Workspace, folder: Path) -> Iterator[Path]:
    """Yield a staging folder that becomes the export when the block ends well, and vanishes if not.

    Raises:
        UserError: the name is taken, or the disk refuses.
    """
    workspace.make(folder.parent)
    _sweep(folder.parent)
    check_new_name(folder, "export")
    staged = durable.staging_path(folder)
    try:
        staged.mkdir()
        yield staged
        if folder.exists() or folder.is_symlink():
            raise UserError(f"{folder} already exists; choose another name.")
        durable.commit_directory(staged, folder)
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}. Nothing was saved."
        raise machine_error(error) or UserError(said) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sweep(exports: Path) -> None:
    """Remove what exports left that were killed before they could clean up."""
    for entry in exports.iterdir():
        pid = durable.staging_pid(entry.name)
        if pid is not None and not psutil.pid_exists(pid):
            shutil.rmtree(entry, ignore_errors=True)


def write_folder(
    collected: CollectedWeights, folder: Path, answer: TellsProgress, phase: str
) -> dict[str, FileRecord]:
    """Write a model into an existing folder, with progress in bytes.

    Returns:
        Size and SHA-256 of all files, by name.

    Raises:
        UserError: the disk has no room for it; nothing was written.
    """
    weights = [tensor for file in collected.weights.values() for tensor in file.values()]
    total = sum(tensor.bytes for tensor in weights)
    copies = sum(file.stat().st_size for file in collected.copies)
    durable.check_room(folder, total + copies, "The export")
    tell = counted(answer, phase, "bytes")

    def going_on() -> None:
        there = (folder / name for name in collected.weights)
        done = sum(file.stat().st_size for file in there if file.exists())
        tell(min(done, total), total)

    records = collected.write(folder, going_on)
    tell(total, total)
    return records | files_in(folder, known=records)


def files_in(folder: Path, known: dict[str, FileRecord] | None = None) -> dict[str, FileRecord]:
    """Return size and SHA-256 of the files in a folder that are not known yet, by name."""
    return {
        file.name: FileRecord(size=file.stat().st_size, sha256=durable.sha256_of_file(file))
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name not in (known or {})
    }
