"""`cpt-studio demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cptstudio import demo as workspace_demo
from cptstudio.cli.common import console
from cptstudio.workspace import Workspace


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The workspace folder to make or complete.",
            show_default="that of --workspace, else demo",
        ),
    ] = None,
    named: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            "-w",
            metavar="DIR",
            envvar="CPT_STUDIO_WORKSPACE",
            help="The same folder, named as for the other commands.",
        ),
    ] = None,
) -> None:
    """Make a workspace to try everything: a small base model and two corpora.

    The corpora come from the Python that runs this: its library's source code (the domain to
    learn) and its documentation (general text, which is all the base model has read). What is
    already there stays as it is.
    """
    folder = folder or named or Path("demo")
    workspace = Workspace(folder)
    console.print(f"Making the demo workspace in {workspace.root}")
    for line in workspace_demo.make(workspace):
        console.print(f"  {line}", soft_wrap=True)
    shown = folder if not folder.is_absolute() else workspace.root
    console.print(
        f"""
Next:

  cd {shown}
  cpt-studio corpus show {workspace_demo.DOMAIN}
  cpt-studio plan  --model {workspace_demo.MODEL_NAME} --corpus {workspace_demo.DOMAIN} \\
      --replay {workspace_demo.GENERAL}
  cpt-studio train --name first --model {workspace_demo.MODEL_NAME} \\
      --corpus {workspace_demo.DOMAIN} --replay {workspace_demo.GENERAL} \\
      --length "200 steps" --learning-rate 5e-4
  cpt-studio evaluate {workspace_demo.MODEL_NAME} first \\
      --corpus {workspace_demo.DOMAIN} --corpus {workspace_demo.GENERAL}
  cpt-studio generate first --prompt "def read_lines(path):"
""",
        markup=False,
    )
