"""`cpt-studio models list`, `show` and `delete`: every model of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    YesOption,
    confirm,
    console,
    moment,
    print_json,
)
from cptstudio.errors import UserError
from cptstudio.evaluation.references import resolve_reference
from cptstudio.lm.chat_format import sentence_of
from cptstudio.lm.chat_reader import read_chat_format
from cptstudio.models import deletion, lineage
from cptstudio.models.library import ModelLibrary
from cptstudio.models.lineage import Node
from cptstudio.models.registry import Kind, ModelRecord, ModelRegistry, pick
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.serving.facts import why_served
from cptstudio.workspace import Workspace

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A name from `models list`, or RUN@best, RUN@200.")
]


def records_of(workspace: Workspace) -> list[ModelRecord]:
    """Return all models of this machine."""
    return ModelRegistry(workspace, ModelLibrary(workspace)).records()


def list_models(
    workspace: WorkspaceOption = Path(),
    kind: Annotated[
        Kind | None, typer.Option(help="Only models of this kind (default: all but checkpoints).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models on this machine: base, downloaded, merged, exported, checkpoints.

    Use a name from the first column with `--model`. With `--json`, checkpoints are always listed.

    Example: `cpt-studio models list --kind checkpoint`
    """
    place = Workspace(workspace)
    records = records_of(place)
    wanted = [one for one in records if kind in (None, one.kind)]
    if as_json:
        print_json([_facts(record) for record in wanted])
        return
    if kind is None:
        wanted = [one for one in wanted if one.kind != "checkpoint"]
    if not wanted:
        what = "models" if kind is None else f"models of the kind {kind}"
        console.print(
            f"No {what} in {place.root} or the Hugging Face cache. "
            "Download one with `cpt-studio models download`.",
            soft_wrap=True,
        )
    else:
        console.print(_table(wanted))
    _tell_broken(wanted)
    checkpoints = [one for one in records if one.kind == "checkpoint"]
    if kind is None and checkpoints:
        runs = len({one.run for one in checkpoints})
        console.print(
            f"And {len(checkpoints)} checkpoints of {runs} runs: "
            "`cpt-studio models list --kind checkpoint`.",
            soft_wrap=True,
        )


def show(
    model: ModelArgument, workspace: WorkspaceOption = Path(), as_json: JsonOption = False
) -> None:
    """Show one model: what it is, what it was made from, and what was made from it.

    Example: `cpt-studio models show first@best`
    """
    place = Workspace(workspace)
    records = records_of(place)
    record = find(model, place, records)
    made_from, made_into = lineage.ancestors(record, records), lineage.descendants(record, records)
    if as_json:
        nodes = {
            "made_from": [asdict(node) for node in made_from],
            "made_into": [asdict(node) for node in made_into],
        }
        print_json(_facts(record) | nodes)
        return
    table = Table.grid(padding=(0, 2))
    for name, value in [*_lines(record), *_chat_lines(record)]:
        table.add_row(name, escape(value))
    console.print(table)
    for title, tree in (("Made from", made_from), ("Made into", made_into)):
        if tree:
            console.print(f"{title}:")
        for node in tree:
            console.print(f"  {'  ' * node.depth}{escape(_step(node))}", soft_wrap=True)


def delete(
    model: ModelArgument, yes: YesOption = False, workspace: WorkspaceOption = Path()
) -> None:
    """Delete a model of the workspace: a base model, merge, export or checkpoint.

    Lists what depends on it, then asks. There is no undo in the terminal.

    Example: `cpt-studio models delete first@step-00000100`
    """
    place = Workspace(workspace)
    manager = TrainingManager(place)
    records = records_of(place)
    record = find(model, place, records)
    outlook = deletion.look(record, records, manager.runs(), why_served(place, record.folder))
    if outlook.refusal is not None:
        raise UserError(f"{record.name} can't be deleted. {outlook.refusal}")
    for sentence in outlook.consequences:
        console.print(escape(sentence), soft_wrap=True)
    confirm(f"Delete {record.folder} ({_size(record)})?", yes)
    deletion.delete(record, manager)
    console.print(f"Deleted {escape(record.name)}.")


