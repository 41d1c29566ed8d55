"""`cpt-studio chat`: a conversation with a model in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cptstudio.cli.chat_session import COMMANDS, ChatSession, Reader
from cptstudio.cli.common import WorkspaceOption, errors
from cptstudio.cli.measured import FastBlasOption
from cptstudio.cli.setting_options import with_field_options
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.references import resolve_reference
from cptstudio.lm.chat_format import ChatFormat, sentence_of
from cptstudio.lm.chat_reader import read_chat_format
from cptstudio.sampling import PLAYGROUND_SAMPLING, Sampling
from cptstudio.validation import checked
from cptstudio.workspace import Workspace

_DEFAULTS: dict[str, Any] = dict(PLAYGROUND_SAMPLING["chat"])
_HELP = "\n".join(f"- `{command}` {words}" for command, words in COMMANDS)


def chat(
    given: dict[str, Any],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model, RUN, RUN@best or RUN@200.")
    ],
    system: Annotated[
        str | None,
        typer.Option("--system", "-s", help="System prompt, where the template has one."),
    ] = None,
    thinking: Annotated[
        bool,
        typer.Option(
            "--thinking", help="Show the model's thinking, dimmed, instead of its length."
        ),
    ] = False,
    workspace: WorkspaceOption = Path(),
    fast_blas: FastBlasOption = True,
) -> None:
    reference = resolve_reference(model, Workspace(workspace))
    sampling = checked(Sampling, **{**_DEFAULTS, **given})
    with errors.status("Reading the chat template", spinner="line"):
        form = read_chat_format(reference.model)
    if not form.has_template:
        raise UserError(
            f"{reference.label} has no chat template, as base models have none. Use "
            "`cpt-studio generate` to continue raw text."
        )
    with InferenceWorker(fast_blas=fast_blas) as worker:
        with errors.status("Loading", spinner="line"):
            worker.load([reference])
        _tell_format(reference.label, form)
        session = ChatSession(worker, reference.label, form, sampling, system, thinking)
        session.run(Reader(sys.stdin))


chat.__doc__ = f"""Chat with a model in the terminal.

The model's own chat template is applied. Each answer is followed by why it ended: the token that
ends a turn, by name; the token limit; a stop sequence; or you. Thinking is folded into a line.

Example: `cpt-studio chat first@best --system "Answer in one sentence."`

Piped input is read a message a line: `echo "What is CPT?" | cpt-studio chat first`

While chatting:

{_HELP}

A message of several lines stands between two lines of \"\"\". Ctrl-C ends an
answer, Ctrl-D the chat.
"""
chat = with_field_options(Sampling, defaults=_DEFAULTS)(chat)


def _tell_format(label: str, form: ChatFormat) -> None:
    errors.print(f"[dim]{escape(label)}: an answer ends at {escape(sentence_of(form))}.[/]")
    if form.warning is not None:
        errors.print(f"[yellow]{escape(form.warning)}[/]")
    if sys.stdin.isatty():
        errors.print("[dim]/help lists the commands. Ctrl-D ends the chat.[/]")
