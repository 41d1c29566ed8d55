"""`cpt-studio report`: a run or a comparison as one HTML file to keep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cptstudio import durable
from cptstudio.cli.common import WorkspaceOption, YesOption, confirm, console
from cptstudio.errors import UserError, machine_error
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.web.runs.run_library import RunLibrary
from cptstudio.workspace import Workspace


def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="One or more run names.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="Output file.",
            show_default="RUN-report.html",
        ),
    ] = None,
    yes: YesOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Save one or more runs as a self-contained HTML report.

    The report shows curves, verdicts, settings, samples, events and versions, and works offline.

    Example: `cpt-studio report first second -o comparison.html`
    """
    # Of the interface: the other commands do without.
    from cptstudio.web.report.report import file_name, report_of

    place, ids = Workspace(workspace), list(dict.fromkeys(runs))
    text = report_of(RunLibrary(place, TrainingManager(place)), ids)
    target = (output or Path(file_name(ids))).absolute()
    if target.exists():
        confirm(f"{target} already exists. Replace it?", yes)
    try:
        durable.write_bytes(target, text.encode())
    except OSError as error:
        said = f"Could not write {target}: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
    console.print(f"Saved {escape(str(target))}.", soft_wrap=True)
