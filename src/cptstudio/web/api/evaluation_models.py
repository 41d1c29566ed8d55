"""Bodies and answers of the routes of suites and reports."""

from __future__ import annotations

from typing import Any

from cptstudio.evaluation.reports import ReportKind
from cptstudio.prompt_suites import Suite
from cptstudio.sampling import Sampling
from cptstudio.validation import LateModel


class SuiteBody(Suite):
    """A suite's content."""


class SuiteFacts(LateModel):
    """A suite; with a `problem` its file cannot be used."""

    name: str
    prompts: list[str]
    sampling: Sampling | None
    problem: str | None = None


class SuiteList(LateModel):
    """All suites, by name."""

    suites: list[SuiteFacts]


class ReportQuery(LateModel, extra="forbid"):
    """Which reports."""

    kind: ReportKind | None = None


class ReportSummary(LateModel):
    """A kept report; with a `problem` its file cannot be used. `created` is Unix seconds."""

    id: str
    kind: str
    title: str
    created: float
    problem: str | None = None


class ReportList(LateModel):
    """Kept reports, the newest first."""

    reports: list[ReportSummary]


class Report(LateModel):
    """A kept report: what was asked, and what was found."""

    id: str
    kind: str
    title: str
    created: float
    request: dict[str, Any]
    result: dict[str, Any]
