"""`cpt-studio harness`: tasks of lm-evaluation-harness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, number
from cptstudio.cli.measured import FastBlasOption, ModelsArgument, references_of
from cptstudio.cli.programs import run_reported
from cptstudio.cli.typed_options import whole
from cptstudio.evaluation.programs import HARNESS
from cptstudio.evaluation.references import request_of
from cptstudio.workspace import Workspace


def harness(
    models: ModelsArgument,
    tasks: Annotated[
        list[str],
        typer.Option("--task", "-t", help="Task name, such as arc_easy; repeat for more."),
    ],
    include: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with your own task files (.yaml).")
    ] = None,
    shots: Annotated[
        int | None,
        whole(least=0, help="Number of few-shot examples.", show_default="set by the task"),
    ] = None,
    limit: Annotated[
        int | None, whole(least=1, help="Maximum number of questions per task.", show_default="all")
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Allow missing data sets to be downloaded from the hub."),
    ] = False,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run lm-evaluation-harness tasks (needs `pip install lm_eval`).

    Models get raw text, without a chat template. Nothing is downloaded without --download.

    Example: `cpt-studio harness demo-base first --task arc_easy --limit 200 --download`
    """
    place = Workspace(workspace)
    request = {
        "models": [request_of(reference) for reference in references_of(models, place)],
        "tasks": list(dict.fromkeys(tasks)),
        "include": include.absolute() if include else None,
        "shots": shots,
        "limit": limit,
        "download": download,
    }
    run_reported(HARNESS, request, place, _show, fast_blas=fast_blas, as_json=as_json)


def _show(result: dict[str, Any]) -> None:
    table = Table(title=f"lm-evaluation-harness {result['version']}")
    table.add_column("Task")
    table.add_column("Metric")
    for label in result["models"]:
        table.add_column(escape(label), justify="right")
    of_models = list(result["models"].values())
    for task, first in of_models[0].items():
        for metric in first["metrics"]:
            cells = []
            for found in of_models:
                measured = found[task]["metrics"][metric]
                error = measured["error"]
                spread = f" ± {number(error, '.4f')}" if error is not None else ""
                cells.append(f"{number(measured['value'], '.4f')}{spread}")
            table.add_row(escape(task), escape(metric), *cells)
    console.print(table)
