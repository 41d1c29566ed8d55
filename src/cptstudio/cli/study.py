"""`cpt-studio study`: a corpus made from a corpus, in more wordings than its documents have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.child_limits import for_models
from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    confirm,
    console,
    print_json,
)
from cptstudio.cli.corpus import ModelOption, model_path_of
from cptstudio.cli.measured import EndpointOption, FastBlasOption
from cptstudio.cli.programs import run_program
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import whole
from cptstudio.durations import duration
from cptstudio.errors import UserError
from cptstudio.study.folder import read_report, read_study, study_names
from cptstudio.study.programs import MAKE
from cptstudio.study.settings import StudySettings
from cptstudio.validation import checked
from cptstudio.workspace import Workspace
from cptstudio.writers.choice import WriterChoice

if TYPE_CHECKING:
    from cptstudio.study.order import StudyOrder

app = typer.Typer(
    help="Study texts: a corpus written from a corpus by strategies, so that a model meets each "
    "fact in many wordings.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_FLAGS = {
    "strategies": "--strategy",
    "unknown_ledger": "--unknown",
    "unknown_model": "--unknown-to",
}
CorpusArgument = Annotated[
    str, typer.Argument(metavar="CORPUS", help="The corpus that texts are made of.")
]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the new corpus.")]
WriterOption = Annotated[
    str,
    typer.Option(
        "--writer",
        metavar="MODEL",
        help="A local instruct model (a base model, RUN, RUN@best), the model of --endpoint, or "
        "“templates”, which write by rules without a model.",
    ),
]
StudyArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the made corpus.")]


@app.command()
@with_field_options(StudySettings, flags=_FLAGS)
def plan(
    corpus: CorpusArgument,
    name: NameOption,
    writer: WriterOption = "templates",
    endpoint: EndpointOption = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Show what study texts would take: texts, tokens, cost, time. Nothing is sent or written.

    Example: `cpt-studio study plan notes --name notes-study --writer my-instruct-model`
    """
    order = _order(workspace, corpus, name, writer, endpoint, given)
    found = run_program(MAKE, order.request("plan"), quiet=as_json)
    if as_json:
        print_json(found)
    else:
        _show_plan(found)


