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
    help="Check the integrity of a workspace.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def root() -> None:
    """Keep `check` a command of its own."""


@app.command()
def check(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """Find damaged files, for example after a crash or a full disk, or before a backup.

    Reads every run (configuration, metrics, checkpoints and base model), every corpus (documents
    and tokens), every base model, reports, suites and internal records, and compares them with
    their stored hashes. This takes about a second per GB. Leftovers of interrupted work are listed
    too. Nothing is changed, and training can continue meanwhile. The exit status is 1 if anything
    is damaged.

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
            console.print(f"No damage found in {escape(visible(str(place.root)))}.", soft_wrap=True)
    if found:
        raise typer.Exit(1)
