"""The studio's own settings of a workspace: `.cpt-studio/settings.json`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.validation import ReadsNumbers, sentences

_FILE = "settings.json"


class Preferences(ReadsNumbers):
    """What the user prefers, whatever is trained."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    detect: bool = Field(
        True,
        title="Look for training started elsewhere",
        description="List processes on this machine that train with mlx_lm and its kin.",
    )
    prevent_sleep: bool = Field(
        True,
        title="Stay awake while training",
        description="Keep the machine from sleeping while a run is active.",
    )
    keep_last: int = Field(
        2,
        ge=2,
        le=1000,
        title="Checkpoints to keep",
        description="How many of a new run's last checkpoints stay; each run may say otherwise.",
    )
    keep_every: int = Field(
        0,
        ge=0,
        title="Checkpoints to keep for good",
        description="A new run's checkpoints at multiples of so many steps stay; 0: none.",
        json_schema_extra={"unit": "steps"},
    )
    unload_after_minutes: int = Field(
        10,
        ge=1,
        le=10_080,
        title="Unload models when idle",
        description="Models loaded for testing leave memory when nothing was asked for so long.",
        json_schema_extra={"unit": "minutes"},
    )


def read_preferences(private: Path) -> Preferences:
    """The preferences; the defaults where nothing was saved.

    Raises:
        UserError: the file is there but cannot be used.
    """
    path = private / _FILE
    try:
        return Preferences.model_validate(durable.read_json(path, durable.MEBIBYTE))
    except FileNotFoundError:
        return Preferences()
    except ValidationError as error:
        raise UserError(f"{path} cannot be used:", sentences(error, Preferences)) from None


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
