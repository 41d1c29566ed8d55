"""`cpt-studio export`: models for other programs, each compared with its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, print_json
from cptstudio.cli.measured import FastBlasOption
from cptstudio.cli.programs import run_program
from cptstudio.cli.setting_options import with_field_options
from cptstudio.errors import UserError
from cptstudio.evaluation.references import resolve_reference
from cptstudio.export_files import ExportRecord, read_export
from cptstudio.exports.asked import Compared, export_folder, request_for
from cptstudio.exports.comparison import Proof, signed
from cptstudio.exports.programs import MAKE_MLX
from cptstudio.exports.records import exports_of, more_proofs_of, proof_of
from cptstudio.exports.transformers_answers import look_at
from cptstudio.lm.description import resolve_model
from cptstudio.lm.packings import Packing
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Make models for other programs: fused, quantized or GGUF, each compared with its "
    "checkpoint.\n\n"
    "An export is a folder, exports/NAME. It is loaded back by the program it is for and compared "
    "with the checkpoint: greedy texts, bits per byte, log-probabilities, size and speed. The "
    "comparison is kept in its export.json.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

SourceArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A run, RUN@best or RUN@200; or a base model."),
]
NameOption = Annotated[
    str, typer.Option("--name", "-n", metavar="NAME", help="The export's folder: exports/NAME.")
]
CorpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        "-c",
        help="Corpus whose held-out text is compared; repeat for more.",
        show_default="the run's domain corpora",
    ),
]
OntoOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Put the adapter on this model instead of its base, such as the original of a 4-bit "
        "base.",
    ),
]


class _PackedAndCompared(Packing, Compared):
    """The options of `export quantize`."""


@app.command("fuse")
@with_field_options(Compared, flags={"side": "--split"})
def fuse(
    model: SourceArgument,
    name: NameOption,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option("--type", help="Type of the weights.", show_default="the base's"),
    ] = None,
    onto: OntoOption = None,
    corpora: CorpusOption = None,
    transformers: Annotated[
        Path | None,
        typer.Option(
            metavar="PYTHON",
            help="Load the export with transformers too: a Python that has it with PyTorch, or the "
            "folder of its virtual environment.",
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Fuse an adapter into its base: one complete model folder, in the base's own type.

    mlx-lm, LM Studio and transformers load the result directly. A 4-bit base is unpacked,
    because packing the sum again with the same bits rounds away most of what was learned. If
    the result is too large, quantize it with more bits and check what that costs.

    Examples:
    - `cpt-studio export fuse first --name first-fused`

    - `cpt-studio export fuse first@best --name first-f32 --type float32`

    - `cpt-studio export fuse first --name first-fused --transformers ~/hf/bin/python`
    """
    place = Workspace(workspace)
    request = _request(model, name, onto, corpora, checked(Compared, **given), place)
    if transformers is not None:
        request["transformers"] = str(look_at(transformers).program)
    _run({**request, "dtype": dtype, "packing": None, "fast_blas": fast_blas}, as_json)


