"""`cpt-studio evaluate`: models on held-out text, in bits per byte."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, errors
from cptstudio.cli.measured import FastBlasOption, ModelsArgument, bits_table, corpus_of
from cptstudio.cli.programs import run_reported
from cptstudio.cli.setting_options import with_field_options
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Measured
from cptstudio.evaluation.programs import EVALUATE
from cptstudio.evaluation.references import request_of, resolve_reference
from cptstudio.validation import checked
from cptstudio.workspace import Workspace


@with_field_options(Measured, flags={"side": "--split"})
def evaluate(
    models: ModelsArgument,
    corpora: Annotated[
        list[str] | None,
        typer.Option("--corpus", "-c", help="Corpus to evaluate on; repeat for more."),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            "--text",
            "-t",
            metavar="FILE",
            help='Text file, or .jsonl file with a "text" field per line; repeat for more.',
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Evaluate models on held-out text, in bits per byte.

    Bits per byte are comparable across tokenizers; lower is better. The first model is the
    baseline: the range below a value is the 95% confidence interval of the difference from it
    (paired bootstrap over documents), and a star marks a significant change of at least
    0.5%. Documents that any of the models was trained on are left out. Cached results are reused.

    Example: `cpt-studio evaluate demo-base first first@best -c python-source`
    """
    place = Workspace(workspace)
    asked = checked(Measured, **given)
    if not corpora and not texts:
        raise UserError("Choose what to evaluate on: --corpus NAME or --text FILE.")
    names = [*(corpora or ()), *(str(path) for path in texts or ())]
    references = [resolve_reference(text, place) for text in models]
    request = {
        "models": [request_of(reference) for reference in references],
        "corpora": [corpus_of(name, place) for name in corpora or ()],
        "texts": [{"name": str(path), "path": path.absolute()} for path in texts or ()],
        **asked.model_dump(),
    }

    def show(result: dict[str, Any]) -> None:
        _show(result, names)

    run_reported(EVALUATE, request, place, show, fast_blas=fast_blas, as_json=as_json)


def _show(result: dict[str, Any], names: list[str]) -> None:
    title = f"Bits per byte on held-out text ({result['side']}; lower is better)"
    table = bits_table(title, "Model", result["models"], names)
    first = result["models"][0]["corpora"]
    measured = (
        f"{name}: {first[name]['documents']:,} documents, {first[name]['bytes']:,} bytes"
        for name in names
    )
    table.caption = escape(", ".join(measured))
    console.print(table)
    for note in result["notes"]:
        errors.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)
