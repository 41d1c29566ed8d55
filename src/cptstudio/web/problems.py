"""Errors as HTTP answers: one shape, RFC 9457 problem details, with a sentence to act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from cptstudio.durable import dump_json
from cptstudio.errors import Finding, MachineError, UserError, by_field

CONTENT_TYPE = "application/problem+json"


class Problem(UserError):  # noqa: N818 - handlers read as sentences: raise NotFound("...")
    """A refusal with its HTTP status.

    Args:
        problems: several findings of one check.
        status: of the HTTP answer; None for the class's own.

    Attributes:
        needs: what a run needs and what there is, where that is asked about.
    """

    status: int = HTTPStatus.UNPROCESSABLE_ENTITY
    needs: Mapping[str, int] | None = None

    def __init__(
        self, message: str, problems: Sequence[str | Finding] = (), status: int | None = None
    ) -> None:
        super().__init__(message, problems)
        if status is not None:
            self.status = status


class NotFound(Problem):
    """The requested thing does not exist."""

    status = HTTPStatus.NOT_FOUND


class Conflict(Problem):
    """The request contradicts the present state."""

    status = HTTPStatus.CONFLICT


def status_of(error: MachineError) -> HTTPStatus:
    """507 where the disk has no room (RFC 4918, section 11.5), 503 for what may pass."""
    return HTTPStatus.INSUFFICIENT_STORAGE if error.full else HTTPStatus.SERVICE_UNAVAILABLE


class DoesNotFit(Conflict):
    """A run needs more than there is, and nobody said to start it anyway."""

    def __init__(self, sentences: Sequence[str], needs: Mapping[str, int]) -> None:
        super().__init__(" ".join(sentences))
        self.needs = needs


def problem_document(status: int, error: UserError) -> dict[str, Any]:
    """Return the body of an error answer (RFC 9457, section 3)."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": error.message,
        "problems": list(error.problems),
        "fields": by_field(error.findings),
        "findings": [asdict(finding) for finding in error.findings],
    }
    needs = error.needs if isinstance(error, Problem) else None
    return document if needs is None else document | {"needs": dict(needs)}


def problem_bytes(status: int, detail: str) -> bytes:
    """Return the same as encoded JSON, for layers in front of Flask."""
    return dump_json(problem_document(status, UserError(detail))).encode()
