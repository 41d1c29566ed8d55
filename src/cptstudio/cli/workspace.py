"""`cpt-studio workspace`: is all of it whole?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer
from rich.markup import escape

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, print_json
from cptstudio.cli.progress_line import count_bar
from cptstudio.errors import UserError
from cptstudio.terminal import visible
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="The workspace as a whole: is everything in it as it was written?",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def root() -> None:
    """Keep `check` a command of its own."""


@app.command()
def check(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List what is not whole: after a crash, a full disk, a copy, or before a backup.

    Reads every run (its configuration, rows, checkpoints and base), every corpus (documents and
    tokens), every base model, reports, suites and the studio's own records, and compares them
    with the hashes that were written with them. That takes about a second for each GB. Tells also
    what interrupted work left behind. Changes nothing; training may go on meanwhile. Ends with 1
    when anything is not whole.

    Example: `cpt-studio workspace check --workspace ~/studio`
    """
    from cptstudio.cli.workspace_check import check_workspace

    place = Workspace(workspace)
    if not place.root.is_dir():
        raise UserError(f"There is no folder {place.root}.")
    with count_bar(quiet=as_json) as bar:
        task = bar.add_task("", total=None, unit="", detail="")

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, detail=escape(visible(what)))

        found = check_workspace(place, tell)
    if as_json:
        print_json([asdict(damage) for damage in found])
    else:
        for damage in found:
            shown = f"[yellow]{escape(visible(damage.where))}:[/] {escape(visible(damage.what))}"
            console.print(shown, soft_wrap=True)
        if not found:
            console.print(f"All of {escape(visible(str(place.root)))} is whole.", soft_wrap=True)
    if found:
        raise typer.Exit(1)
