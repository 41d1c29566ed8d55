"""The one exception whose text is meant for the user."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can put right: what happened, with which value, and what to do.

    The roof (the command line, the web API) prints it without a stack trace. Everything
    else that is raised is a fault of ours and keeps its trace in the log.

    Args:
        message: One or two sentences.
        problems: Several findings of one check, each a sentence, so that all of them are
            reported together.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)

    def __str__(self) -> str:
        if not self.problems:
            return self.message
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])
