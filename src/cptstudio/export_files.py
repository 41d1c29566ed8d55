"""An export's folder: its names, its record, and how to read it.

    <workspace>/exports/<name>/
        export.json       from what it was made, how, and what its proof found; written last
        ...               a model folder for mlx-lm, or the files of another program

A folder without export.json is none: it was begun, or is somebody else's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cptstudio.durable import UnusableFileError, read_json
from cptstudio.errors import UserError
from cptstudio.validation import sentences

EXPORT: Final = "export.json"
REFERENCE_PREFIX: Final = "exports/"
"""Begins what names an export where models are named, such as "exports/mine-q4"."""


class _Stored(BaseModel):
    # A later version may say more; what it says does not make the export unreadable here.
    model_config = ConfigDict(extra="ignore", frozen=True)


class ExportSource(_Stored):
    """The source of an export.

    Attributes:
        reference: what names it, such as "first@step-00000200".
        folder: of the checkpoint or model, as it was then.
        base: folder of the base model, where the source is an adapter.
        hashes: SHA-256 of what was read, by what it is of.
    """

    reference: str
    folder: str
    base: str | None = None
    hashes: dict[str, str] = Field(default_factory=dict)


class ExportRecord(_Stored):
    """export.json.

    Attributes:
        created: Unix seconds.
        format: "mlx", a model folder that mlx-lm loads; or "gguf".
        weights: how the weights are stored, as the format calls it: "bfloat16", "4-bit", "Q4_K_M".
        settings: what was chosen.
        versions: of the programs that made it.
        files: bytes of each file, by its name in the folder.
        hashes: SHA-256 of each of them.
        bytes: of its weights.
        parameters: weights, packed ones unpacked.
        bits_per_weight: of all weights together.
        notes: what a user should know, a sentence each.
        proof: what was found when it was loaded back, an `exports.comparison.Proof`; None where
            that was not done.
        more_proofs: the same by other programs that were asked as well.
    """

    format_version: Literal[1] = 1
    created: float
    format: Literal["mlx", "gguf"]
    weights: str
    source: ExportSource
    settings: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    files: dict[str, int] = Field(default_factory=dict)
    hashes: dict[str, str] = Field(default_factory=dict)
    bytes: int | None = None
    parameters: int | None = None
    bits_per_weight: float | None = None
    notes: list[str] = Field(default_factory=list)
    proof: dict[str, Any] | None = None
    more_proofs: list[dict[str, Any]] = Field(default_factory=list)


def read_export(folder: Path) -> ExportRecord:
    """Return what an export says of itself.

    Raises:
        UnusableFileError: there is no export.json, or it is none.
    """
    file = folder / EXPORT
    try:
        return ExportRecord.model_validate(read_json(file))
    except FileNotFoundError:
        raise UnusableFileError(file, "is not there, so the export is not complete") from None
    except ValidationError as error:
        raise UserError(f"{file} is not valid:", sentences(error, ExportRecord)) from None