def find(text: str, workspace: Workspace, records: Sequence[ModelRecord]) -> ModelRecord:
    """The model that somebody at the terminal names.

    Raises:
        UserError: there is none.
    """
    try:
        return pick(text, records)
    except UserError:
        if "@" not in text and text not in workspace.run_names():
            raise
    return pick(resolve_reference(text, workspace).label, records)


_WIDE = 100
"""Characters of a line from which a table has its last columns, too."""


def _table(records: Sequence[ModelRecord]) -> Table:
    table = Table()
    table.add_column("Model", overflow="fold")
    for title in ("Kind", "Architecture", "Weights"):
        table.add_column(title, no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    wide = console.width >= _WIDE
    if wide:
        table.add_column("Parameters", justify="right", no_wrap=True)
        table.add_column("Context", justify="right", no_wrap=True)
        table.add_column("License", overflow="fold")
    for record in records:
        about = record.description
        row = [
            record.reference,
            record.kind,
            about.model_type if about else "",
            _weights(record),
            _size(record),
            f"{about.parameters / 1e6:,.0f}M" if about else "",
            f"{about.context_limit:,}" if about and about.context_limit else "",
            record.license or "",
        ]
        table.add_row(*map(escape, row if wide else row[:5]))
    return table


def _tell_broken(records: Sequence[ModelRecord]) -> None:
    for record in records:
        if record.error is not None:
            text = f"{record.reference} can't be used: {record.error}"
            console.print(escape(text), style="yellow", soft_wrap=True)


def _weights(record: ModelRecord) -> str:
    if record.adapter:
        return f"{record.method or 'lora'} adapter"
    if record.export is not None:
        return record.export.weights
    about = record.description
    if about is None:
        return ""
    if about.quantization is None:
        return about.dtype
    bits, method = about.quantization.bits, about.quantization.method
    return f"{bits}-bit{'' if method == 'mlx' else f' ({method})'}" if bits else method


def _size(record: ModelRecord) -> str:
    return "" if record.bytes is None else f"{record.bytes / 1e6:,.1f} MB"


def _lines(record: ModelRecord) -> list[tuple[str, str]]:
    about = record.description
    named = "" if record.license_of is None else f" (as {record.license_of} names it)"
    training = f", {(record.training_bytes or 0) / 1e6:,.1f} MB of it only to resume"
    return [
        ("model", record.reference),
        ("kind", record.kind),
        ("folder", str(record.folder)),
        *([("problem", record.error)] if record.error else []),
        *([("merge", record.merge)] if record.merge else []),
        *(
            [
                ("architecture", about.model_type),
                ("parameters", f"{about.parameters:,}"),
                ("context", f"{about.context_limit:,} tokens" if about.context_limit else "-"),
                ("chat template", "yes" if about.has_chat_template else "no"),
            ]
            if about
            else []
        ),
        ("weights", _weights(record) or "-"),
        ("license", f"{record.license}{named}" if record.license else "-"),
        ("size", _size(record) + (training if record.training_bytes else "")),
        ("created", moment(record.created or 0)),
    ]


def _chat_lines(record: ModelRecord) -> list[tuple[str, str]]:
    """Where an answer ends; nothing where there is no chat, or no folder that tells."""
    about = record.description
    if about is None or not about.has_chat_template or record.error is not None:
        return []
    try:
        # An adapter's chat is its base's, whose folder the description names.
        found = read_chat_format(about.path)
    except UserError as error:
        return [("chat", str(error))]
    warning = [("warning", found.warning)] if found.warning is not None else []
    return [("answer ends", sentence_of(found)), *warning]


_STEPS = {
    "base": "base", "parent": "continued from", "part": "part", "source": "export of",
    "card": "by its card", "download": "downloaded from", "run": "run",
}  # fmt: skip


def _step(node: Node) -> str:
    count = f", {node.count} checkpoints" if node.count else ""
    weight = f" x {node.weight:g}" if node.weight is not None else ""
    gone = "" if node.reference or node.relation in ("download", "run") else " (not here)"
    return f"{_STEPS[node.relation]}: {node.label}{weight}{count}{gone}"


def _facts(record: ModelRecord) -> dict[str, Any]:
    facts = asdict(record) | {
        "id": record.reference,
        "path": str(record.folder),
        "origin": record.origin.model_dump() if record.origin else None,
        "export": record.export.model_dump() if record.export else None,
    }
    del facts["reference"], facts["folder"]
    return facts
