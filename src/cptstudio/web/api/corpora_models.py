"""What `/api/corpora` takes and answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cptstudio.corpus.file_lines import FileLine
from cptstudio.corpus.listed import DroppedDocument, FoundDocument, SampleRow, SourceFinding
from cptstudio.corpus.manifest import CorpusKind, Dropped, Status
from cptstudio.evaluation.model_requests import Side
from cptstudio.sampling import Seed
from cptstudio.settings import Packing
from cptstudio.validation import LateModel, ReadsNumbers
from cptstudio.web.work.corpus_work import GivenSources
from cptstudio.web.work.jobs import Job


class PageQuery(ReadsNumbers, extra="forbid"):
    """Which part of a list."""

    offset: int = Field(0, ge=0, le=10**9)
    limit: int = Field(100, ge=1, le=500)


class FindingsQuery(PageQuery):
    """Which part of what was found while reading."""

    left_aside: bool = Field(False, description="What was left aside on purpose, not problems.")


class DocumentsQuery(ReadsNumbers, extra="forbid"):
    """Which held-out documents."""

    side: Side = "validation"
    offset: int = Field(0, ge=0, le=10**12)
    limit: int = Field(20, ge=1, le=200)


class BrowseQuery(ReadsNumbers, extra="forbid"):
    """Which documents, and from where on."""

    status: Status | Literal["dropped"] | None = Field(
        None, description='A side, or the reason for dropping them; "dropped" is any reason.'
    )
    search: str = Field("", max_length=200, description="Words in their name or their text.")
    start: int = Field(0, ge=0, le=10**12, description="Number of the first document looked at.")
    back: bool = Field(False, description="The documents before `start`.")
    limit: int = Field(25, ge=1, le=100)


class BrowsedPage(LateModel):
    """Some documents, by number.

    `full`: there are as many as were asked for, or there are no more; otherwise the time of one
    answer is over, and the next one goes on from `last`, or back from `first`.
    """

    documents: list[FoundDocument]
    first: int = Field(description="Number of the first document that was looked through.")
    last: int = Field(description="Number after the last one.")
    full: bool
    total: int = Field(description="Documents with this status, whatever is sought.")
    count: int = Field(description="Documents of the corpus, with those that were dropped.")


class DroppedQuery(ReadsNumbers, extra="forbid"):
    """Which part of the dropped documents."""

    offset: int = Field(0, ge=0, le=10**9)
    limit: int = Field(50, ge=1, le=200)
    reason: Dropped | None = None


class RowsQuery(ReadsNumbers, extra="forbid"):
    """Which training sequences, as which run would see them."""

    former_names = {"context_length": "sequence_length"}

    model: str = Field(min_length=1, max_length=4096, description="ID of a model.")
    rows: int = Field(3, ge=1, le=20)
    sequence_length: int = Field(512, ge=8, le=32_768)
    packing: Packing = "concat"
    seed: Seed = 0
    first: int = Field(0, ge=0, le=10**9)
    document: int | None = Field(
        None, ge=0, le=10**12, description="Start at this document's first sequence."
    )


class TokenCounts(LateModel):
    """Tokens by side, of one tokenizer."""

    tokenizer: str
    tokens: dict[str, int]
    error: str | None = None


class CorpusSummary(LateModel):
    """A corpus in the list; one that cannot be read has an `error` and little else."""

    name: str
    kind: CorpusKind = "documents"
    created: float | None = None
    documents: dict[str, int] = {}
    text_bytes: dict[str, int] = {}
    dropped: int = 0
    tokens: list[TokenCounts] = []
    problems: int = 0
    problem_files: int | None = None
    languages: dict[str, float] = Field(
        {}, description="Share of the text by language, the largest first."
    )
    warnings: list[str] = []
    error: str | None = None
    active_job: Job | None = None


class CorpusList(LateModel):
    """All corpora, by name."""

    corpora: list[CorpusSummary]


class CorpusDescription(LateModel, extra="allow"):
    """A corpus's manifest, report and tokens."""

    name: str
    path: str
    created: str
    fingerprint: str
    report: dict[str, Any]
    tokenisations: list[dict[str, Any]]
    warnings: list[str]
    given: GivenSources
    active_job: Job | None = None


class TemplateQuery(LateModel, extra="forbid"):
    """Whose chat template."""

    model: str = Field(max_length=4096, description="Id of the model.")


class FindingPage(LateModel):
    """A part of what was found."""

    problems: list[SourceFinding]
    total: int
    offset: int


class FilesQuery(ReadsNumbers, extra="forbid"):
    """Which part of the files."""

    start: int = Field(0, ge=0, le=10**12, description="The `next` of the part before, or 0.")
    limit: int = Field(100, ge=1, le=500)
    problems: bool = Field(False, description="Only files with problems.")


class FilePage(LateModel):
    """A part of the files, with what a build made of each.

    `next`: where the next part begins, null at the end. `full`: there are as many as were asked
    for, or there are no more; otherwise the time of one answer is over.
    """

    files: list[FileLine]
    next: int | None
    full: bool
    total: int | None = Field(description="Null where an older build did not count them.")


class DroppedPage(LateModel):
    """A part of the dropped documents, and how many there are by reason."""

    dropped: list[DroppedDocument]
    total: int
    offset: int
    counts: dict[str, int]


class RowPage(LateModel):
    """Some rows, and how many an epoch has."""

    rows: list[SampleRow]
    first: int
    batches: int
    tokenizer: str
