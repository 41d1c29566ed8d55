"""`cpt-studio evaluate` and `cpt-studio generate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cptstudio.cli.common import JsonOption, WorkspaceOption, console, errors, print_json
from cptstudio.cli.programs import answers
from cptstudio.errors import UserError
from cptstudio.testing.references import ModelReference, resolve_reference
from cptstudio.workspace import Workspace

FastBlasOption = Annotated[
    bool,
    typer.Option(
        "--fast-blas/--no-fast-blas", help="On a Linux CPU: use an optimised BLAS under MLX."
    ),
]


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Base models, or runs: RUN (its last checkpoint), RUN@best, RUN@200.",
        ),
    ],
    corpora: Annotated[
        list[str] | None,
        typer.Option("--corpus", "-c", help="A corpus to measure on; repeat for more."),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            "--text",
            "-t",
            metavar="FILE",
            help='A text file, or a .jsonl file with a "text" in each line; repeat for more.',
        ),
    ] = None,
    side: Annotated[
        str, typer.Option(metavar="validation|test", help="Which held-out documents.")
    ] = "validation",
    max_bytes: Annotated[
        int,
        typer.Option(min=1000, help="Held-out text of each corpus; always the same documents."),
    ] = 400_000,
    context_length: Annotated[
        int | None,
        typer.Option(
            min=8, help="Window in tokens.", show_default="what all models allow, at most 2,048"
        ),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="New tokens in each window of a long document; fewer give each more to look back "
            "on, and take longer.",
            show_default="the whole window",
        ),
    ] = None,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Measure models on held-out text, in bits per byte.

    Bits per byte compare models with different tokenizers; lower is better. The first model is
    what the others are compared with: the range behind a value holds its difference from that
    with 95 % certainty (paired bootstrap over documents), and a star marks one that leaves out
    zero. Documents that one of the models trained on are left out. What was measured before is
    not measured again.

    Example: `cpt-studio evaluate demo-base first first@best -c python-source`
    """
    place = Workspace(workspace)
    if side not in ("validation", "test"):
        raise UserError(f"--side must be validation or test, not {side!r}.")
    if not corpora and not texts:
        raise UserError("Say what to measure on: --corpus NAME or --text FILE.")
    names = [*(corpora or ()), *(str(path) for path in texts or ())]
    references = [resolve_reference(text, place) for text in models]
    request = {
        "workspace": place.root,
        "models": [_model(reference) for reference in references],
        "corpora": [_corpus(name, place) for name in corpora or ()],
        "texts": [{"name": str(path), "path": path.absolute()} for path in texts or ()],
        "side": side,
        "max_bytes": max_bytes,
        "context_length": context_length,
        "stride": stride,
        "fast_blas": fast_blas,
    }
    result = _with_progress(request, quiet=as_json)
    if as_json:
        print_json(result)
        return
    console.print(_table(result, names))
    for note in result["notes"]:
        errors.print(f"[yellow]Note:[/] {escape(note)}", soft_wrap=True)


def _model(reference: ModelReference) -> dict[str, Any]:
    return {
        "label": reference.label,
        "model": reference.model,
        "adapter": reference.adapter,
        "run": reference.run,
    }


def _corpus(name: str, workspace: Workspace) -> dict[str, Any]:
    folder = workspace.corpus(name)
    if not folder.is_dir():
        known = ", ".join(workspace.corpus_names()) or "none yet"
        raise UserError(f"There is no corpus {name!r} in {workspace.root}. There are: {known}.")
    return {"name": name, "path": folder}


def _with_progress(request: dict[str, Any], quiet: bool) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TextColumn("tokens"),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=quiet,
    ) as bar:
        task = bar.add_task("loading", total=None)
        for answer in answers("cptstudio.testing.evaluate", request):
            if "result" in answer:
                result: dict[str, Any] = answer["result"]
                return result
            step = answer["progress"]
            bar.update(task, description=step["doing"], completed=step["done"], total=step["total"])
    raise AssertionError("answers() raises when there is no result")


def _table(result: dict[str, Any], corpora: list[str]) -> Table:
    table = Table(title=f"Bits per byte on held-out text ({result['side']}; lower is better)")
    table.add_column("Model")
    for name in corpora:
        table.add_column(escape(name), justify="right")
    first = result["models"][0]["corpora"]
    for model in result["models"]:
        cells = [_cell(model["corpora"][name], first[name]) for name in corpora]
        table.add_row(escape(model["label"]), *cells)
    measured = ", ".join(
        f"{name}: {first[name]['documents']:,} documents, {first[name]['bytes']:,} bytes"
        for name in corpora
    )
    table.caption = escape(measured)
    return table


def _cell(measured: dict[str, Any], first: dict[str, Any]) -> str:
    value, base = measured["bits_per_byte"], first["bits_per_byte"]
    if not isinstance(value, float):
        return str(value)
    cell = f"{value:.4f}"
    difference = measured.get("difference")
    if difference is None or not isinstance(base, float):
        return cell
    cell += f" ({(value / base - 1) * 100:+.1f} %)"
    if difference["low"] is not None:
        star = "*" if difference["sure"] else ""
        cell += f"\n{difference['low']:+.4f} to {difference['high']:+.4f}{star}"
    return cell


def generate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A base model, RUN, RUN@best or RUN@200.")
    ],
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="Text to go on from; - reads standard input.")
    ],
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to make at most.")] = 100,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus; 0 turns it off.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same text.")] = 0,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
) -> None:
    """Let a model go on from a prompt, as raw text (no chat template).

    Example: `cpt-studio generate first --prompt "def read_lines(path):" --max-tokens 60`
    """
    reference = resolve_reference(model, Workspace(workspace))
    text = sys.stdin.read() if prompt == "-" else prompt
    request = {
        "model": reference.model,
        "adapter": reference.adapter,
        "prompt": text,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "fast_blas": fast_blas,
    }
    if not as_json:
        sys.stdout.write(text)
    made = []
    for answer in answers("cptstudio.testing.generate", request):
        if "result" in answer:
            result = answer["result"]
            continue
        made.append(answer["progress"]["text"])
        if not as_json:
            sys.stdout.write(made[-1])
            sys.stdout.flush()
    if as_json:
        print_json({"model": reference.label, "prompt": text, "text": "".join(made), **result})
        return
    sys.stdout.write("\n")
    sys.stdout.flush()
    rate = result.get("tokens_per_second", 0.0)
    errors.print(f"[dim]{reference.label}: {result['tokens']} tokens, {rate:.0f} tokens/s[/]")
