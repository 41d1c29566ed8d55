"""`cpt-studio datasets`: datasets of the hub as a source of corpora."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import JsonOption, NewWorkspaceOption, console, print_json
from cptstudio.cli.corpus import ModelOption, NameArgument, model_path_of, phases_on
from cptstudio.cli.models import Told, found_table
from cptstudio.cli.progress_line import byte_bar
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import whole
from cptstudio.corpus.manifest import BuildChoices, BuildSettings
from cptstudio.corpus.report import describe, render
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Datasets of the Hugging Face Hub: search, look inside, build corpora.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Hub ID, such as HuggingFaceFW/fineweb-edu.")
]
RevisionOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="A branch, tag or commit.")
]
ConfigurationOption = Annotated[
    str | None, typer.Option("--config", metavar="NAME", help="Configuration of the dataset.")
]
SplitOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Split of the configuration, train by default.")
]


@app.command()
def search(
    words: Annotated[str, typer.Argument(metavar="WORDS", help="Part of the dataset's ID.")],
    as_json: JsonOption = False,
) -> None:
    """Search the hub for datasets, the most downloaded first.

    Example: `cpt-studio datasets search fineweb`
    """
    from cptstudio.models import hub

    found = hub.search(words, "dataset")
    if as_json:
        print_json(found)
    elif found:
        console.print(found_table(found))
    else:
        console.print(f"No dataset on the hub matches “{escape(words)}”.")


@app.command()
def show(
    dataset_id: IdArgument,
    revision: RevisionOption = None,
    configuration: ConfigurationOption = None,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a dataset's license, configurations, splits and sizes; with --split, its fields.

    Example: `cpt-studio datasets show HuggingFaceFW/fineweb-edu --config sample-10BT --split train`
    """
    from dataclasses import asdict

    from cptstudio.datasets.beginnings import beginning_of
    from cptstudio.datasets.dataset import facts, look_up

    dataset = look_up(dataset_id, revision)
    if split is not None:
        _, chosen = dataset.find(configuration, split)
        beginning = asdict(beginning_of(dataset, chosen))
        if as_json:
            print_json(beginning)
        else:
            _show_fields(beginning)
        return
    told = facts(dataset)
    if as_json:
        print_json(told)
        return
    console.print(
        f"{escape(dataset.id)} at commit {dataset.commit}, license: "
        f"{escape(dataset.license or 'not named by its card')}",
        soft_wrap=True,
    )
    if dataset.is_converted:
        console.print("These are the hub's own conversions to Parquet.")
    table = Table()
    for title in ("Configuration", "Split", "Files", "Bytes", "Rows"):
        numbers = title in ("Files", "Bytes", "Rows")
        table.add_column(title, justify="right" if numbers else "left")
    for one in told["configurations"]:
        for part in one["splits"]:
            rows = f"{part['rows']:,}" if part["rows"] is not None else ""
            sizes = (f"{part['files']:,}", f"{part['bytes']:,}", rows)
            table.add_row(escape(one["name"]), escape(part["name"]), *sizes)
    console.print(table)


def _show_fields(beginning: dict[str, Any]) -> None:
    rows = beginning["rows"]
    console.print(f"{rows:,} rows" if rows is not None else "The number of rows is not known.")
    table = Table()
    for title in ("Field", "Text", "First rows"):
        table.add_column(title)
    for one in beginning["fields"]:
        examples = " | ".join(text[:80] for text in one["examples"])
        table.add_row(escape(one["name"]), "yes" if one["is_text"] else "", escape(examples))
    console.print(table)


@app.command()
@with_field_options(BuildChoices, flags={"source_notes": "--note"}, upper=True)
def build(
    name: NameArgument,
    dataset_id: IdArgument,
    configuration: ConfigurationOption = None,
    split: SplitOption = None,
    rows: Annotated[
        int | None,
        whole("--rows", "-n", least=1, help="Maximum number of rows, from the start of the split."),
    ] = None,
    revision: RevisionOption = None,
    model: ModelOption = None,
    allow_lossy: Annotated[
        bool,
        typer.Option(
            "--allow-lossy-tokenizer",
            help="Tokenize even if MODEL's tokenizer loses more than 1% of the text.",
        ),
    ] = False,
    workspace: NewWorkspaceOption = Path(),
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Build a corpus from a dataset of the hub; the corpus records its commit.

    An interrupted build keeps what it downloaded; repeat the command to continue.

    Example: `cpt-studio datasets build web HuggingFaceFW/fineweb-edu --config sample-10BT -n 50000`
    """
    from cptstudio.datasets.corpus_program import build_from_hub

    place = Workspace(workspace)
    folder = place.corpus(name)
    model_path = model_path_of(model, place)
    place.make(place.corpora)
    workers = given.pop("workers", None)
    chosen = {
        "id": dataset_id,
        "revision": revision,
        "configuration": configuration,
        "split": split,
        "rows": rows,
    }
    with byte_bar(quiet=as_json) as bar:
        corpus, changed = build_from_hub(
            folder,
            place.private / "hub",
            chosen,
            checked(BuildSettings, **given),
            model_path,
            Told(bar),
            phases_on(bar),
            allow_lossy=allow_lossy,
            workers=workers,
        )
    if as_json:
        print_json({"changed": changed, **describe(corpus)})
    else:
        console.print(escape(render(corpus)), soft_wrap=True)
