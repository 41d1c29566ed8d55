"""`cpt-studio endpoints`: models served to other programs by OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    confirm,
    console,
    errors,
    print_json,
)
from cptstudio.cli.measured import FastBlasOption
from cptstudio.errors import UserError
from cptstudio.evaluation.references import resolve_reference
from cptstudio.serving.endpoints import AT_ONCE, MOST_AT_ONCE, Endpoints
from cptstudio.serving.facts import EndpointFacts
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Serve models to other programs through OpenAI's API, on this machine only.",
    no_args_is_help=True,
)
_POLL_SECONDS = 0.2
EndpointArgument = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="ID, model name or port of the endpoint.")
]


@app.command()
def start(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A base model, RUN, RUN@best or RUN@200.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Model name that clients use.", show_default="as given")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1024, max=65535, help="Port to listen on.", show_default="the first free one"
        ),
    ] = None,
    at_once: Annotated[
        int,
        typer.Option(
            min=1, max=MOST_AT_ONCE, help="Maximum requests at a time; more get HTTP 429."
        ),
    ] = AT_ONCE,
    context: Annotated[
        int | None,
        typer.Option(
            min=8, help="Maximum tokens of prompt and output together.", show_default="the model's"
        ),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Start even if memory seems too short.")
    ] = False,
    fast_blas: FastBlasOption = True,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Serve a model until `endpoints stop`; keeps running after this terminal is closed.

    Example: `cpt-studio endpoints start first@best`
    """
    place = Workspace(workspace)
    endpoints = Endpoints(place)
    found = endpoints.start(
        resolve_reference(model, place),
        name=name,
        port=port,
        at_once=at_once,
        context=context,
        anyway=anyway,
        fast_blas=fast_blas,
    )
    _tell_loaded(endpoints, found, as_json)


@app.command("list")
def list_all(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the endpoints, running ones first."""
    found = Endpoints(Workspace(workspace)).all()
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    if not found:
        console.print("No model is served. Start one: `cpt-studio endpoints start MODEL`.")
        return
    table = Table()
    for title in ("Id", "Model", "State", "Base URL", "Requests", "Memory"):
        table.add_column(title, justify="right" if title in ("Requests", "Memory") else "left")
    for one in found:
        state = one.state if one.reason is None or one.alive else f"{one.state}: {one.reason}"
        memory = f"{one.memory / 1e9:.1f} GB" if one.memory else ""
        address = one.address or "" if one.alive else ""
        cells = (one.id, one.model, state, address, f"{one.requests:,}", memory)
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)


@app.command()
def stop(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Stop an endpoint and free its memory."""
    found = Endpoints(Workspace(workspace)).stop(endpoint)
    console.print(f"{escape(found.id)} is stopped.")


@app.command()
def load(
    endpoint: EndpointArgument,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Load an endpoint's model again, after training needed its memory."""
    endpoints = Endpoints(Workspace(workspace))
    _tell_loaded(endpoints, endpoints.load(endpoint), as_json)


@app.command()
def log(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Print the end of an endpoint's log. It lists requests, without prompts or outputs."""
    console.print(
        Endpoints(Workspace(workspace)).log(endpoint), markup=False, soft_wrap=True, end=""
    )


@app.command()
def examples(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Print example calls to copy; they read the key from CPT_STUDIO_KEY."""
    for one in Endpoints(Workspace(workspace)).one(endpoint).examples:
        console.print(f"# {one.title}\n{one.text}\n", markup=False, soft_wrap=True)


@app.command()
def key(
    new: Annotated[
        bool,
        typer.Option("--new", help="Replace the key; programs that use the old one stop working."),
    ] = False,
    yes: YesOption = False,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Print the API key; all endpoints of the workspace share it.

    Example: `export CPT_STUDIO_KEY=$(cpt-studio endpoints key)`
    """
    endpoints = Endpoints(Workspace(workspace))
    if new:
        confirm("Replace the key? Programs with the former one will be refused.", yes)
        console.print(endpoints.renew_key(), markup=False)
    else:
        console.print(endpoints.key(), markup=False)


@app.command()
def remove(endpoint: EndpointArgument, workspace: WorkspaceOption = Path()) -> None:
    """Remove a stopped endpoint and its log from the list."""
    endpoints = Endpoints(Workspace(workspace))
    found = endpoints.one(endpoint)
    endpoints.remove(found.id)
    console.print(f"{escape(found.id)} is removed.")


def _tell_loaded(endpoints: Endpoints, found: EndpointFacts, as_json: bool) -> None:
    """Wait until an endpoint has its model, and tell how it is used.

    Raises:
        UserError: the model could not be loaded.
    """
    with errors.status(f"Loading {escape(found.label)}", spinner="line"):
        found = _await(lambda: endpoints.one(found.id))
    if not found.alive:
        raise UserError(found.reason or "The endpoint has ended.")
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console.print(f"{escape(found.model)} is served at {found.address}", soft_wrap=True)
    console.print(
        f"Key: `cpt-studio endpoints key`. Calls to copy: `cpt-studio endpoints examples "
        f"{escape(found.id)}`. End: `cpt-studio endpoints stop {escape(found.id)}`.",
        soft_wrap=True,
    )


def _await(look: Callable[[], EndpointFacts]) -> EndpointFacts:
    while (found := look()).state == "loading":
        time.sleep(_POLL_SECONDS)
    return found
