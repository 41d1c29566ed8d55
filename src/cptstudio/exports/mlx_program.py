"""Makes an MLX folder as a job: `python -m cptstudio.exports.mlx_program`, see `job_programs`.

Request: that of `asked.request_for`, with "dtype" (the main type of a fused model; null: the base's
own), "onto" (a folder to put the adapter on in place of its base, or null) and "packing" (see
`lm.packings`; null: fused, not packed), and perhaps "transformers" (path of a Python that has it,
which loads the folder, too). The result is the export's record.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch

if __name__ == "__main__":
    leave_out_torch()

import sys
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference, reference_of
from cptstudio.evaluation.results import Results
from cptstudio.exports.comparison import compare, prove
from cptstudio.exports.folders import new_folder, write_folder
from cptstudio.exports.gain import gain_of
from cptstudio.exports.mlx_answers import ask_mlx_lm
from cptstudio.exports.records import new_record, write_export
from cptstudio.exports.reference_making import reference_for
from cptstudio.exports.sources import check_base, original_of
from cptstudio.exports.transformers_answers import ask_transformers, look_at
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.description import describe_model, is_quantized
from cptstudio.lm.fusing import fuse
from cptstudio.lm.packing import pack
from cptstudio.lm.packings import Packing
from cptstudio.models.library import ModelLibrary
from cptstudio.validation import checked
from cptstudio.workspace import Workspace


def make(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Fuse, pack, load back, compare, and give the folder its name; returns its record."""
    use_fast_blas(enabled=request.get("fast_blas", True))
    workspace = Workspace.held(request["workspace"])
    source, folder = reference_of(request["source"]), Path(request["folder"])
    onto = Path(request["onto"]) if request["onto"] else None
    packing = checked(Packing, **request["packing"]) if request["packing"] else None
    other = look_at(Path(request["transformers"])) if request.get("transformers") else None
    if onto is not None and source.adapter is None:
        raise UserError.at(
            "onto", f"{source.label} is a complete model: there is no adapter to put on another."
        )
    answer.progress(phase="checking the base model")
    check_base(source, workspace)
    fused = fuse(source.model, source.adapter, onto)
    packed = pack(fused, packing) if packing is not None else None
    collected = packed.collected if packed else fused.collected(request["dtype"])
    identity = Results(workspace).identity(source.model, source.adapter)
    reference = reference_for(request, answer)
    with new_folder(workspace, folder) as staged:
        files = write_folder(collected, staged, answer, f"writing {folder.name}")
        about = describe_model(staged)
        bits = 8 * about.bytes / about.parameters
        found = [ask_mlx_lm(staged, reference, answer)]
        if other is not None:
            found.append(ask_transformers(other, staged, reference, answer))
        gain = gain_of(source)
        proofs = [
            prove(compare(reference, one, size=about.bytes, bits_per_weight=bits), gain)
            for one in found
        ]
        record = new_record(
            source,
            identity,
            files,
            format="mlx",
            weights=packing.words if packing else about.dtype,
            settings={
                "dtype": request["dtype"],
                "onto": str(onto) if onto else None,
                "packing": packing.model_dump() if packing else None,
            },
            bytes=about.bytes,
            parameters=about.parameters,
            bits_per_weight=bits,
            notes=_notes(source, onto, packed.left if packed else [], workspace),
            proof=proofs[0].model_dump(),
            more_proofs=[one.model_dump() for one in proofs[1:]],
            versions={f"{name} of {other.program}": v for name, v in other.versions.items()}
            if other
            else {},
        )
        write_export(staged, record)
        answer.progress(phase="flushing to the disk")
    return {"name": folder.name, **record.model_dump(mode="json")}


def _notes(
    source: ModelReference, onto: Path | None, left: list[str], workspace: Workspace
) -> list[str]:
    notes = []
    quantization = is_quantized(source.model)
    if onto is not None:
        notes.append(
            f"The adapter was trained on {source.model.name} and is put on {onto.name} here: the "
            "comparison tells how far that is from the trained model."
        )
    elif quantization is not None:
        bits = f"{quantization.bits}-bit" if quantization.bits else quantization.method
        named, here = original_of(source.model, ModelLibrary(workspace))
        sentence = (
            f"The base is {bits}. Its weights were unpacked, so the export is larger but no more "
            "exact than they were."
        )
        if source.adapter is not None and named is not None:
            where = f"at {here.path}: put the adapter on it" if here else "not here: download it"
            sentence += f" The original, {named}, is {where} to compare."
        notes.append(sentence)
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        notes.append(f"Not packed, because the groups do not divide their widths: {left[0]}{more}.")
    return notes


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Do what the request says."""
    return make(request, answer)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
