"""`cpt-studio remote`: endpoints of others that you let CPT Studio send texts to."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    YesOption,
    confirm,
    console,
    print_json,
)
from cptstudio.remote_endpoints import confirmed, keys
from cptstudio.remote_endpoints.confirmed import EndpointChoices, RemoteEndpoint
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Endpoints of others (OpenAI-compatible) that may get your texts once you confirm them.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_LONGEST_KEY = 4096
_CHECK_SECONDS = 120.0
# Some think before they answer.
_CHECK_TOKENS = 200
EndpointArgument = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Its address, its host or its id.")
]


@app.command()
def add(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as https://api.example.com/v1.")
    ],
    variable: Annotated[
        str | None,
        typer.Option(
            "--key-variable", metavar="NAME", help="The environment variable that holds the key."
        ),
    ] = None,
    keyring: Annotated[
        bool, typer.Option("--keyring", help="The key is in the system's keyring.")
    ] = False,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens that are sent.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens that are written.")
    ] = None,
    yes: YesOption = False,
    workspace: NewWorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Confirm the host of an endpoint, to which `study` and `facts` may then send texts.

    Nothing is sent now. The key is never an argument: it comes from the environment or the keyring.

    Example: `cpt-studio remote add https://api.example.com/v1 --key-variable EXAMPLE_API_KEY`
    """
    opened = Workspace(workspace)
    choices = checked(
        EndpointChoices,
        address=address,
        key="keyring" if keyring else "environment" if variable else "none",
        variable=variable,
        price_in=price_in,
        price_out=price_out,
    )
    place = confirmed.check_choices(choices)
    open_line = "" if place.is_encrypted or place.is_local else " It is asked without encryption."
    confirm(
        f"Passages of your documents will be sent to {place.host} when you choose it as a writer."
        f"{open_line} Confirm this host?",
        yes,
    )
    noted = confirmed.confirm(opened, choices, place.host)
    if as_json:
        print_json(noted.model_dump())
        return
    console.print(f"Confirmed {escape(noted.host)}.", soft_wrap=True)
    if noted.key == "keyring":
        console.print(f"Keep its key: `cpt-studio remote key {noted.address}`", soft_wrap=True)


@app.command("list")
def show_all(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the endpoints that you confirmed.

    Example: `cpt-studio remote list`
    """
    known = confirmed.confirmed_endpoints(Workspace(workspace))
    if as_json:
        print_json([one.model_dump() for one in known])
        return
    if not known:
        console.print("No endpoint was confirmed. Confirm one with `cpt-studio remote add`.")
        return
    table = Table()
    for title in ("Address", "Key", "Price in", "Price out", "Confirmed"):
        table.add_column(title, justify="right" if title.startswith("Price") else "left")
    for one in known:
        prices = ("" if price is None else f"{price:g}" for price in (one.price_in, one.price_out))
        table.add_row(escape(one.address), escape(_key(one)), *prices, one.confirmed[:10])
    console.print(table)


@app.command()
def key(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Keep an endpoint's key in the system's keyring; it is asked for and not shown.

    In a script, send it to standard input.

    Example: `cpt-studio remote key api.example.com`
    """
    place = Workspace(workspace)
    found = confirmed.find(place, endpoint)
    if sys.stdin.isatty():
        secret = getpass.getpass(f"API key for {found.host}: ")
    else:
        secret = sys.stdin.readline(_LONGEST_KEY)
    keys.keep_key(found, secret)
    if found.key != "keyring":
        fields = found.model_dump(include=set(EndpointChoices.model_fields))
        choices = EndpointChoices(**{**fields, "key": "keyring", "variable": None})
        confirmed.confirm(place, choices, found.host)
    console.print(f"The system's keyring has the key of {escape(found.host)}.", soft_wrap=True)


@app.command()
def check(
    endpoint: EndpointArgument,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As the endpoint calls it.")],
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Ask an endpoint's model for one word, to see that address, key and model are right.

    Example: `cpt-studio remote check api.example.com some-model`
    """
    from cptstudio.remote_endpoints.chat import Bounds, ChatClient

    found = confirmed.find(Workspace(workspace), endpoint)
    asked = [{"role": "user", "content": "Answer with the one word: yes"}]
    with ChatClient(found, model, Bounds(seconds=_CHECK_SECONDS, tries=2)) as client:
        answer = client.write(asked, max_tokens=_CHECK_TOKENS)
    if as_json:
        print_json({"text": answer.text, "in": answer.tokens_in, "out": answer.tokens_out})
        return
    console.print(f"{escape(found.host)} answers: {escape(answer.text[:200])}", soft_wrap=True)
    if answer.tokens_out is None:
        console.print("It does not tell how many tokens it reads and writes: costs are estimates.")


@app.command()
def remove(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Forget an endpoint, and its key in the system's keyring; it is then no longer asked.

    Example: `cpt-studio remote remove api.example.com`
    """
    gone = confirmed.remove(Workspace(workspace), endpoint)
    had_key = gone.key == "keyring" and keys.forget_key(gone)
    also = " Its key is no longer in the keyring." if had_key else ""
    console.print(f"Removed {escape(gone.host)}.{also}", soft_wrap=True)


def _key(one: RemoteEndpoint) -> str:
    return {"none": "none", "keyring": "keyring"}.get(one.key, one.variable or "")
