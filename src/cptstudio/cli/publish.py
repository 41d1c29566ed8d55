"""`cpt-studio publish`: a model on the hub, after everything that would leave was shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, print_json
from cptstudio.cli.models import Told
from cptstudio.cli.progress_line import byte_bar
from cptstudio.errors import UserError
from cptstudio.job_programs import counted
from cptstudio.workspace import Workspace


def publish(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A checkpoint (RUN@step-00000200), a merge, or exports/NAME."
        ),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="OWNER/NAME", help="Hub repository, such as ada/notes.")
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Make it public (default: private).")
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Replace files of an existing repository."),
    ] = False,
    data: Annotated[
        str, typer.Option(metavar="TEXT", help="What the model was trained on, for its card.")
    ] = "",
    license: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="License ID of the hub, such as apache-2.0 (default: the base model's).",
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Use this model card instead of the one made from the run."
        ),
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST", help="Publish without asking, if the preview still has this digest."
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Publish a model on the hub, private unless you say otherwise.

    First shows the card and every file with its size; nothing leaves the machine until you agree.
    An interrupted upload continues when you repeat the command.

    Examples:
    - `cpt-studio publish first@step-00000200 --to ada/notes-model --data "My notes of 2025"`

    - `cpt-studio publish exports/first-4bit --to ada/notes-4bit --public`
    """
    from cptstudio.models.library import ModelLibrary
    from cptstudio.models.registry import ModelRegistry
    from cptstudio.publishing.plan import CARD_BYTES, Choices, make_plan
    from cptstudio.publishing.publish_program import publish as send
    from cptstudio.publishing.subject import subject_of

    place = Workspace(workspace)
    text = None
    if card is not None:
        try:
            with card.open("rb") as file:
                text = file.read(CARD_BYTES + 1).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{card} cannot be read as a card: {error}.") from None
    subject = subject_of(ModelRegistry(place, ModelLibrary(place)), model, place.runs)
    choices = Choices(to, not public, update, data, license, text)
    with byte_bar(quiet=as_json) as bar:
        plan = make_plan(subject, choices, counted(Told(bar), "reading", "bytes"))
    if confirm is None:
        if as_json:
            print_json(plan.told())
            return
        _show(plan.told())
        if not sys.stdin.isatty():
            console.print(
                f"Nothing was sent. To publish exactly this, add --confirm {plan.digest}",
                soft_wrap=True,
            )
            return
        if not typer.confirm("Publish this?", default=False):
            console.print("Nothing was sent.")
            return
    with byte_bar(quiet=as_json) as bar:
        result = send(plan, confirm or plan.digest, place.private / "publishing", Told(bar))
    if as_json:
        print_json(result)
        return
    seen = "private" if result["private"] else "public"
    console.print(f"Published ({seen}): {escape(result['address'])}", soft_wrap=True)


def _show(told: dict[str, Any]) -> None:
    console.rule("Card")
    console.print(escape(told["card"]), soft_wrap=True)
    console.rule("Files")
    table = Table()
    table.add_column("File")
    table.add_column("Bytes", justify="right")
    for file in told["files"]:
        table.add_row(escape(file["path"]), f"{file['size']:,}")
    console.print(table)
    seen = "private" if told["private"] else "public: visible to everyone"
    console.print(
        f"{len(told['files']):,} files, {told['bytes']:,} bytes, to {escape(told['repo_id'])} "
        f"({seen}).",
        soft_wrap=True,
    )
    if told["left"]:
        console.print(f"Not published: {escape(', '.join(told['left'][:20]))}.", soft_wrap=True)
    for warning in told["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(warning)}", soft_wrap=True)
