"""Bodies and answers of the routes of suites and reports."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from cptstudio.prompt_suites import Suite
from cptstudio.sampling import Sampling


class SuiteBody(Suite):
    """A suite's content."""


class SuiteFacts(BaseModel):
    """A suite; with a `problem` its file cannot be used."""

    name: str
    prompts: list[str]
    sampling: Sampling | None
    problem: str | None = None


class SuiteList(BaseModel):
    """All suites, by name."""

    suites: list[SuiteFacts]


class ReportQuery(BaseModel, extra="forbid"):
    """Which reports."""

    kind: Literal["evaluation", "suite", "merge", "questions", "harness"] | None = None


class ReportSummary(BaseModel):
    """A kept report; with a `problem` its file cannot be used. `created` is Unix seconds."""

    id: str
    kind: str
    title: str
    created: float
    problem: str | None = None


class ReportList(BaseModel):
    """Kept reports, the newest first."""

    reports: list[ReportSummary]


class Report(BaseModel):
    """A kept report: what was asked, and what was found."""

    id: str
    kind: str
    title: str
    created: float
    request: dict[str, Any]
    result: dict[str, Any]
