"""`cpt-studio facts`: ledgers of facts that models are asked and never trained on."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.child_limits import for_files
from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    console,
    errors,
    print_json,
)
from cptstudio.cli.facts_by_writer import make_by_writer, refuse_fields
from cptstudio.cli.measured import (
    EndpointOption,
    FastBlasOption,
    ModelsArgument,
    corpus_of,
    references_of,
)
from cptstudio.cli.programs import run_program, run_reported
from cptstudio.cli.setting_options import with_field_options
from cptstudio.durable import MEBIBYTE, dump_json
from cptstudio.errors import UserError
from cptstudio.evaluation.references import request_of
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.texts import read_text
from cptstudio.facts.choices import ONLY_WRITTEN, MakeChoices, WriteChoices
from cptstudio.facts.programs import ASK, LEAKS, MAKE
from cptstudio.ledgers import ledger as ledgers
from cptstudio.ledgers.fact import Fact, FactText, Made, Source, fact_of, stored
from cptstudio.ledgers.ledger import Ledger, add_facts, ledger_names, read_fact_lines, read_ledger
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

app = typer.Typer(
    help="Fact ledgers: questions about your documents, asked of models and never trained on.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
LedgerArgument = Annotated[str, typer.Argument(metavar="LEDGER", help="Ledger name.")]
_LARGEST = 64 * MEBIBYTE


@app.command()
@with_field_options(WriteChoices)
def make(
    ledger: LedgerArgument,
    corpus: Annotated[str, typer.Option("--corpus", "-c", metavar="NAME", help="Corpus to ask.")],
    writer: Annotated[
        str | None,
        typer.Option(
            "--writer",
            metavar="MODEL",
            help="A local instruct model (a base model, RUN, RUN@best), or the model of --endpoint "
            "(default: cloze facts, without any model).",
        ),
    ] = None,
    endpoint: EndpointOption = None,
    yes: YesOption = False,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make facts from a corpus: cloze facts without any model, or questions that a model writes.

    Cloze: a name, number or term is taken out of the sentence that states it; distractors of the
    same kind come from the same corpus. With --writer, a model writes one question per passage, and
    code checks it against the passage. Each answer is kept: repeat the command to go on. An
    endpoint is asked after you confirmed. The ledger is created if it does not exist.

    Examples:
    - `cpt-studio facts make manuals --corpus r-manuals --count 200`

    - `cpt-studio facts make manuals --corpus r-manuals --writer my-instruct-model`

    - `cpt-studio facts make manuals --corpus notes --writer gpt-x --endpoint api.example.com`
    """
    place = Workspace(workspace)
    corpus_of(corpus, place)
    ledgers.ledger_folder(place, ledger)
    request = {"workspace": place.root, "ledger": ledger, "corpus": corpus}
    if writer is not None:
        make_by_writer(request, writer, endpoint, yes, given, fast_blas, as_json)
        return
    if endpoint is not None:
        raise UserError("Name the endpoint's model with --writer.")
    refuse_fields(given, ONLY_WRITTEN, "facts that a model writes: add --writer")
    choices = checked(MakeChoices, **given)
    request["choices"] = choices.model_dump(mode="json")
    made = run_program(MAKE, request, quiet=as_json, limits=for_files())
    if as_json:
        print_json(made)
        return
    counts = made["counts"]
    console.print(
        f"Made {made['made']:,} facts from {counts['documents']:,} documents "
        f"({counts['sound']:,} of {counts['sentences']:,} sentences stand on their own); "
        f"{made['new']:,} are new in the ledger {ledger}.",
        soft_wrap=True,
    )


