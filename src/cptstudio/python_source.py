"""Python source as a syntax tree, from any thread."""

from __future__ import annotations

import ast
import threading
from typing import Final

_LOCK: Final = threading.Lock()
_TRIES: Final = 10


def parse_source(source: str) -> ast.Module:
    """Return a source's syntax tree.

    CPython 3.11 counts the depth of a tree that it builds for all threads together, so that another
    thread that builds one at the same time makes both fail ("SystemError: AST constructor recursion
    depth mismatch"). Ours wait for each other; a library's, such as a traceback's, is outlasted.

    Raises:
        SyntaxError, ValueError: as `ast.parse`.
    """
    for left in reversed(range(_TRIES)):
        try:
            with _LOCK:
                return ast.parse(source)
        except SystemError:
            if not left:
                raise
    raise AssertionError("unreachable")
