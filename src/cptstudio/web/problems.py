"""Errors as HTTP answers: one shape, RFC 9457 problem details, with a sentence to act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from cptstudio.durable import dump_json
from cptstudio.errors import Finding, MachineError, UserError, by_field

CONTENT_TYPE = "application/problem+json"


class Problem(UserError):  # noqa: N818 - handlers read as sentences: raise NotFound("...")
    """A refusal with its HTTP status.

    Args:
        message: a sentence for the user.
        problems: several findings of one check.
        fields: sentences by the dotted name of the field they belong to, where it is not the
            findings that say so.
        status: of the HTTP answer; None for the class's own.

    Attributes:
        needs: what a run needs and what there is, where that is asked about.
    """

    status: int = HTTPStatus.UNPROCESSABLE_ENTITY
    needs: Mapping[str, int] | None = None

    def __init__(
        self,
        message: str,
        problems: Sequence[str | Finding] = (),
        fields: Mapping[str, Sequence[str]] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, problems)
        self.fields = by_field(self.findings)
        self.fields |= {name: list(found) for name, found in (fields or {}).items()}
        if status is not None:
            self.status = status


class NotFound(Problem):
    """What was asked for is not there."""

    status = HTTPStatus.NOT_FOUND


class Conflict(Problem):
    """What was asked for contradicts the present state."""

    status = HTTPStatus.CONFLICT


def status_of(error: MachineError) -> HTTPStatus:
    """507 where the disk has no room (RFC 4918, section 11.5), 503 for what may pass."""
    return HTTPStatus.INSUFFICIENT_STORAGE if error.full else HTTPStatus.SERVICE_UNAVAILABLE


class DoesNotFit(Conflict):
    """A run needs more than there is, and nobody said to start it anyway."""

    def __init__(self, sentences: Sequence[str], needs: Mapping[str, int]) -> None:
        super().__init__(" ".join(sentences))
        self.needs = needs


def problem_document(
    status: int,
    detail: str,
    problems: Sequence[str] = (),
    fields: Mapping[str, Sequence[str]] | None = None,
    needs: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The body of an error answer (RFC 9457, section 3)."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "problems": list(problems),
        "fields": {name: list(found) for name, found in (fields or {}).items()},
    }
    return document if needs is None else document | {"needs": dict(needs)}


def problem_bytes(status: int, detail: str) -> bytes:
    """The same as encoded JSON, for layers in front of Flask."""
    return dump_json(problem_document(status, detail)).encode()
