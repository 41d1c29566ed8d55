"""`cpt-studio models`: the models of this machine, and others from the hub."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from cptstudio.cli import models_here
from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    console,
    print_json,
)
from cptstudio.cli.progress_line import byte_bar
from cptstudio.errors import UserError
from cptstudio.evaluation.programs import CHECK_MODEL
from cptstudio.models.hub_address import endpoint
from cptstudio.models.library import ModelLibrary
from cptstudio.workspace import Workspace

_LONGEST_TOKEN = 4096

app = typer.Typer(
    help="List, show and delete the models on this machine; search the hub and download from it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


app.command("list")(models_here.list_models)
app.command("show")(models_here.show)
app.command("delete")(models_here.delete)


@app.command()
def search(
    words: Annotated[
        str, typer.Argument(metavar="WORDS", help="Words to search for in model IDs.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Search the hub for models with safetensors weights, most downloaded first.

    Example: `cpt-studio models search qwen3-0.6b`
    """
    from cptstudio.models import hub

    found = hub.search(words)
    if as_json:
        print_json(found)
        return
    if not found:
        console.print(f"No model on the hub matches “{escape(words)}”.")
        return
    console.print(found_table(found))


def found_table(found: list[dict[str, Any]]) -> Table:
    """Return what a search of the hub found, as a table."""
    table = Table()
    for title in ("ID", "Downloads", "Updated", ""):
        table.add_column(title, justify="right" if title == "Downloads" else "left")
    for one in found:
        moment = one["updated"]
        changed = datetime.fromtimestamp(moment, UTC).date().isoformat() if moment else ""
        count = f"{one['downloads']:,}" if one["downloads"] is not None else ""
        table.add_row(escape(one["id"]), count, changed, "gated" if one["gated"] else "")
    return table


@app.command()
def card(
    model_id: Annotated[
        str, typer.Argument(metavar="ID", help="Hub ID, such as Qwen/Qwen3-0.6B-Base.")
    ],
    dataset: Annotated[bool, typer.Option("--dataset", help="The ID is a dataset's.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a model's card from the hub as text: license, use, and other facts from its makers.

    Example: `cpt-studio models card Qwen/Qwen3-0.6B-Base`
    """
    from cptstudio.models import hub

    found = hub.card(model_id, "dataset" if dataset else "model")
    if as_json:
        print_json(found)
        return
    console.print(f"License: {escape(found['license'] or 'not named')}", soft_wrap=True)
    console.print(escape(found["text"] or "The card is empty."), soft_wrap=True)


@app.command("sign-in")
def sign_in() -> None:
    """Sign in to the hub. Asks for an access token, which is never shown.

    The token is kept in the file that huggingface_hub and its `hf` command read; only you can read
    it. In a script, pipe it to standard input.

    Example: `cpt-studio models sign-in`
    """
    from cptstudio.models import account

    variable = account.account().variable
    if variable is not None:
        raise UserError(f"{variable} is set and comes before any other token: unset it first.")
    if sys.stdin.isatty():
        token = getpass.getpass(f"Token (from {endpoint()}/settings/tokens): ")
    else:
        token = sys.stdin.readline(_LONGEST_TOKEN)
    name = account.sign_in(token)
    console.print(f"Signed in to {endpoint()} as {escape(name)}.", soft_wrap=True)


@app.command("sign-out")
def sign_out() -> None:
    """Delete the hub's access token from this machine.

    Example: `cpt-studio models sign-out`
    """
    from cptstudio.models import account

    advice = account.sign_out()
    console.print(f"Signed out of {endpoint()}. {escape(advice)}", soft_wrap=True)


@app.command()
def download(
    model_id: Annotated[
        str, typer.Argument(metavar="ID", help="Hub ID, such as Qwen/Qwen3-0.6B-Base.")
    ],
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, tag or commit.")
    ] = None,
    workspace: NewWorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Download a model into models/base/ of the workspace.

    An interrupted download continues when you repeat the command. Only safetensors weights are
    downloaded. HF_ENDPOINT selects another hub; gated models need
    `cpt-studio models sign-in`.

    Example: `cpt-studio models download Qwen/Qwen3-0.6B-Base`
    """
    from cptstudio.models.download import download as fetch

    place = Workspace(workspace)
    with byte_bar(quiet=as_json) as bar:
        folder, size = fetch(model_id, revision, place.make(place.base_models), Told(bar))
    if as_json:
        print_json({"id": folder.name, "path": str(folder), "bytes": size})
    else:
        console.print(f"Downloaded {escape(model_id)}: {size:,} bytes in {folder}", soft_wrap=True)


@app.command()
def check(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model as `models list` shows it, or a folder.")
    ],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Compare a model's log-probabilities with those of transformers.

    Tells whether CPT Studio loads the model correctly. Needs PyTorch, and memory for the model in
    float32. The exit status is 1 if they differ.

    Example: `cpt-studio models check Qwen3-0.6B-Base`
    """
    from cptstudio.child_limits import for_a_check
    from cptstudio.cli.programs import run_program

    path = Path(model)
    if not path.is_dir():
        path = ModelLibrary(Workspace(workspace)).find(model).path
    request = {"path": str(path.resolve())}
    result = run_program(CHECK_MODEL, request, quiet=as_json, limits=for_a_check())
    if as_json:
        print_json(result)
    else:
        console.print(escape(result["verdict"]), soft_wrap=True)
    if not result["equal"]:
        raise typer.Exit(1)


class Told:
    """Draws the progress of a download on a bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("connecting", total=None, detail="")

    def progress(self, *, final: bool = False, **facts: Any) -> None:
        """Show a moment of the work."""
        self._bar.update(
            self._task,
            description=facts["phase"],
            completed=facts.get("done") or 0,
            total=facts.get("total"),
            detail=facts.get("detail") or "",
            refresh=final,
        )
