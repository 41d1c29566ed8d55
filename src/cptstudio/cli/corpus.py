"""`cpt-studio corpus`: build, show, sample and list corpora."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    NewWorkspaceOption,
    WorkspaceOption,
    console,
    errors,
    print_json,
    with_former,
)
from cptstudio.cli.progress_line import byte_bar
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import whole
from cptstudio.corpus import build_progress
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import AFTER_READING, BuildChoices, BuildSettings
from cptstudio.corpus.readers.dispatch import PACKED, formats_in_words, listed
from cptstudio.corpus.report import describe, render
from cptstudio.durable import real_path
from cptstudio.errors import UserError
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

if TYPE_CHECKING:
    from cptstudio.corpus.listed import SamplePart
    from cptstudio.corpus.sources import Source

app = typer.Typer(
    help="Build corpora from documents and inspect them, down to the training sequences.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Corpus name.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Tokenizer to use: that of a base model in the workspace, a folder, or a cached "
        "model ID.",
    ),
]


@app.command()
@with_field_options(BuildChoices, flags={"source_notes": "--note"}, upper=True)
def build(
    name: NameArgument,
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE...",
            help=f"Files and folders: {formats_in_words()}; also inside {listed(PACKED)}. "
            "Without sources, the corpus is rebuilt from the sources and options it was "
            "built with; with only --model, it is tokenized for that model.",
        ),
    ] = None,
    model: ModelOption = None,
    allow_lossy: Annotated[
        bool,
        typer.Option(
            "--allow-lossy-tokenizer",
            help="Tokenize even if the tokenizer loses more than 1% of the text.",
        ),
    ] = False,
    workspace: NewWorkspaceOption = Path(),
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Build a corpus from files and folders, or update it.

    Unreadable files are skipped and listed with the reason. A build can be interrupted at any time:
    the existing corpus stays as it is. If no file changed, nothing is rebuilt. Files that may hold
    secrets, hidden files and generated files are excluded and listed.

    Examples:
    - `cpt-studio corpus build notes ~/Documents/notes --model my-base-model`

    - `cpt-studio corpus build web crawl.jsonl.zst --text-field content --model my-base-model`

    - `cpt-studio corpus build notes` (rebuild from the same folder)

    - `cpt-studio corpus build notes --model another-model` (tokenize for a second model)
    """
    place = Workspace(workspace)
    folder = place.corpus(name)
    model_path = model_path_of(model, place)
    place.make(place.corpora)
    with byte_bar(quiet=as_json) as bar:
        tell = phases_on(bar)
        corpus, changed = _build(folder, sources or [], given, model_path, tell, allow_lossy)
    if as_json:
        print_json({"changed": changed, **describe(corpus)})
        return
    if not changed and (sources or model_path is None):
        console.print(f"Nothing changed. The corpus {name} is up to date.")
    console.print(escape(render(corpus)), soft_wrap=True)
    if model_path is not None:
        _note_missing_rows(corpus, model_path)


def _note_missing_rows(corpus: Corpus, model_path: Path) -> None:
    """Say which of the tokens the model itself cannot take, if it is a whole model."""
    from cptstudio.corpus.tokenizer_identity import identify
    from cptstudio.lm.description import read_embedding_rows
    from cptstudio.lm.vocabulary import beyond_sentence

    try:
        rows = read_embedding_rows(model_path)
        identity = identify(model_path)
        store = corpus.in_template(identity.template).token_store(identity.hash)
        beyond = store.tokens_beyond(rows)
    except UserError:
        return  # A folder with a tokenizer alone.
    if beyond and rows is not None:
        sentence = beyond_sentence(f"The corpus {corpus.name!r}", beyond, rows, model_path)
        errors.print(f"[yellow]Note:[/] {escape(sentence)}", soft_wrap=True)


