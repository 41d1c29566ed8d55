"""The command line: one module a group of commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from cptstudio import __version__, terminal
from cptstudio.cli import (
    chat,
    chat_again,
    compare,
    corpus,
    datasets,
    demo,
    endpoints,
    evaluate,
    export_gguf,
    facts,
    generate,
    harness,
    machines,
    merge,
    models,
    publish,
    questions,
    remote,
    report,
    runs,
    serve,
    study,
    suite,
    train,
    workspace,
)
from cptstudio.cli.common import errors, with_former
from cptstudio.errors import UserError, refusal_of
from cptstudio.light_imports import leave_out_torch
from cptstudio.setting_flags import option_name

app = typer.Typer(
    name="cpt-studio",
    help="Continued pre-training (CPT) and evaluation of MLX language models on your own "
    "machine.\n\nA workspace is a folder with base models, corpora and runs. It is the "
    "current folder unless you set --workspace. To try things out, start with "
    "`cpt-studio demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": option_name},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cpt-studio {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Receive the options that stand before the command."""


app.command("demo")(demo.demo)
app.command("serve", context_settings=serve.PASS_ON)(serve.serve)
app.add_typer(corpus.app, name="corpus")
app.add_typer(datasets.app, name="datasets")
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")
app.add_typer(export_gguf.commands, name="export")
app.command("plan", context_settings=with_former({"measure": "eval-corpus"}))(train.plan)
app.command("train", context_settings=with_former({"measure": "eval-corpus"}))(train.train)
app.command("resume")(train.resume)
app.command("evaluate", context_settings=with_former({"side": "split"}))(evaluate.evaluate)
app.command("generate")(generate.generate)
app.command("chat")(chat.chat)
app.command("compare")(compare.compare)
app.command("score")(compare.score)
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(study.app, name="study")
app.add_typer(remote.app, name="remote")
app.add_typer(machines.app, name="machines")
app.command("report")(report.report)
app.command("publish")(publish.publish)
app.command("questions")(questions.questions)
app.command("chat-check", context_settings=with_former({"side": "split"}))(chat_again.check)
app.command("chat-again", context_settings=with_former({"side": "split"}))(chat_again.again)
app.command("harness")(harness.harness)
app.command("merge", context_settings=with_former({"side": "split"}))(merge.merge)
app.add_typer(suite.app, name="suite")
app.add_typer(facts.app, name="facts")
app.add_typer(workspace.app, name="workspace")


def main() -> None:
    """Run the command line; a user's error is a sentence on standard error and status 1."""
    terminal.prepare()
    leave_out_torch()
    try:
        app()
    except KeyboardInterrupt:
        errors.print("Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (UserError, OSError) as error:
        refused = error if isinstance(error, UserError) else refusal_of(error)
        if refused is None:
            raise
        errors.print(f"[bold red]Error:[/] {escape(str(refused))}", soft_wrap=True)
        sys.exit(1)
