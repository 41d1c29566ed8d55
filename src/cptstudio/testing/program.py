"""What the testing programs share: a JSON request in, JSON lines out."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

from cptstudio.durable import dump_json
from cptstudio.errors import UserError


def say(**answer: Any) -> None:
    """Send one answer: a JSON object on a line of standard output."""
    sys.stdout.write(dump_json(answer) + "\n")
    sys.stdout.flush()


def run(program: Callable[[dict[str, Any]], Any]) -> None:
    """Read the request from standard input, run the program, and send its result.

    A `UserError` becomes an answer and exit status 1; SIGINT and SIGTERM end the process
    quietly, because whoever asked has gone or says so himself.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        say(result=program(json.load(sys.stdin)))
    except UserError as error:
        say(error={"message": error.message, "problems": list(error.problems)})
        sys.exit(1)
