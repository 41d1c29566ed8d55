"""The studio's own settings of a workspace: `.cpt-studio/settings.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.settings import CheckpointSettings
from cptstudio.validation import ReadsNumbers, field_of, sentences

_FILE = "settings.json"


def _of_new_runs(name: str, title: str) -> Any:
    """What new runs have as this setting of their checkpoints; each may say otherwise."""
    help = CheckpointSettings.model_fields[name].description
    return field_of(
        CheckpointSettings, name, title=title, description=f"Default for new runs. {help}"
    )


class Preferences(ReadsNumbers):
    """The user's preferences for all runs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    detect: bool = Field(
        True,
        title="Detect other training",
        description="Show mlx_lm and similar training processes on this machine.",
    )
    prevent_sleep: bool = Field(
        True,
        title="Prevent sleep while training",
        description="Keep this machine awake while a run is active.",
    )
    keep_last: int = _of_new_runs("keep_last", "Checkpoints to keep")
    keep_every: int = _of_new_runs("keep_every", "Keep every N steps permanently")
    unload_after_minutes: int = Field(
        10,
        ge=1,
        le=10_080,
        title="Unload models when idle",
        description="Unload models after this many idle minutes.",
        json_schema_extra={"unit": "minutes"},
    )


def read_preferences(private: Path) -> Preferences:
    """Return the preferences; the defaults where nothing was saved.

    Raises:
        UserError: the file is there but cannot be used.
    """
    path = private / _FILE
    try:
        return Preferences.model_validate(durable.read_json(path, durable.MEBIBYTE))
    except FileNotFoundError:
        return Preferences()
    except ValidationError as error:
        raise UserError(f"{path} has invalid settings:", sentences(error, Preferences)) from None


def write_preferences(private: Path, preferences: Preferences) -> None:
    """Save the preferences, keeping keys that other parts of the studio store there."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = private / _FILE
    try:
        stored = durable.read_json(path, durable.MEBIBYTE)
    except FileNotFoundError:
        stored = {}
    if not isinstance(stored, dict):
        stored = {}
    durable.write_json(path, stored | preferences.model_dump(), mode=0o600)
