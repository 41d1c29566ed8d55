"""Starting our own programs, which load MLX, from a command line that does not.

A program gets its request as one JSON document on standard input and answers with one JSON
object a line on standard output: {"progress": {...}} while it works, {"error": {...}} for
something the user can put right, {"result": ...} at the end. What it logs goes to standard
error, which is the terminal's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cptstudio.durable import dump_json
from cptstudio.errors import UserError


@contextmanager
def _started(module: str, request: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(dump_json(request))
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def answers(module: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a program and yield its answers as they come.

    Raises:
        UserError: the program reported one, or died.
    """
    finished = False
    with _started(module, request) as process:
        assert process.stdout is not None
        for line in process.stdout:
            answer = json.loads(line)
            if "error" in answer:
                raise UserError(answer["error"]["message"], answer["error"]["problems"])
            finished = finished or "result" in answer
            yield answer
    if not finished:
        raise UserError(
            f"The program {module} ended with status {process.returncode} before it was done. "
            "Out of memory is the usual reason; what it said stands above."
        )
