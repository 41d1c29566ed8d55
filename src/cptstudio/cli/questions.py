"""`cpt-studio questions`: multiple-choice and cloze files, answered by likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, errors, print_json
from cptstudio.cli.evaluate import FastBlasOption
from cptstudio.testing.bench import Bench
from cptstudio.testing.questions import ask_questions, read_questions
from cptstudio.testing.references import resolve_reference
from cptstudio.testing.requests import Unload
from cptstudio.workspace import Workspace


def questions(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl",
            help='{"context", "choices", "answer": index} or {"context", "answer": text} a line.',
        ),
    ],
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Base models, RUN, RUN@best, RUN@200.")
    ],
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Let models answer multiple-choice and cloze questions, by likelihood.

    Example: `cpt-studio questions quiz.jsonl demo-base first`
    """
    place = Workspace(workspace)
    asked = read_questions(file)
    references = [resolve_reference(text, place) for text in models]
    found: dict[str, dict[str, Any]] = {}
    with Bench(fast_blas=fast_blas) as bench, errors.status("Asking", spinner="line") as status:
        for reference in references:
            bench.load([reference])
            shown = escape(reference.label)

            def tell(done: int, total: int, shown: str = shown) -> None:
                status.update(f"{shown}: {done:,} of {total:,} questions")

            found[reference.label] = ask_questions(bench, reference.label, asked, tell)
            bench.result(Unload(labels=(reference.label,)))
    if as_json:
        print_json(found)
        return
    table = Table(title=f"{len(asked):,} questions")
    for title in ("Model", "Multiple choice", "by bytes", "Cloze"):
        table.add_column(title, justify="left" if title == "Model" else "right")
    for label, result in found.items():
        chosen, cloze = result["multiple_choice"], result["cloze"]
        shares = (chosen["accuracy"], chosen["accuracy_per_byte"], cloze["accuracy"])
        cells = ["-" if share is None else f"{share:.1%}" for share in shares]
        table.add_row(escape(label), *cells)
    console.print(table)