def _build(
    folder: Path,
    sources: Sequence[Path | Source],
    given: dict[str, Any],
    model_path: Path | None,
    tell: build_progress.ProgressCallback,
    allow_lossy: bool,
) -> tuple[Corpus, bool]:
    from cptstudio.corpus.build import build_corpus
    from cptstudio.corpus.tokenising import ensure_tokens

    workers = given.pop("workers", None)
    if sources:
        settings = checked(BuildSettings, **given)
    else:
        corpus = open_corpus(folder)
        if model_path is not None and not given:
            ensure_tokens(corpus, model_path, tell, allow_lossy=allow_lossy)
            return corpus, False
        settings = checked(BuildSettings, **corpus.manifest.settings.model_dump() | given)
        if model_path is None and corpus.manifest.model and Path(corpus.manifest.model).exists():
            model_path = Path(corpus.manifest.model)
        sources = corpus.given_sources()
    result = build_corpus(
        folder, sources, settings, model_path, tell, allow_lossy=allow_lossy, workers=workers
    )
    return result.corpus, result.changed


@app.command(context_settings=with_former({"left-aside": "excluded"}))
def show(
    name: NameArgument,
    problems: Annotated[
        bool, typer.Option("--problems", help="List every problem found while reading.")
    ] = False,
    left_aside: Annotated[
        bool, typer.Option("--excluded", help="List the files that were excluded, and why.")
    ] = False,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show a corpus's report: documents, tokens, duplicates and problems.

    Example: `cpt-studio corpus show notes`
    """
    corpus = open_corpus(Workspace(workspace).corpus(name))
    if problems or left_aside:
        found = [
            f"{source.label}: {text}"
            for source in corpus.sources()
            for text in source.problems(left_aside=left_aside)
        ]
        if as_json:
            print_json(found)
        else:
            for line in found:
                console.print(escape(line), soft_wrap=True)
        return
    if as_json:
        print_json(describe(corpus))
    else:
        console.print(escape(render(corpus)), soft_wrap=True)


@app.command()
@with_field_options(BuildSettings, leave_out=AFTER_READING, upper=True)
def preview(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to preview, read as in a build.")
    ],
    document: Annotated[
        int, whole("--document", "-n", least=1, help="Which document of the file.")
    ] = 1,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Show a document before and after cleaning: what is masked or removed, and why.

    Masked text and text that could be masked are shown in color. Nothing is built or saved.

    Example: `cpt-studio corpus preview ~/Documents/letters.docx --mask emails`
    """
    from cptstudio.corpus.preview_program import ask

    settings = checked(BuildSettings, **given).model_dump(mode="json")
    path = real_path(source.expanduser())
    if not path.is_file():
        raise UserError(f"{source} is not a file. Choose one of the files you build from.")
    found = ask({"path": str(path), "document": document, "settings": settings}, str(source))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    console.rule(escape(f"{found.label}, document {found.document:,}"))
    for piece in found.pieces:
        text = escape(piece.text)
        if piece.kind == "masked":
            text = f"[red strike]{text}[/][green]{escape(piece.becomes or '')}[/]"
        elif piece.kind == "found":
            text = f"[yellow]{text}[/]"
        console.print(text, end="", soft_wrap=True)
    console.print()
    console.rule(f"{found.before:,} characters, {found.after:,} after cleaning")
    if found.shortened:
        console.print("The rest of the text is not shown.")
    for note in found.notes:
        console.print(f"Note: {escape(note)}", soft_wrap=True)


@app.command(context_settings=with_former({"rows": "sequences"}))
def sample(
    name: NameArgument,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="Model to tokenize for.")
    ],
    rows: Annotated[int, whole("--sequences", "-n", least=1, help="Number of sequences.")] = 3,
    sequence_length: Annotated[
        int, whole(least=8, most=1_048_576, help="Tokens per training sequence.")
    ] = 512,
    packing: Annotated[
        str,
        typer.Option(metavar="concat|decompose", help="How documents are packed into sequences."),
    ] = "concat",
    seed: Annotated[int, whole(least=0, help="Random seed of the run.")] = 0,
    first: Annotated[int, whole(least=0, help="First sequence to show.")] = 0,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Print training sequences as text, with document boundaries marked.

    Of conversations only the answers count in the loss: they stand between ⟦ and ⟧.

    Example: `cpt-studio corpus sample notes --model my-model --sequences 2 --packing decompose`
    """
    from cptstudio.corpus.row_samples import sample_rows
    from cptstudio.corpus.tokenizer import load_tokenizer

    place = Workspace(workspace)
    if packing not in ("concat", "decompose"):
        raise UserError(f"Use --packing concat or --packing decompose, not {packing!r}.")
    corpus = open_corpus(place.corpus(name))
    path = model_path_of(model, place)
    assert path is not None
    found = sample_rows(
        corpus,
        load_tokenizer(path),
        rows=rows,
        context_length=sequence_length,
        packing="concat" if packing == "concat" else "decompose",
        seed=seed,
        first_batch=first,
    )
    if as_json:
        print_json([asdict(row) for row in found])
        return
    for row in found:
        console.rule(f"sequence {row.batch}: {row.length:,} tokens to predict")
        for part in row.parts:
            console.print(
                f"[bold cyan]── {escape(part.label)}, tokens {part.start:,} to {part.stop:,} "
                f"of {part.tokens:,} ──[/]",
                soft_wrap=True,
            )
            console.print(escape(_marked(part)), soft_wrap=True)


def _marked(part: SamplePart) -> str:
    """A part's text, with what counts in the loss between ⟦ and ⟧ where not all of it does."""
    if part.counted is None:
        return part.text
    text, at = "", 0
    for start, stop in part.counted:
        text += f"{part.text[at:start]}⟦{part.text[start:stop]}⟧"
        at = stop
    return text + part.text[at:]


