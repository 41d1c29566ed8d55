"""`cpt-studio suite`: sets of prompts, put to checkpoint after checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    console,
    print_json,
)
from cptstudio.cli.measured import FastBlasOption, ModelsArgument, references_of
from cptstudio.cli.programs import run_reported
from cptstudio.cli.setting_options import with_field_options
from cptstudio.errors import UserError
from cptstudio.evaluation.programs import SUITE
from cptstudio.evaluation.references import request_of
from cptstudio.evaluation.samples import samples_matrix
from cptstudio.evaluation.suites import (
    Suite,
    delete_suite,
    parse_prompts,
    read_suite,
    suite_names,
    write_suite,
)
from cptstudio.sampling import SUITE_SAMPLING, Sampling
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Prompt suites: the same prompts and seed for several checkpoints.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Suite name.")]


@app.command()
@with_field_options(Sampling, defaults=SUITE_SAMPLING.model_dump())
def create(
    name: NameArgument,
    prompts: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="Prompt; repeat for more.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            help='One prompt per line, or a .jsonl file with a "prompt" field per line.',
        ),
    ] = None,
    workspace: NewWorkspaceOption = Path(),
    *,
    given: dict[str, Any],
) -> None:
    """Save a prompt suite, replacing one of the same name.

    Example: `cpt-studio suite create basics --prompt "import os" --prompt "def main():"`
    """
    texts = [*(prompts or ()), *(parse_prompts(file) if file is not None else ())]
    if not texts:
        raise UserError("A suite needs prompts. Add them with --prompt or --file.")
    sampling = checked(Sampling, **SUITE_SAMPLING.model_dump() | given)
    path = write_suite(
        Workspace(workspace), name, checked(Suite, prompts=tuple(texts), sampling=sampling)
    )
    console.print(f"Saved {len(texts):,} prompts to {path}.", soft_wrap=True)


@app.command("list")
def list_suites(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the prompt suites of the workspace.

    Example: `cpt-studio suite list`
    """
    place = Workspace(workspace)
    names = suite_names(place)
    if as_json:
        print_json({name: read_suite(place, name).model_dump(mode="json") for name in names})
        return
    for name in names:
        console.print(f"{name}: {len(read_suite(place, name).prompts):,} prompts")
    if not names:
        console.print(f"No suites in {place.root} yet. Create one with `cpt-studio suite create`.")


@app.command()
def run(
    name: NameArgument,
    models: ModelsArgument,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run a prompt suite on models, in the given order, and mark outputs that changed.

    Cached outputs with the same settings are reused.

    Example: `cpt-studio suite run basics demo-base first@100 first`
    """
    place = Workspace(workspace)
    read_suite(place, name)
    request = {
        "suite": name,
        "models": [request_of(reference) for reference in references_of(models, place)],
    }
    run_reported(SUITE, request, place, _print_matrix, fast_blas=fast_blas, as_json=as_json)


@app.command()
def show(
    name: NameArgument,
    of_run: Annotated[
        str | None,
        typer.Option(
            "--run", metavar="RUN", help="Show the samples of this run, from its training."
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show a suite's prompts, or the samples of a run that was trained with `--suite`.

    Example: `cpt-studio suite show basics --run first`
    """
    place = Workspace(workspace)
    suite = read_suite(place, name)
    if of_run is None:
        if as_json:
            print_json(suite.model_dump(mode="json"))
            return
        for prompt in suite.prompts:
            console.print(escape(prompt), soft_wrap=True)
        return
    if of_run not in place.run_names():
        known = ", ".join(place.run_names()) or "none"
        raise UserError(f"There is no run {of_run!r} in {place.root}. Existing runs: {known}.")
    matrix = samples_matrix(place.run(of_run), suite.prompts)
    if as_json:
        print_json({"suite": name, "run": of_run, **matrix})
        return
    _print_matrix(matrix)


def _print_matrix(matrix: dict[str, Any]) -> None:
    for row in matrix["rows"]:
        console.rule(escape(next(iter(row["prompt"].strip().splitlines()), "")[:80]))
        for label, text, changed in zip(
            matrix["models"], row["texts"], row["changed"], strict=True
        ):
            mark = " (changed)" if changed else ""
            console.print(f"[bold]{escape(label)}{mark}[/]")
            said = "[dim](no output)[/]" if text is None else escape(text["text"])
            console.print(f"[dim]{escape(row['prompt'])}[/]{said}", soft_wrap=True)


@app.command()
def delete(name: NameArgument, workspace: WorkspaceOption = Path()) -> None:
    """Delete a prompt suite.

    Example: `cpt-studio suite delete basics`
    """
    delete_suite(Workspace(workspace), name)
    console.print(f"Deleted the suite {name}.")
