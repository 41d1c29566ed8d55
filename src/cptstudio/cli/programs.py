"""Starting our own programs, which load MLX, from a command line that does not.

What they log goes to standard error, which is the terminal's. Ctrl-C reaches this process alone,
which asks the program to end, waits until it has cleaned up, and kills it when it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.markup import escape

from cptstudio import child_process
from cptstudio.child_answers import Line
from cptstudio.child_limits import Limits, for_models
from cptstudio.cli.common import console, print_json
from cptstudio.cli.progress_line import count_bar
from cptstudio.evaluation.reports import Reports
from cptstudio.workspace import Workspace


def run_reported(
    module: str,
    request: dict[str, Any],
    workspace: Workspace,
    show: Callable[[dict[str, Any]], None],
    *,
    fast_blas: bool,
    as_json: bool,
    part: str | None = None,
) -> None:
    """Run a program that keeps a report, and print what it found and where that is kept.

    Args:
        part: of the result that is printed; None for the whole.

    Raises:
        UserError: the program reported one, or died.
    """
    request = {"workspace": workspace.root, "fast_blas": fast_blas, **request}
    report = run_program(module, request, quiet=as_json)["report"]
    result = Reports(workspace).read(report)["result"]
    found = result[part] if part else result
    if as_json:
        print_json({"report": report, **found})
        return
    show(found)
    console.print(f"Saved as report {report}.")


def run_program(
    module: str, request: dict[str, Any], *, quiet: bool, limits: Limits | None = None
) -> dict[str, Any]:
    """Run a program and draw its progress on standard error; returns its result.

    Args:
        limits: of its time and memory; None for those of programs that hold models.

    Raises:
        UserError: the program reported one, or died.
    """
    with count_bar(quiet=quiet) as bar:
        task = bar.add_task("starting", total=None, unit="", detail="")

        def draw(line: Line) -> None:
            bar.update(
                task,
                description=escape(line.phase or ""),
                completed=line.done or 0,
                total=line.total,
                unit=line.unit or "",
                detail=escape(line.detail or ""),
            )

        return child_process.ask(
            ("-m", module),
            request,
            limits or for_models(),
            what="The program",
            shows="errors",
            progress=draw,
        )
