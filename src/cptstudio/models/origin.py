"""Where a model of the workspace was downloaded from: a small file beside its weights."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cptstudio import durable
from cptstudio.errors import UserError

ORIGIN = "cptstudio_origin.json"


class Origin(BaseModel):
    """A model's place on the hub.

    Attributes:
        id: such as "Qwen/Qwen3-0.6B-Base".
        commit: 40 hexadecimal digits.
        revision: what was asked for, such as "main".
        downloaded: Unix seconds.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    commit: str
    revision: str
    downloaded: float


def read_origin(folder: Path) -> Origin | None:
    """Return a model folder's origin, if it was downloaded by this studio."""
    try:
        return Origin.model_validate(durable.read_json(folder / ORIGIN, durable.MEBIBYTE))
    except (FileNotFoundError, UserError, ValidationError):
        return None
