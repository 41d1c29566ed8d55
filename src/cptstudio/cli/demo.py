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
            help="Workspace folder to create or complete.",
            show_default="--workspace, or demo",
        ),
    ] = None,
    named: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            "-w",
            metavar="DIR",
            envvar="CPT_STUDIO_WORKSPACE",
            help="Same as DIR, named as in the other commands.",
        ),
    ] = None,
) -> None:
    """Create a demo workspace: a small base model and two corpora.

    The corpora are made from your Python installation: the source code of its standard library
    (the domain to learn) and its documentation (general text, all that the base model was trained
    on). Existing files are not changed.
    """
    folder = folder or named or Path("demo")
    workspace = Workspace(folder)
    console.print(f"Creating the demo workspace in {workspace.root}")
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
