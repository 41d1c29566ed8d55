"""Bodies and answers of the testing routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cptstudio.prompt_suites import Suite
from cptstudio.sampling import Sampling
from cptstudio.testing.merging import SHARES
from cptstudio.validation import ReadsNumbers
from cptstudio.web.corpus_documents import Side

Reference = Annotated[str, Field(min_length=1, max_length=4096)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
_Models = Field(min_length=1, max_length=16, description="References of GET /api/testing/models.")
_Share = Annotated[float, Field(ge=-10, le=10)]


class _Body(ReadsNumbers):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class EvaluationBody(_Body):
    """What is measured on what; the others are compared with the first model."""

    models: list[Reference] = _Models
    corpora: list[Name] = Field(default_factory=list, max_length=32)
    texts: list[Name] = Field(
        default_factory=list, max_length=32, description="Ids of uploaded .txt or .jsonl files."
    )
    side: Side = "validation"
    max_bytes: int = Field(
        400_000, ge=1000, le=10**12, description="Held-out text of each corpus, in bytes."
    )
    context_length: int | None = Field(None, ge=8, le=10_000_000)
    stride: int | None = Field(None, ge=1, le=10_000_000)


class MergeBody(_Body):
    """Which sums of models are made and measured, and which one is saved."""

    run: Reference = Field(description="A run's checkpoint.")
    kind: Literal["back_to_base", "average", "instruct"] = "back_to_base"
    shares: list[_Share] = Field(list(SHARES), min_length=1, max_length=32)
    last: int | None = Field(None, ge=2, le=100, description="Checkpoints that are averaged.")
    instruct: Reference | None = Field(None, description="Whose difference from the base is added.")
    corpora: list[Name] = Field(default_factory=list, max_length=32)
    side: Side = "validation"
    max_bytes: int = Field(400_000, ge=1000, le=10**12)
    save: str | None = Field(
        None, min_length=1, max_length=64, description="Name of a new model in models/base/."
    )


class QuestionsBody(_Body):
    """Which models answer which uploaded file."""

    models: list[Reference] = _Models
    upload: Name


class SuiteModels(_Body):
    """Which models complete a suite's prompts."""

    models: list[Reference] = _Models


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


class ReportQuery(_Body):
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
