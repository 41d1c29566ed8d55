"""What a saved merge says of itself: a small file beside its weights. Imports no MLX."""

from __future__ import annotations

from pathlib import Path

from cptstudio import durable
from cptstudio.errors import UserError

RECORD = "cptstudio_merge.json"


def write_merge_record(folder: Path, label: str) -> None:
    """Note in a model's folder that it is the sum that the label names."""
    durable.write_json(folder / RECORD, {"merge": label})


def read_merge_record(folder: Path) -> str | None:
    """Which sum a model is, such as "0.5 of first@step-00000200"; None where it is no merge."""
    try:
        value = durable.read_json(folder / RECORD, durable.MEBIBYTE)
    except (FileNotFoundError, UserError, OSError):
        return None
    label = value.get("merge") if isinstance(value, dict) else None
    return label if isinstance(label, str) and label else None
