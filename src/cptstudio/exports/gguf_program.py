"""Makes a GGUF file as a job: `python -m cptstudio.exports.gguf_program`, see `job_programs`.

Request: that of `asked.request_for`, with "type" (see `gguf_types`), "onto" (a folder to put the
adapter on in place of its base, or null) and "llama_cpp" (that of an installed one, or null). The
result is the export's record.
"""

from __future__ import annotations

from cptstudio.light_imports import leave_out_torch

if __name__ == "__main__":
    leave_out_torch()

import math
import shutil
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from cptstudio import durable, job_programs
from cptstudio.corpus.conversations.chat_templates import TemplateRenderer
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference, reference_of
from cptstudio.evaluation.results import Results
from cptstudio.export_files import ExportRecord
from cptstudio.exports.comparison import Answers, Reference, compare, prove
from cptstudio.exports.converter import Converter
from cptstudio.exports.folders import files_in, new_folder, write_folder
from cptstudio.exports.gain import gain_of
from cptstudio.exports.gguf_answers import ask_llama_cpp, context_for
from cptstudio.exports.gguf_checks import (
    SourceTokenizer,
    check_fields,
    check_splitting,
    read_tokenizer,
)
from cptstudio.exports.gguf_conversion import Conversion, GgufContents, check_architecture
from cptstudio.exports.gguf_types import (
    CONVERTED,
    GGUF_TYPES,
    GgufType,
    estimated_bytes,
    float_type,
)
from cptstudio.exports.llama_cpp import COMPUTED, LlamaCpp, NotLoadedError, installed_server
from cptstudio.exports.ollama import MODELFILE, modelfile
from cptstudio.exports.ollama_template import Messages, Render
from cptstudio.exports.records import new_record, write_export
from cptstudio.exports.reference_making import reference_for
from cptstudio.exports.sources import check_base
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.blas import use_fast_blas
from cptstudio.lm.description import ModelDescription, describe_model
from cptstudio.lm.fusing import fuse
from cptstudio.workspace import Workspace

_NOT_ROUNDING = 0.02
"""Nats, on average; the largest of an architecture that is converted right was 4e-4."""
_WORK = ".work"
"""Folder of what is needed meanwhile, in the staging folder, so that it vanishes with it."""