@app.command("list")
def list_corpora(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the corpora of the workspace.

    Example: `cpt-studio corpus list --workspace ~/studio`
    """
    place = Workspace(workspace)
    descriptions: list[dict[str, Any]] = []
    for name in place.corpus_names():
        try:
            descriptions.append(describe(open_corpus(place.corpus(name))))
        except UserError as error:
            descriptions.append({"name": name, "error": str(error)})
    if as_json:
        print_json(descriptions)
        return
    if not descriptions:
        console.print(f"No corpora in {place.root} yet. Build one with `cpt-studio corpus build`.")
        return
    table = Table()
    for title in ("Corpus", "Documents", "Bytes", "Training tokens", "Built"):
        words = title in ("Corpus", "Built")
        table.add_column(title, justify="left" if words else "right", no_wrap=title == "Corpus")
    for one in descriptions:
        if "error" in one:
            table.add_row(one["name"], "", "", "", escape(one["error"]))
            continue
        kept = {side: one["report"]["documents"].get(side, 0) for side in _SIDES}
        size = sum(one["report"]["text_bytes"].get(side, 0) for side in _SIDES)
        tokens = [
            f"{store['tokens']['train']:,}" for store in one["tokenisations"] if "tokens" in store
        ]
        table.add_row(
            one["name"],
            f"{sum(kept.values()):,}",
            f"{size:,}",
            " / ".join(tokens),
            one["created"][:10],
        )
    console.print(table)


_SIDES = ("train", "validation", "test")


def model_path_of(model: str | None, workspace: Workspace) -> Path | None:
    """Return the folder of the model that `--model` names."""
    if model is None:
        return None
    from cptstudio.evaluation.references import resolve_reference

    return resolve_reference(model, workspace).model


def phases_on(bar: Progress) -> build_progress.ProgressCallback:
    """Return what draws a build's progress on a bar, one phase at a time."""

    def tell(moment: build_progress.Progress) -> None:
        files = moment.detail
        total = moment.bytes_total or None
        if [task.description for task in bar.tasks] != [moment.phase]:
            for task in bar.tasks:
                bar.remove_task(task.id)
            bar.add_task(moment.phase, total=total, detail=files)
        bar.update(bar.task_ids[0], completed=moment.bytes_done, total=total, detail=files)

    return tell
