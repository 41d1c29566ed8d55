"""`--demo`: the demo workspace, made by a process of its own before the server starts.

Making it imports what a server never needs. On macOS, moreover, a process that has loaded such
libraries must not fork, and the server forks its worker.
"""

from __future__ import annotations

import sys

from cptstudio import terminal
from cptstudio.child_limits import for_models
from cptstudio.child_process import ChildProcess
from cptstudio.errors import UserError
from cptstudio.light_imports import leave_out_torch
from cptstudio.terminal import visible
from cptstudio.workspace import Workspace

MODEL = "demo-base"
CORPORA = ("python-documentation", "python-source")


def make_demo_workspace(workspace: Workspace) -> None:
    """Make what is missing of it.

    Raises:
        UserError: it could not be made; the reason was printed.
    """
    if _is_complete(workspace):
        return
    print(
        f"Creating the demo workspace in {visible(str(workspace.root))} (about a minute, once)",
        flush=True,
    )
    program = ("-m", "cptstudio.web.serve.demo_workspace", str(workspace.root))
    child = ChildProcess(program, for_models(), shows="everything")
    try:
        status = child.wait()
    except KeyboardInterrupt:
        child.kill()
        child.wait()
        raise
    if status != 0:
        raise UserError(f"The demo workspace {workspace.root} couldn't be created.")


def _is_complete(workspace: Workspace) -> bool:
    return (workspace.base_model(MODEL) / "config.json").is_file() and all(
        (workspace.corpus(name) / "manifest.json").is_file() for name in CORPORA
    )


def main() -> None:
    """The process that makes it."""
    from cptstudio import demo

    terminal.prepare()
    leave_out_torch()
    try:
        for line in demo.make(Workspace(sys.argv[1])):
            print(f"  {visible(line)}", flush=True)
    except UserError as error:
        sys.exit(f"Error: {visible(str(error))}")


if __name__ == "__main__":
    main()