@app.command()
@with_field_options(StudySettings, flags=_FLAGS)
def make(
    corpus: CorpusArgument,
    name: NameOption,
    writer: WriterOption = "templates",
    endpoint: EndpointOption = None,
    only: Annotated[
        int | None,
        whole("--try", least=1, help="Write so many texts, show them, and build no corpus yet."),
    ] = None,
    model: ModelOption = None,
    yes: YesOption = False,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Write study texts and build a corpus of those that pass the checks.

    Interrupted in whatever way, it keeps each text that was written: repeat the command to go on.
    Only training documents are read. An endpoint is asked after the plan was confirmed.

    Examples:
    - `cpt-studio study make notes --name notes-study --writer my-instruct-model`

    - `cpt-studio study make notes --name notes-study --writer gpt-x --endpoint api.example.com`
    """
    order = _order(workspace, corpus, name, writer, endpoint, given)
    model_path = model_path_of(model, order.workspace)
    if order.writer.kind == "endpoint" and not yes:
        planned = run_program(MAKE, order.request("plan"), quiet=as_json)
        if not as_json:
            _show_plan(planned)
        cost = planned["cost"]
        costs = "" if cost is None else f" It will cost about {cost:.4g}."
        count = planned["texts"] - planned["done"] if only is None else only
        host = planned["sent_to"]
        confirm(f"Send passages to {host} for {count:,} texts?{costs}", yes)
    request = order.request("make") | {"most": only, "model": model_path, "fast_blas": fast_blas}
    made = run_program(MAKE, request, quiet=as_json, limits=for_models())
    if as_json:
        print_json(made)
        return
    if made["corpus"] is None:
        for shown in (one for some in made["examples"].values() for one in some):
            console.rule(escape(f"{shown['strategy']}, {shown['style']}: {shown['source']}"))
            console.print(escape(shown["text"]))
    _show_report(made)
    if made["corpus"] is not None:
        trained = made["documents"]["train"]
        near = made["documents"]["near duplicate"] + made["documents"]["exact duplicate"]
        console.print(
            f"Corpus {escape(name)}: {trained:,} documents"
            + (f"; {near:,} texts nearly the same as others were left out." if near else "."),
            soft_wrap=True,
        )


@app.command("list")
def show_all(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the study texts of a workspace.

    Example: `cpt-studio study list`
    """
    place = Workspace(workspace)
    found = []
    for name in study_names(place):
        asked = read_study(place.study(name))
        report = read_report(place.study(name)) or {}
        writer = WriterChoice.model_validate(asked["writer"]).shown()
        written = {key: report.get(key) for key in ("written", "kept")}
        found.append({"name": name, "corpus": asked["corpus"], "writer": writer, **written})
    if as_json:
        print_json(found)
        return
    if not found:
        console.print("There are no study texts. Make some with `cpt-studio study make`.")
        return
    table = Table()
    for title in ("Name", "Made of", "Writer", "Written", "Kept"):
        table.add_column(title, justify="right" if title in ("Written", "Kept") else "left")
    for one in found:
        counts = ("" if count is None else f"{count:,}" for count in (one["written"], one["kept"]))
        table.add_row(*(escape(str(one[key])) for key in ("name", "corpus", "writer")), *counts)
    console.print(table)


@app.command()
def show(
    name: StudyArgument, workspace: WorkspaceOption = Path(), as_json: JsonOption = False
) -> None:
    """Show what was written for a corpus: kept and dropped texts by strategy, tokens, cost.

    Example: `cpt-studio study show notes-study`
    """
    folder = Workspace(workspace).study(name)
    asked = read_study(folder)
    report = read_report(folder)
    if as_json:
        print_json({"asked": asked, "report": report})
    elif report is None:
        console.print("Nothing was checked yet: repeat `cpt-studio study make` to go on.")
    else:
        _show_report(report)


def _order(
    workspace: Path,
    corpus: str,
    name: str,
    writer: str,
    endpoint: str | None,
    given: dict[str, Any],
) -> StudyOrder:
    # What writes takes long to import, and few commands write.
    from cptstudio.study.order import StudyOrder

    if endpoint is not None:
        if writer == "templates":
            raise UserError("Name the endpoint's model with --writer.")
        choice = WriterChoice(kind="endpoint", model=writer, endpoint=endpoint)
    elif writer == "templates":
        choice = WriterChoice()
    else:
        choice = WriterChoice(kind="model", model=writer)
    order = StudyOrder(Workspace(workspace), name, corpus, checked(StudySettings, **given), choice)
    order.check()
    return order


def _show_plan(found: dict[str, Any]) -> None:
    console.print(
        f"{found['passages']:,} passages of {found['documents']:,} training documents, "
        f"{found['passage_tokens']:,} tokens. Writer: {escape(found['writer'])}."
    )
    if found["not_english"]:
        console.print(f"{found['not_english']:,} are not English: templates leave them out.")
    table = Table()
    for title in ("Strategy", "Texts", "Written", "Tokens in", "Tokens out"):
        table.add_column(title, justify="left" if title == "Strategy" else "right")
    for name, one in found["strategies"].items():
        counts = (one["texts"], one["done"], one["tokens_in"], one["tokens_out"])
        table.add_row(name, *(f"{count:,}" for count in counts))
    console.print(table)
    console.print("Tokens are estimates of what is left to write.")
    seconds = found["seconds"]
    console.print(
        "Time: known once some texts are written (--try 3)."
        if seconds is None
        else f"Time: about {duration(seconds)}."
    )
    if found["cost"] is not None:
        console.print(f"Cost: about {found['cost']:.4g}.")
    elif found["sent_to"] is not None:
        console.print("Cost: unknown. Give prices with `cpt-studio remote add`.")
    if found["sent_to"] is not None:
        console.print(f"The passages will be sent to {escape(found['sent_to'])}.")


def _show_report(report: dict[str, Any]) -> None:
    table = Table()
    for title in ("Strategy", "Written", "Kept", "Names and numbers kept", "Dropped"):
        table.add_column(title, justify="left" if title in ("Strategy", "Dropped") else "right")
    for name, one in report["strategies"].items():
        share = one["kept_names_and_numbers"]
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in one["dropped"].items())
        kept = "" if share is None else f"{share:.0%}"
        table.add_row(name, f"{one['written']:,}", f"{one['kept']:,}", kept, dropped)
    console.print(table)
    tokens = f"{report['tokens_in']:,} tokens in, {report['tokens_out']:,} out"
    if report["writer"] != "templates":
        about = "About " if report["estimated"] else ""
        cost = "" if report["cost"] is None else f", cost {report['cost']:.4g}"
        console.print(f"{about}{tokens}{cost}, {duration(report['seconds'])} of writing.")
    if report["missing"]:
        why = f" ({report['stopped']})" if report["stopped"] else ""
        console.print(
            f"{report['missing']:,} texts are not written yet{why}: repeat the command to go on."
        )
