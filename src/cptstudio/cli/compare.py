"""`cpt-studio compare` and `cpt-studio score`: several models on one prompt or text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cptstudio.cli.common import (
    JsonOption,
    WorkspaceOption,
    console,
    errors,
    metric_text,
    print_json,
)
from cptstudio.cli.measured import FastBlasOption, ModelsArgument, references_of
from cptstudio.cli.setting_options import with_field_options
from cptstudio.cli.typed_options import whole
from cptstudio.durable import real_path
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score, Windows
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.texts import LARGEST, read_text
from cptstudio.metrics import MEASURES
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

_SHOWN_TOKENS = 12


@with_field_options(Sampling, leave_out={"seed"})
def compare(
    models: ModelsArgument,
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="Prompt to continue; - reads standard input.")
    ],
    seed: Annotated[
        list[int] | None, whole(least=0, help="Random seed; repeat for several outputs per model.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Generate from several models with the same prompt and seed.

    Example: `cpt-studio compare demo-base first --prompt "def read_lines(path):"`
    """
    references = references_of(models, Workspace(workspace))
    text = sys.stdin.read() if prompt == "-" else prompt
    ask = checked(
        Complete,
        labels=tuple(reference.label for reference in references),
        prompts=(Prompt(text=text),),
        sampling=checked(Sampling, **given),
        seeds=tuple(seed or ()),
        alternatives=0,
    )
    with InferenceWorker(fast_blas=fast_blas) as worker:
        _load(worker, references)
        made: dict[int, list[str]] = {}
        for answer in worker.ask(ask):
            if "piece" in answer:
                piece = answer["piece"]
                made.setdefault(piece["text_number"], []).append(piece["text"])
            result = answer.get("result")
    assert result is not None
    texts = [
        {**entry, "text": "".join(made.get(number, ()))}
        for number, entry in enumerate(result["texts"])
    ]
    if as_json:
        settings = ask.sampling.model_dump(mode="json", exclude={"seed"})
        print_json({"prompt": text, "sampling": settings, "texts": texts})
        return
    for entry in texts:
        rate = entry["tokens_per_second"]
        speed = f", {rate:.0f} tokens/s" if rate else ""
        console.rule(escape(f"{entry['label']}, seed {entry['seed']}"))
        console.print(f"[dim]{escape(text)}[/]{escape(entry['text'])}", soft_wrap=True)
        errors.print(f"[dim]{entry['tokens']} tokens, stopped by {entry['finish']}{speed}[/]")


@with_field_options(Windows)
def score(
    models: ModelsArgument,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", "-t", help="Text to score; - reads standard input.", show_default=False
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="File to score.")] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Score a text: loss, perplexity, bits per byte, and the tokens that differ most.

    With --json, the output has the nats of every token and its position in the text.

    Example: `cpt-studio score demo-base first --file notes.txt`
    """
    references = references_of(models, Workspace(workspace))
    if (text is None) == (file is None):
        raise UserError("Use either --text or --file.")
    if file is not None:
        content = read_text(real_path(file), LARGEST, str(file))
    else:
        content = sys.stdin.read() if text == "-" else text or ""
    if not content:
        raise UserError("The text is empty, so there is nothing to score.")
    labels = tuple(reference.label for reference in references)
    with InferenceWorker(fast_blas=fast_blas) as worker:
        _load(worker, references)
        result = worker.result(checked(Score, labels=labels, texts=(content,), **given))
    if as_json:
        print_json(result)
        return
    table = Table(title=f"{len(content.encode()):,} bytes; windows of {result['context_length']:,}")
    table.add_column("Model")
    for title in ("Tokens", *(measure.title for measure in MEASURES)):
        table.add_column(title, justify="right")
    for model in result["models"]:
        values = [metric_text(model, measure.name) for measure in MEASURES]
        table.add_row(escape(model["label"]), f"{model['tokens']:,}", *values)
    console.print(table)
    for model in result["models"][1:]:
        _print_differences(content, result["models"][0], model)


def _load(worker: InferenceWorker, references: list[ModelReference]) -> None:
    with errors.status("Loading", spinner="line"):
        worker.load(references)


def _print_differences(text: str, base: dict[str, Any], model: dict[str, Any]) -> None:
    """The tokens that became likeliest and unlikeliest against the first model."""
    if model["tokenizer"] != base["tokenizer"]:
        console.print(
            f"{escape(model['label'])} uses a different tokenizer, so its tokens can't be "
            "compared one by one."
        )
        return
    (before,), (after,) = base["texts"], model["texts"]
    change = [new - old for new, old in zip(after["nats"], before["nats"], strict=True)]
    order = sorted(range(len(change)), key=lambda index: change[index])
    for title, chosen in (
        ("more likely", [index for index in order[:_SHOWN_TOKENS] if change[index] < 0]),
        ("less likely", [i for i in reversed(order[-_SHOWN_TOKENS:]) if change[i] > 0]),
    ):
        words = (
            f"{text[slice(*after['places'][index])]!r} {change[index]:+.2f}" for index in chosen
        )
        console.print(
            escape(f"{model['label']}, {title} (change in nats): {', '.join(words) or 'none'}")
        )
