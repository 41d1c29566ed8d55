"""A study's folder: what was asked, every text that was written, those that were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.workspace import Workspace, folder_names

ASKED: Final = "study.json"
TEXTS: Final = "texts.jsonl"
REPORT: Final = "report.json"
FORMAT: Final = 1


def read_study(folder: Path) -> dict[str, Any]:
    """Return what was asked for: "corpus", "settings", "writer", and when.

    Raises:
        UserError: there is no such study, or its file is damaged.
    """
    try:
        found = durable.read_json(folder / ASKED)
    except FileNotFoundError:
        raise UserError(f"There are no study texts called {folder.name!r}.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(f"{folder / ASKED} is damaged, or of another version.")
    return found


def read_report(folder: Path) -> dict[str, Any] | None:
    """Return what was kept and dropped at the last time, or None before there was one."""
    try:
        found = durable.read_json(folder / REPORT)
    except (FileNotFoundError, durable.UnusableFileError):
        return None
    return found if isinstance(found, dict) else None


def study_names(workspace: Workspace) -> list[str]:
    """Return the names of the studies of a workspace, sorted."""
    return [
        name
        for name in folder_names(workspace.studies)
        if (workspace.study(name) / ASKED).is_file()
    ]
