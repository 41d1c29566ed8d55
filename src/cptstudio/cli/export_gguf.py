"""`cpt-studio export gguf` and what belongs to it: the converter, Ollama, LM Studio."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.child_limits import for_files
from cptstudio.cli.common import JsonOption, WorkspaceOption, console, print_json
from cptstudio.cli.export import (
    CorpusOption,
    NameOption,
    OntoOption,
    SourceArgument,
    app,
    print_export,
)
from cptstudio.cli.measured import FastBlasOption
from cptstudio.cli.programs import run_program
from cptstudio.cli.setting_options import with_field_options
from cptstudio.evaluation.references import resolve_reference
from cptstudio.export_files import ExportRecord, read_export
from cptstudio.exports.asked import export_folder
from cptstudio.exports.converter import Converter
from cptstudio.exports.destinations import put_into_lm_studio, put_into_ollama
from cptstudio.exports.gguf_request import GgufCompared, gguf_request
from cptstudio.exports.gguf_types import GgufType
from cptstudio.exports.programs import MAKE_CONVERTER, MAKE_GGUF
from cptstudio.lm.description import resolve_model
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

commands = app  # Those of `export`, with these.


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="An export's name.")]


@app.command("gguf")
@with_field_options(GgufCompared, flags={"side": "--split"})
def gguf(
    model: SourceArgument,
    name: NameOption,
    kind: Annotated[
        GgufType, typer.Option("--type", "-t", help="Type of most weights.", case_sensitive=False)
    ] = "Q8_0",
    llama_cpp: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of an installed llama.cpp to load the file with (default: one on the "
            "PATH, otherwise the converter's own).",
        ),
    ] = None,
    onto: OntoOption = None,
    corpora: CorpusOption = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make a GGUF file for llama.cpp, Ollama and LM Studio (an adapter is fused in first).

    llama.cpp loads the file, and its output, tokens and chat template are compared with those of
    the checkpoint. K-quants (Q4_K_M, Q5_K_M, Q6_K) need rows of a multiple of 256 weights; other
    tensors get the nearest type that fits, which the report lists. Install the converter first:
    `cpt-studio export converter --install`.

    Examples:
    - `cpt-studio export gguf first --name first-Q8_0`

    - `cpt-studio export gguf first@best --name first-Q4_K_M --type Q4_K_M`
    """
    place = Workspace(workspace)
    folder = export_folder(place, name)
    source = resolve_reference(model, place)
    compared = checked(GgufCompared, **given)
    request = gguf_request(source, folder, kind, compared, corpora or [], place, llama_cpp)
    request["onto"] = resolve_model(onto, place.base_models) if onto else None
    result = run_program(MAKE_GGUF, {**request, "fast_blas": fast_blas}, quiet=as_json)
    if as_json:
        print_json(result)
        return
    record = ExportRecord.model_validate(result)
    print_export(name, record)
    console.print(_types(record))
    console.print(f"The export is in {folder}.", soft_wrap=True)


def _types(record: ExportRecord) -> Table:
    table = Table(title="Types of the tensors")
    for title in ("Type", "Tensors", "Largest relative error"):
        table.add_column(title, justify="left" if title == "Type" else "right")
    tensors = record.settings["tensors"]
    for kind, count in Counter(one["type"] for one in tensors).most_common():
        errors = [one["error"] for one in tensors if one["type"] == kind and one["error"]]
        table.add_row(kind, str(count), f"{max(errors):.2%}" if errors else "")
    return table


@app.command("converter")
def converter(
    install: Annotated[bool, typer.Option("--install", help="Install it.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it.")] = False,
    agreed: Annotated[
        bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")
    ] = False,
    torch_from: Annotated[
        str | None,
        typer.Option(
            metavar="URL|FOLDER",
            help="Package index or folder with PyTorch's CPU build, if pip's own index does not "
            "have it.",
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show, install or remove llama.cpp's converter for this workspace.

    The converter has its own Python environment of pinned packages, including PyTorch.

    Examples:
    - `cpt-studio export converter`

    - `cpt-studio export converter --install`
    """
    place = Workspace(workspace)
    found = Converter(place)
    if remove:
        size = found.remove()
        console.print(f"Removed the converter; {size / 1e6:,.0f} MB freed.")
        return
    state = found.state()
    if install and not state.ready and state.packages:
        if not agreed:
            typer.confirm(
                f"Download {len(state.packages)} packages ({state.download / 1e6:,.0f} MB) and "
                f"install them in {found.folder}?",
                abort=True,
            )
        request = {"workspace": place.root, "torch_from": torch_from}
        run_program(MAKE_CONVERTER, request, quiet=as_json, limits=for_files())
        state = found.state()
    if as_json:
        print_json({**asdict(state), "packages": [asdict(one) for one in state.packages]})
        return
    if state.ready:
        console.print(f"Installed in {found.folder}: {(state.bytes or 0) / 1e6:,.0f} MB.")
        return
    console.print(escape(state.why), soft_wrap=True)
    if not state.packages:
        raise typer.Exit(1)
    table = Table()
    for title in ("Package", "Version", "License", "MB"):
        table.add_column(title, justify="right" if title == "MB" else "left")
    for one in sorted(state.packages, key=lambda one: -one.size):
        table.add_row(one.package, one.version, one.license, f"{one.size / 1e6:,.1f}")
    console.print(table)
    console.print(f"{state.download / 1e6:,.0f} MB to download in total.")


@app.command("ollama")
def ollama(
    name: NameArgument,
    called: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The model's name in Ollama.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Add a GGUF export to Ollama, which must be installed and running.

    Example: `cpt-studio export ollama first-Q8_0`
    """
    place = Workspace(workspace)
    read_export(place.export(name))
    put_into_ollama(place.export(name), called or name.lower())
    console.print(f"Ollama has it: `ollama run {called or name.lower()}`.")


@app.command("lm-studio")
def lm_studio(name: NameArgument, workspace: WorkspaceOption = Path()) -> None:
    """Add an export to LM Studio's models folder.

    Example: `cpt-studio export lm-studio first-Q8_0`
    """
    place = Workspace(workspace)
    folder = put_into_lm_studio(place.export(name), read_export(place.export(name)))
    console.print(f"LM Studio has it in {folder}.", soft_wrap=True)