@app.command("quantize")
@with_field_options(_PackedAndCompared, flags={"mode": "--format", "side": "--split"})
def quantize(
    model: SourceArgument,
    name: NameOption,
    onto: OntoOption = None,
    corpora: CorpusOption = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Quantize a model for MLX (an adapter is fused in first), and measure what that costs.

    4 bits in groups of 64 take 4.5 bits per weight. If the table warns that much of what
    training gained is lost, use more bits, smaller groups or a mixed recipe.

    Examples:
    - `cpt-studio export quantize first --name first-4bit`

    - `cpt-studio export quantize first --name first-6bit --bits 6`

    - `cpt-studio export quantize first --name first-mixed --recipe mixed_4_6`

    - `cpt-studio export quantize first --name first-mxfp4 --format mxfp4`
    """
    place = Workspace(workspace)
    options = checked(_PackedAndCompared, **given)
    compared = Compared(**options.model_dump(include=set(Compared.model_fields)))
    packing = options.model_dump(include=set(Packing.model_fields))
    request = _request(model, name, onto, corpora, compared, place)
    _run({**request, "dtype": None, "packing": packing, "fast_blas": fast_blas}, as_json)


@app.command("list")
def list_exports(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the exports of the workspace, with their size and what they lose in bits per byte.

    Example: `cpt-studio export list`
    """
    found = exports_of(Workspace(workspace))
    if as_json:
        print_json([_facts(name, one) for name, one in found.items()])
        return
    if not found:
        console.print("There are no exports yet: see `cpt-studio export fuse --help`.")
        return
    table = Table()
    for title in ("Export", "From", "Weights", "MB", "Bits/weight", "Bits/byte lost", ""):
        table.add_column(title, justify="right" if title[:2] in ("MB", "Bi") else "left")
    for name, one in found.items():
        if isinstance(one, UserError):
            console.print(escape(one.message), soft_wrap=True)
            continue
        proof = proof_of(one)
        cost = signed(proof.comparison.cost) if proof else ""
        warned = "loses much" if proof and proof.warning else ""
        size = f"{one.bytes / 1e6:,.1f}" if one.bytes is not None else ""
        bits = f"{one.bits_per_weight:.2f}" if one.bits_per_weight is not None else ""
        source = escape(one.source.reference)
        table.add_row(escape(name), source, escape(one.weights), size, bits, cost, warned)
    console.print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An export's name.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show how an export compares with its checkpoint.

    Example: `cpt-studio export show first-4bit`
    """
    record = read_export(Workspace(workspace).export(name))
    if as_json:
        print_json(_facts(name, record))
    else:
        print_export(name, record)


def _facts(name: str, record: ExportRecord | UserError) -> dict[str, Any]:
    if isinstance(record, UserError):
        return {"name": name, "error": record.message}
    return {"name": name, **record.model_dump(mode="json")}


def _request(
    model: str,
    name: str,
    onto: str | None,
    corpora: list[str] | None,
    compared: Compared,
    place: Workspace,
) -> dict[str, Any]:
    source, folder = resolve_reference(model, place), export_folder(place, name)
    request = request_for(source, folder, compared, corpora or [], place)
    return {**request, "onto": resolve_model(onto, place.base_models) if onto else None}


def _run(request: dict[str, Any], as_json: bool) -> None:
    result = run_program(MAKE_MLX, request, quiet=as_json)
    if as_json:
        print_json(result)
        return
    print_export(result["name"], ExportRecord.model_validate(result))
    console.print(f"The export is in {request['folder']}.", soft_wrap=True)


def print_export(name: str, record: ExportRecord) -> None:
    """Print what an export is and how it compares with its checkpoint."""
    proof = proof_of(record)
    proofs = [proof, *more_proofs_of(record)] if proof is not None else []
    for one in proofs:
        console.print(_table(name, record, one))
        for sentence in one.sentences:
            console.print(escape(sentence), soft_wrap=True)
    for note in record.notes:
        console.print(f"Note: {escape(note)}", soft_wrap=True)
    for warning in dict.fromkeys(one.warning for one in proofs if one.warning):
        console.print(f"[bold yellow]Warning:[/] {escape(warning)}", soft_wrap=True)


def _table(name: str, record: ExportRecord, proof: Proof) -> Table:
    found = proof.comparison
    table = Table(title=f"{escape(name)} against {escape(record.source.reference)}")
    table.add_column("")
    table.add_column("Checkpoint", justify="right")
    table.add_column("Export", justify="right")
    table.add_column("Difference", justify="right")
    rate, own_rate = found.tokens_per_second, found.reference_tokens_per_second
    best = found.best_agreement
    for row in (
        (
            "Bits per byte",
            f"{found.reference_bits_per_byte:.4f}",
            f"{found.bits_per_byte:.4f}",
            signed(found.cost),
        ),
        ("Log-probability, mean difference", "", "", f"{found.mean_difference:.2g} nats"),
        ("Log-probability, largest difference", "", "", f"{found.max_difference:.2g} nats"),
        ("Most probable token agrees", "", f"{best:.1%}" if best is not None else "", ""),
        ("Greedy texts equal", "", f"{found.equal_prompts} of {found.prompts}", ""),
        ("Greedy tokens agree", "", f"{found.greedy_agreement:.1%}", ""),
        (
            "Size, MB",
            f"{found.reference_bytes / 1e6:,.1f}",
            f"{found.bytes / 1e6:,.1f}",
            f"{found.bytes / found.reference_bytes - 1:+.0%}",
        ),
        ("Bits per weight", "", f"{found.bits_per_weight or 0:.2f}", ""),
        (
            "Tokens/s",
            f"{own_rate:.1f}" if own_rate else "",
            f"{rate:.1f}" if rate else "",
            "",
        ),
        ("Computed in", found.reference_computed, found.computed, ""),
    ):
        table.add_row(*row)
    return table
