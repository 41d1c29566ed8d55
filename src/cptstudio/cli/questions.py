"""`cpt-studio questions`: multiple-choice and cloze files, answered by likelihood."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console
from cptstudio.cli.measured import FastBlasOption, ModelsArgument, references_of
from cptstudio.cli.programs import run_reported
from cptstudio.evaluation.programs import QUESTIONS
from cptstudio.evaluation.questions import read_questions
from cptstudio.evaluation.references import request_of
from cptstudio.workspace import Workspace


def questions(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.jsonl",
            help='One question per line: {"context", "choices", "answer": index} or '
            '{"context", "answer": text}.',
        ),
    ],
    models: ModelsArgument,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Answer multiple-choice and cloze questions by likelihood.

    Example: `cpt-studio questions quiz.jsonl demo-base first`
    """
    place = Workspace(workspace)
    asked = read_questions(file)
    request = {
        "file": file.absolute(),
        "name": str(file),
        "models": [request_of(reference) for reference in references_of(models, place)],
    }

    def show(found: dict[str, Any]) -> None:
        console.print(_table(found, len(asked)))

    run_reported(
        QUESTIONS, request, place, show, fast_blas=fast_blas, as_json=as_json, part="models"
    )


def _table(found: dict[str, dict[str, Any]], count: int) -> Table:
    table = Table(title=f"{count:,} questions")
    for title in ("Model", "Multiple choice", "per byte", "Cloze"):
        table.add_column(title, justify="left" if title == "Model" else "right")
    for label, result in found.items():
        chosen, cloze = result["multiple_choice"], result["cloze"]
        shares = (chosen["accuracy"], chosen["accuracy_per_byte"], cloze["accuracy"])
        cells = ["-" if share is None else f"{share:.1%}" for share in shares]
        table.add_row(escape(label), *cells)
    return table