def make(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Fuse, convert, quantize, load back, compare, and give the folder its name."""
    use_fast_blas(enabled=request.get("fast_blas", True))
    workspace = Workspace.held(request["workspace"])
    source, folder = reference_of(request["source"]), Path(request["folder"])
    kind: GgufType = request["type"]
    onto = Path(request["onto"]) if request.get("onto") else None
    if kind not in GGUF_TYPES:
        raise UserError.at("type", f"{kind!r} is none of the types {', '.join(GGUF_TYPES)}.")
    if onto is not None and source.adapter is None:
        raise UserError.at(
            "onto", f"{source.label} is a complete model: there is no adapter to put on another."
        )
    converter = Converter(workspace)
    converter.check_ready()
    llamas = _llamas(converter, request.get("llama_cpp"))
    answer.progress(phase="checking the model", final=True)
    check_base(source, workspace)
    check_architecture(source.model)
    about = describe_model(source.model)
    with new_folder(workspace, folder) as staged, closing(TemplateRenderer()) as renderer:
        work = staged / _WORK
        work.mkdir()
        packed = about.quantization is not None
        Conversion(converter.python, source.model, _sub(work, "check")).check(packed=packed)
        fused = _must_fuse(source, about)
        # The sum of a base and an adapter is rounded once, to the type that was asked for: in the
        # base's bfloat16 it is 0.02 nats off before that (SmolLM2-135M, 16 steps of lora).
        floats: GgufType = "F32" if fused else float_type(about.dtype)
        _check_room(staged, about, kind, floats, fused=fused)
        tokenizer = read_tokenizer(source.model)
        render = _render(tokenizer, renderer)
        reference = reference_for(request, answer)
        model = _complete(source, onto, about, work, answer)
        file = staged / _file_name(folder.name, kind)
        conversion = Conversion(converter.python, model, _sub(work, "convert"))
        contents = _convert(conversion, about, kind, floats, file, work, answer)
        differences = check_fields(tokenizer, contents.fields)
        if differences:
            raise UserError(
                f"The file is not the model, so it was not kept. {' '.join(differences)}"
            )
        said, notes = _asked(llamas, file, tokenizer, render, reference, answer)
        made = modelfile(file.name, tokenizer, render)
        durable.write_bytes(staged / MODELFILE, made.text.encode())
        shutil.rmtree(work)
        record = _record(request, staged, contents, said, reference, converter)
        record.notes.extend([*notes, *_types_note(contents, kind), *made.notes])
        write_export(staged, record)
        answer.progress(phase="flushing to the disk", final=True)
    return {"name": folder.name, **record.model_dump(mode="json")}


def _record(
    request: dict[str, Any],
    staged: Path,
    contents: GgufContents,
    said: Answers,
    reference: Reference,
    converter: Converter,
) -> ExportRecord:
    """What is kept of an export; without notes."""
    source, files = reference_of(request["source"]), files_in(staged)
    weights = sum(math.prod(tensor.shape) for tensor in contents.tensors)
    bits = 8 * sum(tensor.bytes for tensor in contents.tensors) / weights
    size = sum(file.size for name, file in files.items() if name.endswith(".gguf"))
    comparison = compare(reference, said, size=size, bits_per_weight=bits)
    if request["type"] == "F32" and comparison.mean_difference > _NOT_ROUNDING:
        raise UserError(
            f"llama.cpp computes another network of this file: its log-probabilities differ by "
            f"{comparison.mean_difference:.2g} nats from the checkpoint's, where rounding explains "
            "1e-4. The file was not kept. Export the model for MLX."
        )
    results = Results(Workspace(request["workspace"]))
    return new_record(
        source,
        results.identity(source.model, source.adapter),
        files,
        versions=converter.versions(),
        format="gguf",
        weights=request["type"],
        settings={
            "type": request["type"],
            "onto": request.get("onto"),
            "architecture": contents.fields["general.architecture"],
            "tensors": [
                {"name": one.name, "type": one.type, "shape": one.shape, "error": one.error}
                for one in contents.tensors
            ],
        },
        bytes=size,
        parameters=weights,
        bits_per_weight=bits,
        proof=prove(comparison, gain_of(source)).model_dump(),
    )


def _llamas(converter: Converter, named: str | None) -> list[LlamaCpp]:
    """Those that may load the file, the preferred one first."""
    server = installed_server(Path(named) if named else None)
    if named and server is None:
        raise UserError.at("llama_cpp", f"There is no llama-server in {named}.")
    found = [LlamaCpp(None, server, f"llama.cpp ({server})")] if server is not None else []
    if not named:
        version = converter.versions().get("xllamacpp", "")
        found.append(LlamaCpp(converter.python, None, f"llama.cpp (xllamacpp {version})"))
    return found


def _file_name(name: str, kind: GgufType) -> str:
    ends = name.lower().endswith(f"-{kind.lower()}")
    return f"{name[: -len(kind) - 1] if ends else name}-{kind}.gguf"


def _sub(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _must_fuse(source: ModelReference, about: ModelDescription) -> bool:
    return source.adapter is not None or about.quantization is not None


def _check_room(
    staged: Path, about: ModelDescription, kind: GgufType, floats: GgufType, *, fused: bool
) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        floats: type of the weights before they are packed.

    Raises:
        UserError: it has not.
    """
    parts = [estimated_bytes(about.parameters, kind)]
    if kind not in CONVERTED:
        parts.append(estimated_bytes(about.parameters, floats))
    if fused:
        parts.append(estimated_bytes(about.parameters, floats))
    durable.check_room(staged, sum(parts), "The export")


def _render(tokenizer: SourceTokenizer, renderer: TemplateRenderer) -> Render | None:
    template = tokenizer.template
    if template is None:
        return None

    def render(messages: Messages) -> str:
        return renderer.render(template, list(messages), tokenizer.variables)

    return render


def _complete(
    source: ModelReference,
    onto: Path | None,
    about: ModelDescription,
    work: Path,
    answer: TellsProgress,
) -> Path:
    """The folder of the whole model, with what was trained in it."""
    if not _must_fuse(source, about):
        return source.model
    fused = _sub(work, "fused")
    collected = fuse(source.model, source.adapter, onto).collected("float32")
    write_folder(collected, fused, answer, "fusing the adapter")
    return fused


def _convert(
    conversion: Conversion,
    about: ModelDescription,
    kind: GgufType,
    floats: GgufType,
    file: Path,
    work: Path,
    answer: TellsProgress,
) -> GgufContents:
    if kind in CONVERTED:
        conversion.convert(kind, file, estimated_bytes(about.parameters, kind), answer)
        return conversion.contents(file)
    between = work / "floats.gguf"
    conversion.convert(floats, between, estimated_bytes(about.parameters, floats), answer)
    errors = conversion.quantize(between, kind, file, answer)
    between.unlink()
    return conversion.contents(file, errors)


def _asked(
    llamas: list[LlamaCpp],
    file: Path,
    tokenizer: SourceTokenizer,
    render: Render | None,
    reference: Reference,
    answer: TellsProgress,
) -> tuple[Answers, list[str]]:
    """What llama.cpp says with the file loaded, and how it splits texts."""
    answer.progress(phase="loading the file with llama.cpp", final=True)
    told = []
    for llama in llamas[:-1]:
        try:
            return _asked_by(llama, file, tokenizer, render, reference, answer)
        except NotLoadedError as error:
            told.append(f"{llama.version} was not used: {error.message}")
    said, notes = _asked_by(llamas[-1], file, tokenizer, render, reference, answer)
    return said, [*told, *notes]


def _asked_by(
    llama: LlamaCpp,
    file: Path,
    tokenizer: SourceTokenizer,
    render: Render | None,
    reference: Reference,
    answer: TellsProgress,
) -> tuple[Answers, list[str]]:
    with llama.loaded(file, context_for(reference)) as server:

        def split(text: str, whole: bool) -> list[int]:
            return server.tokens_of(text, special=whole)

        notes = check_splitting(tokenizer, split, render)
        return ask_llama_cpp(server, llama.version, COMPUTED, reference, answer), notes


def _types_note(contents: GgufContents, kind: GgufType) -> list[str]:
    """Which types the matrices really have, where that is more than one."""
    matrices = [tensor for tensor in contents.tensors if len(tensor.shape) > 1]
    counts = Counter(tensor.type for tensor in matrices)
    if len(counts) < 2:
        return []
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    odd = [one for one in matrices if kind not in CONVERTED and one.shape[-1] % 256]
    why = (
        f" {len(odd)} have rows that are no multiple of 256 weights, such as {odd[0].name} with "
        f"{odd[0].shape[-1]}, so {kind} cannot hold them."
        if odd
        else ""
    )
    return [f"Types of the {len(matrices)} matrices: {told}.{why}"]


def work(request: dict[str, Any], answer: TellsProgress) -> dict[str, Any]:
    """Do what the request says."""
    return make(request, answer)


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