@app.command()
def add(
    ledger: LedgerArgument,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.jsonl", help="One fact per line; - for standard input."),
    ] = None,
    question: Annotated[str | None, typer.Option(help="A question.")] = None,
    cloze: Annotated[
        str | None, typer.Option(help="A sentence with ___ where the answer belongs.")
    ] = None,
    answer: Annotated[str | None, typer.Option(help="The right answer.")] = None,
    distractors: Annotated[
        list[str] | None, typer.Option("--distractor", help="A wrong answer; repeat for more.")
    ] = None,
    paraphrases: Annotated[
        list[str] | None,
        typer.Option("--paraphrase", help="The question in other words; repeat for more."),
    ] = None,
    sentence: Annotated[str, typer.Option(help="The sentence that proves it.")] = "",
    corpus: Annotated[str, typer.Option(help="The corpus it is from.")] = "",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Add facts from a JSONL file, or one fact from options.

    Examples:
    - `cpt-studio facts add manuals facts.jsonl`

    - `cpt-studio facts add manuals --question "Who wrote R?" --answer "Ross Ihaka"`
    """
    place = Workspace(workspace)
    single = (question, cloze, answer, *(distractors or ()), *(paraphrases or ()))
    if (file is not None) == any(value is not None for value in single):
        raise UserError("Give either a FILE.jsonl, or --answer with --question or --cloze.")
    if file is not None:
        shown = "Standard input" if str(file) == "-" else str(file)
        text = sys.stdin.read(_LARGEST) if str(file) == "-" else read_text(file, _LARGEST)
        facts = read_fact_lines(text, shown)
    else:
        given = checked(
            FactText,
            **({} if answer is None else {"answer": answer}),
            question=question,
            cloze=cloze,
            distractors=tuple(distractors or ()),
            paraphrases=tuple(paraphrases or ()),
            source=Source(corpus=corpus, sentence=sentence),
        )
        facts = [fact_of(given, Made())]
    new = add_facts(place, ledger, facts)
    console.print(f"Added {new:,} of {len(facts):,} facts to the ledger {ledger}.")
    if new < len(facts):
        console.print("The others were there already.")


@app.command("list")
def list_ledgers(workspace: WorkspaceOption = Path(), as_json: JsonOption = False) -> None:
    """List the ledgers of the workspace.

    Example: `cpt-studio facts list`
    """
    place = Workspace(workspace)
    found = [read_ledger(place, name) for name in ledger_names(place)]
    if as_json:
        print_json({one.name: _facts_of(one) for one in found})
        return
    for one in found:
        documents = len({fact.source.label for fact in one.facts})
        console.print(f"{one.name}: {len(one.facts):,} facts of {documents:,} documents")
    if not found:
        console.print(f"No ledgers in {place.root} yet. Create one with `cpt-studio facts make`.")


def _facts_of(ledger: Ledger) -> dict[str, Any]:
    return {
        "facts": len(ledger.facts),
        "created": ledger.created,
        "fingerprint": ledger.fingerprint,
        "by": dict(Counter(fact.made.by for fact in ledger.facts)),
        "problems": list(ledger.problems),
    }


@app.command()
def show(
    ledger: LedgerArgument,
    fact: Annotated[
        str | None, typer.Argument(metavar="FACT", help="Only the fact with this ID.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Show the facts of a ledger, with their sources.

    With --json, one fact per line, as `cpt-studio facts add` reads them.

    Example: `cpt-studio facts show manuals`
    """
    one = read_ledger(Workspace(workspace), ledger)
    facts = one.facts if fact is None else (one.fact(fact),)
    if as_json:
        for entry in facts:
            sys.stdout.write(dump_json(stored(entry)) + "\n")
        return
    for problem in one.problems:
        errors.print(f"[yellow]Note:[/] {escape(problem)}", soft_wrap=True)
    for entry in facts:
        _print_fact(entry)


def _print_fact(fact: Fact) -> None:
    console.print(f"[bold]{fact.id}[/] [dim]{escape(fact.source.label)}[/]", soft_wrap=True)
    for wording in fact.wordings:
        console.print(f"  {wording.form}: {escape(wording.text)}", soft_wrap=True)
        wrong = "; ".join(wording.distractors)
        console.print(
            f"    = {escape(wording.answer)}" + (f"  [dim]not {escape(wrong)}[/]" if wrong else ""),
            soft_wrap=True,
        )


@app.command()
def remove(
    ledger: LedgerArgument,
    facts: Annotated[list[str], typer.Argument(metavar="FACT...", help="IDs of facts.")],
    workspace: WorkspaceOption = Path(),
) -> None:
    """Remove facts from a ledger by their IDs.

    Example: `cpt-studio facts remove manuals 1d48b2e90195dda4`
    """
    ledgers.remove_facts(Workspace(workspace), ledger, facts)
    console.print(f"Removed {len(set(facts)):,} facts from the ledger {ledger}.")


