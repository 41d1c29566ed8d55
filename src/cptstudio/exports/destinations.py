"""Where an export can be put: LM Studio's folder of models, and Ollama."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cptstudio import durable
from cptstudio.errors import UserError, machine_error
from cptstudio.export_files import EXPORT, ExportRecord
from cptstudio.exports.ollama import MODELFILE, create_command, ollama_program

_PUBLISHER: Final = "cpt-studio"
# lmstudio.ai/docs/app/basics/import-model: models/PUBLISHER/MODEL/FILES. The second is older.
_PLACES: Final = (".lmstudio/models", ".cache/lm-studio/models")
_POINTER: Final = ".lmstudio-home-pointer"


def lm_studio_folder(home: Path | None = None) -> Path | None:
    """Return LM Studio's folder of models where it exists.

    Args:
        home: the user's; None for this user's.
    """
    home = Path.home() if home is None else home
    try:
        named = Path((home / _POINTER).read_text(encoding="utf-8").strip()) / "models"
        if named.is_dir():
            return named
    except (OSError, ValueError):
        pass
    return next((home / place for place in _PLACES if (home / place).is_dir()), None)


def put_into_lm_studio(
    export: Path,
    record: ExportRecord,
    more: Callable[[int], None] = lambda size: None,
    home: Path | None = None,
) -> Path:
    """Make an export a model of LM Studio; returns its folder there.

    Files become links to the same bytes where the file system has them, and copies otherwise.

    Args:
        more: told the bytes of each file that is there.

    Raises:
        UserError: LM Studio's folder is not there, the model is, or the disk refuses.
    """
    models = lm_studio_folder(home)
    if models is None:
        raise UserError(
            "LM Studio's folder of models is not there (.lmstudio/models in your home folder): "
            "start LM Studio once, then try again."
        )
    target = models / _PUBLISHER / export.name
    if target.exists():
        raise UserError(f"{target} already exists. Delete it in LM Studio first.")
    names = [name for name in record.files if name not in (EXPORT, MODELFILE)]
    staged = durable.staging_path(target)
    try:
        target.parent.mkdir(exist_ok=True)
        staged.mkdir()
        for name in names:
            _link_or_copy(export / name, staged / name)
            more(record.files[name])
        os.rename(staged, target)
    except OSError as error:
        said = f"{target} cannot be written: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return target


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        durable.check_room(target.parent, source.stat().st_size, "The copy for LM Studio")
        shutil.copyfile(source, target)


def put_into_ollama(export: Path, name: str) -> None:
    """Make an export a model of Ollama, which is asked by its own program.

    Raises:
        UserError: it is not installed, the export has no Modelfile, or Ollama refuses it.
    """
    program = ollama_program()
    if program is None:
        raise UserError("Ollama is not installed here: its program `ollama` is not on the PATH.")
    if not (export / MODELFILE).exists():
        raise UserError(f"{export.name} is no GGUF export: it has no {MODELFILE}.")
    made = subprocess.run(
        [program, *create_command(name)[1:]], cwd=export, capture_output=True, text=True
    )
    if made.returncode:
        lines = (made.stderr or made.stdout).strip().splitlines()
        raise UserError(f"Ollama refused the model: {lines[-1] if lines else 'no reason given'}")
