"""A merged model's record of its origin: a small file beside its weights. Imports no MLX."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptstudio import durable
from cptstudio.errors import UserError

RECORD = "cptstudio_merge.json"


@dataclass(frozen=True)
class MergedPart:
    """One model of a sum.

    Attributes:
        label: its folder, or that of the adapter.
        weight: its factor; None where only the label tells.
    """

    label: str
    weight: float | None = None


@dataclass(frozen=True)
class MergeRecord:
    """Which sum of models a folder holds.

    Attributes:
        label: such as "0.5 of first@step-00000200".
        parts: the models; empty in records of before.
    """

    label: str
    parts: tuple[MergedPart, ...] = ()


def write_merge_record(folder: Path, record: MergeRecord) -> None:
    """Note in a model's folder which sum it is."""
    parts = [{"model": part.label, "weight": part.weight} for part in record.parts]
    durable.write_json(folder / RECORD, {"merge": record.label, "parts": parts})


def read_merge(folder: Path) -> MergeRecord | None:
    """Return what a model's folder says of its merge; None where it is none."""
    try:
        value = durable.read_json(folder / RECORD, durable.MEBIBYTE)
    except (FileNotFoundError, UserError, OSError):
        return None
    label = value.get("merge") if isinstance(value, dict) else None
    if not isinstance(label, str) or not label:
        return None
    listed = value.get("parts")
    parts = [_part(one) for one in (listed if isinstance(listed, list) else [])]
    return MergeRecord(label, tuple(part for part in parts if part is not None))


def _part(value: Any) -> MergedPart | None:
    model = value.get("model") if isinstance(value, dict) else None
    weight = value.get("weight") if isinstance(value, dict) else None
    if not isinstance(model, str) or not model:
        return None
    return MergedPart(model, float(weight) if isinstance(weight, int | float) else None)


def read_merge_record(folder: Path) -> str | None:
    """Which sum a model is, such as "0.5 of first@step-00000200"; None where it is no merge."""
    merge = read_merge(folder)
    return merge.label if merge else None
