"""The lines of a program that speaks `job_programs`, as its asker takes them, believing nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from cptstudio import durable
from cptstudio.errors import Finding, UserError
from cptstudio.job_programs import UNITS, Unit

_MESSAGE_LIMIT: Final = 2000
_FINDINGS_LIMIT: Final = 100
_TEXT_LIMIT: Final = 500


@dataclass(frozen=True)
class Line:
    """Progress as a program tells it; what it did not tell is None."""

    phase: str | None
    done: float | None
    total: float | None
    unit: Unit | None
    detail: str | None
    rate: float | None
    remaining_seconds: float | None


@dataclass(frozen=True)
class End:
    """How a program ended: with a result, or with the sentence of an error.

    Attributes:
        cancelled: it ended early because it was asked to.
        died: it could not say so itself.
    """

    result: dict[str, Any] | None
    error: str | None
    findings: Sequence[Finding] = ()
    cancelled: bool = False
    died: bool = False


def object_of(data: bytes) -> dict[str, Any] | None:
    """Return the object that a line holds, or None where it holds none."""
    try:
        said = durable.parse_json(data)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def parsed(data: bytes) -> Line | End | None:
    """Return what a line says: progress, the end, or None where it is neither."""
    said = object_of(data)
    if said is None:
        return None
    if isinstance(said.get("progress"), dict):
        return _line(said["progress"])
    return _end(said)


def _end(said: dict[str, Any]) -> End | None:
    if isinstance(said.get("result"), dict):
        return End(said["result"], None)
    if isinstance(said.get("error"), dict):
        error = user_error(said["error"])
        return End(None, error.message, error.findings)
    if said.get("cancelled"):
        return End(None, None, cancelled=True)
    return None


def user_error(said: dict[str, Any]) -> UserError:
    """Return the error that a program told, each of its findings with its field."""
    found = said.get("findings")
    return UserError(
        str(said.get("message"))[:_MESSAGE_LIMIT],
        [
            Finding(
                str(one.get("sentence"))[:_MESSAGE_LIMIT],
                _text(one.get("field")) or "",
                _text(one.get("title")) or "",
                one.get("missing") is True,
            )
            for one in (found if isinstance(found, list) else [])[:_FINDINGS_LIMIT]
            if isinstance(one, dict)
        ],
    )


def _line(facts: dict[str, Any]) -> Line:
    unit = facts.get("unit")
    return Line(
        phase=_text(facts.get("phase")),
        done=_number(facts.get("done")),
        total=_number(facts.get("total")),
        unit=cast(Any, unit) if unit in UNITS else None,
        detail=_text(facts.get("detail")),
        rate=_number(facts.get("rate")),
        remaining_seconds=_number(facts.get("remaining_seconds")),
    )


def _text(value: Any) -> str | None:
    return value[:_TEXT_LIMIT] if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and value >= 0 else None
