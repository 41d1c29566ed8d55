"""`cpt-studio generate`: one model goes on from a prompt."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cptstudio.cli.common import JsonOption, WorkspaceOption, errors, print_json
from cptstudio.cli.measured import FastBlasOption
from cptstudio.cli.setting_options import with_field_options
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
from cptstudio.evaluation.references import resolve_reference
from cptstudio.terminal import visible
from cptstudio.validation import checked
from cptstudio.workspace import Workspace


@with_field_options(Sampling)
def generate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A base model, RUN, RUN@best or RUN@200.")
    ],
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", help="Prompt to continue; - reads standard input.")
    ],
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
    as_json: JsonOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Generate text from a prompt (raw text, no chat template).

    Example: `cpt-studio generate first --prompt "def read_lines(path):" --max-tokens 60`
    """
    reference = resolve_reference(model, Workspace(workspace))
    text = sys.stdin.read() if prompt == "-" else prompt
    ask = checked(
        Complete,
        labels=(reference.label,),
        prompts=(Prompt(text=text),),
        sampling=checked(Sampling, **given),
        alternatives=0,
    )
    made: list[str] = []
    # A model's text may hold anything; a file or a program behind a pipe gets it as it is.
    shown = visible if sys.stdout.isatty() else str
    with InferenceWorker(fast_blas=fast_blas) as worker:
        with errors.status("Loading", spinner="line"):
            worker.load([reference])
        if not as_json:
            sys.stdout.write(shown(text))
        for answer in worker.ask(ask):
            if "piece" in answer:
                made.append(answer["piece"]["text"])
                if not as_json:
                    sys.stdout.write(shown(made[-1]))
                    sys.stdout.flush()
            if "result" in answer:
                (end,) = answer["result"]["texts"]
    if as_json:
        facts = {key: value for key, value in end.items() if key != "label"}
        print_json({"model": reference.label, "prompt": text, "text": "".join(made), **facts})
        return
    sys.stdout.write("\n")
    sys.stdout.flush()
    rate = end["tokens_per_second"]
    speed = f", {rate:.0f} tokens/s" if rate else ""
    errors.print(f"[dim]{escape(reference.label)}: {end['tokens']} tokens{speed}[/]")