@app.command()
def ask(
    ledger: LedgerArgument,
    models: ModelsArgument,
    open_book: Annotated[
        bool,
        typer.Option(
            "--open-book/--no-open-book",
            help="Ask again with the source text in the context: what the model could answer if it "
            "had just read it.",
        ),
    ] = True,
    said: Annotated[
        bool,
        typer.Option(
            "--said/--no-said", help="Also let models answer questions in their own words."
        ),
    ] = True,
    per_byte: Annotated[
        bool,
        typer.Option("--per-byte", help="Divide likelihoods by the bytes of each option."),
    ] = False,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Ask models the facts of a ledger; the first model is the baseline.

    Each fact is known before, learned, unknown or forgotten. Facts of documents that no run trained
    on show what guessing gives. Answers are kept, so nothing is asked twice.

    Example: `cpt-studio facts ask manuals demo-base first`
    """
    place = Workspace(workspace)
    read_ledger(place, ledger)
    request = {
        "ledger": ledger,
        "models": [request_of(reference) for reference in references_of(models, place)],
        "how": {"open_book": open_book, "said": said, "per_byte": per_byte},
    }
    run_reported(ASK, request, place, _show_found, fast_blas=fast_blas, as_json=as_json)


_STATES = {
    "known_before": "Known before",
    "learned": "Learned",
    "forgotten": "Forgotten",
    "unknown": "Unknown",
}
_GROUPS = {"trained": "trained on", "held_out": "held out", "all": "all facts"}


def _show_found(found: dict[str, Any]) -> None:
    for note in found["notes"]:
        console.print(f"Note: {escape(note)}", soft_wrap=True)
    table = Table(title=f"{len(found['facts']):,} facts of {escape(found['ledger'])}")
    for title in ("Model", "Facts", "Right", "Chance", "Known", "Open book", "Reversed", "Said"):
        table.add_column(title, justify="left" if title in ("Model", "Facts") else "right")
    for model in found["models"]:
        for group, of in model["groups"].items():
            chance = "-" if of["chance"] is None else f"{of['chance']:.1%}"
            shares = [of[name] for name in ("known", "open_book", "reversed", "said")]
            table.add_row(
                escape(model["label"]),
                _GROUPS[group],
                _share(of["right"]),
                chance,
                *map(_share, shares),
            )
    console.print(table)
    for model in found["models"][1:]:
        states = Table(title=f"{escape(model['label'])} compared with {_first(found)}")
        for title in ("Document", "Facts", *_STATES.values()):
            states.add_column(title, justify="left" if title == "Document" else "right")
        for one in model["documents"]:
            name = f"{escape(one['document'])} ({_GROUPS[one['group']]})"
            _add_states(states, name, one["facts"], one["states"])
        for group, of in model["states"].items():
            count = sum(share["right"] for share in of.values() if share)
            _add_states(states, f"[bold]{_GROUPS[group]}[/]", count, of)
        console.print(states)
    console.print(
        f"Known: the right answer leads so clearly that at most {found['guesses']:.0%} of these "
        "facts are expected to be lucky guesses. In brackets: 95% intervals.",
        soft_wrap=True,
    )


def _first(found: dict[str, Any]) -> str:
    return escape(found["models"][0]["label"])


def _add_states(table: Table, name: str, count: int, states: dict[str, Any]) -> None:
    table.add_row(name, f"{count:,}", *(_share(states[state], count=True) for state in _STATES))


def _share(share: dict[str, Any] | None, *, count: bool = False) -> str:
    if share is None:
        return "-"
    shown = f"{share['right']:,}" if count else f"{share['value']:.1%}"
    return f"{shown} [{share['low']:.0%} to {share['high']:.0%}]".replace("[", "\\[")


@app.command()
def leaks(
    ledger: LedgerArgument,
    of_run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Check all corpora of this run.")
    ] = None,
    corpora: Annotated[
        list[str] | None,
        typer.Option("--corpus", "-c", metavar="NAME", help="Corpus to check; repeat for more."),
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Check training text for the wordings of a ledger's questions.

    Reports questions and paraphrases in any corpus, sentences of held-out facts in any corpus, and
    sentences of facts in corpora other than their own. Ends with status 1 if something is found.

    Example: `cpt-studio facts leaks manuals --run first`
    """
    place = Workspace(workspace)
    read_ledger(place, ledger)
    if (of_run is None) == (not corpora):
        raise UserError("Give either --run or --corpus.")
    if of_run is not None and of_run not in place.run_names():
        known = ", ".join(place.run_names()) or "none"
        raise UserError(f"There is no run {of_run!r} in {place.root}. Existing runs: {known}.")
    names = list(dict.fromkeys(corpora or ()))
    for name in names:
        corpus_of(name, place)
    request = {"workspace": place.root, "ledger": ledger, "run": of_run, "corpora": names}
    report = run_program(LEAKS, request, quiet=as_json, limits=for_files())["report"]
    found = Reports(place).read(report)["result"]
    if as_json:
        print_json({"report": report, **found})
    else:
        _show_leaks(found)
        console.print(f"Saved as report {report}.")
    if found["found"]:
        raise typer.Exit(1)


_LEAKS = {
    "wording": "question in training text",
    "held_out": "held-out sentence in training text",
    "elsewhere": "sentence repeated in another corpus",
}


def _show_leaks(found: dict[str, Any]) -> None:
    for one in found["found"]:
        console.print(
            f"{one['fact']}: {_LEAKS[one['kind']]}, {escape(one['corpus'])}, "
            f"{escape(one['document'])} ({one['share']:.0%} of its words)",
            soft_wrap=True,
        )
        console.print(f"  [dim]{escape(one['excerpt'])}[/]", soft_wrap=True)
    short = f" {found['too_short']:,} texts are too short to tell." if found["too_short"] else ""
    console.print(
        f"{found['leaked']:,} of {found['facts']:,} facts leak into {found['documents']:,} "
        f"training documents ({found['wordings']:,} texts looked for).{short}",
        soft_wrap=True,
    )
