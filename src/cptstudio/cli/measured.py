"""Options, corpora and table cells shared by the commands that evaluate models."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import metric_text
from cptstudio.errors import UserError
from cptstudio.evaluation.references import ModelReference, resolve_reference
from cptstudio.workspace import Workspace

EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="HOST",
        help="An endpoint that you confirmed (`cpt-studio remote add`): it gets the passages.",
    ),
]
FastBlasOption = Annotated[
    bool,
    typer.Option(
        "--fast-blas/--no-fast-blas", help="On a Linux CPU: use an optimized BLAS for MLX."
    ),
]
SaveMergedOption = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="NAME",
        help="Save the merged model under models/base/NAME (needs a single --at).",
    ),
]
ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...",
        help="Base models or runs: RUN (last checkpoint), RUN@best, RUN@200.",
    ),
]


def references_of(models: list[str], workspace: Workspace) -> list[ModelReference]:
    """Return the models that were named.

    Raises:
        UserError: one is not there, or the same is named twice.
    """
    references = [resolve_reference(text, workspace) for text in models]
    labels = [reference.label for reference in references]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise UserError(f"The same model is listed twice: {', '.join(doubled)}.")
    return references


def corpus_of(name: str, workspace: Workspace) -> dict[str, Any]:
    """Return a corpus as the testing programs take it.

    Raises:
        UserError: there is none with that name.
    """
    folder = workspace.corpus(name)
    if not folder.is_dir():
        known = ", ".join(workspace.corpus_names()) or "none"
        raise UserError(
            f"There is no corpus {name!r} in {workspace.root}. Existing corpora: {known}."
        )
    return {"name": name, "path": folder}


def bits_table(title: str, head: str, entries: list[dict[str, Any]], corpora: list[str]) -> Table:
    """Return bits per byte of each entry on each corpus, with the difference from the first one."""
    table = Table(title=title)
    table.add_column(head)
    for name in corpora:
        table.add_column(escape(name), justify="right")
    first = entries[0]["corpora"]
    for entry in entries:
        cells = [_cell(entry["corpora"][name], first[name]) for name in corpora]
        table.add_row(escape(entry["label"]), *cells)
    return table


def _cell(figures: dict[str, Any], first: dict[str, Any]) -> str:
    value, base = figures["bits_per_byte"], first["bits_per_byte"]
    cell, difference = metric_text(figures, "bits_per_byte"), figures.get("difference")
    if difference is None or not isinstance(value, float) or not isinstance(base, float):
        return cell
    cell += f" ({(value / base - 1) * 100:+.1f} %)"
    if difference["low"] is None:
        return cell + "\ntoo little text to be sure"
    star = "*" if difference["claim"] in ("better", "worse") else ""
    return cell + f"\n{difference['low']:+.4f} to {difference['high']:+.4f}{star}"
