"""Writing export.json, whose form is in `cptstudio.export_files`.

It is written last into the staging folder: a folder under exports/ that lacks it is none of ours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference
from cptstudio.export_files import EXPORT, ExportRecord, ExportSource, read_export
from cptstudio.exports.comparison import Proof
from cptstudio.run_files import FileRecord, write_record
from cptstudio.training.machine import installed_versions
from cptstudio.workspace import Workspace


def new_record(
    source: ModelReference, identity: str, files: Mapping[str, FileRecord], **facts: Any
) -> ExportRecord:
    """Return the record of an export that is being made, with the time and the versions.

    Args:
        identity: of the source's weights, see `evaluation.results.model_identity`.
        facts: the other fields; `versions` are added to those that are installed here.
    """
    versions = {**installed_versions(), **facts.pop("versions", {})}
    made_from = ExportSource(
        reference=source.label,
        folder=str(source.adapter or source.model),
        base=str(source.model) if source.adapter else None,
        hashes={"identity": identity},
    )
    return ExportRecord(
        created=time.time(),
        source=made_from,
        files={name: file.size for name, file in files.items()},
        hashes={name: file.sha256 for name, file in files.items()},
        versions=versions,
        **facts,
    )


def write_export(folder: Path, record: ExportRecord) -> None:
    """Write export.json."""
    write_record(folder / EXPORT, record)


def proof_of(record: ExportRecord) -> Proof | None:
    """Return what the comparison of an export found; None where there was none."""
    return Proof.model_validate(record.proof) if record.proof is not None else None


def more_proofs_of(record: ExportRecord) -> list[Proof]:
    """Return what other programs found that were asked as well."""
    return [Proof.model_validate(one) for one in record.more_proofs]


def exports_of(workspace: Workspace) -> dict[str, ExportRecord | UserError]:
    """Return all exports of a workspace by name; what cannot be read is told in its place."""
    found: dict[str, ExportRecord | UserError] = {}
    for name in workspace.export_names():
        try:
            found[name] = read_export(workspace.export(name))
        except (UserError, OSError) as error:
            found[name] = UserError(f"The export {name!r} cannot be read: {error}")
    return found
