"""Bodies and answers of `/api/inference`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cptstudio.evaluation.model_requests import Prompt, Side, Windows
from cptstudio.sampling import MOST_SEEDS, Sampling, Seed
from cptstudio.validation import LateModel, ReadsNumbers
from cptstudio.web.work.evaluation_work import Name, Reference
from cptstudio.web.work.inference_tasks import Task

MOST_TOKENS = 50_000
"""Of all texts of one completion: a page has to hold them with their alternatives."""
MOST_TEXT = 500_000
"""Characters of all texts that are scored at once."""
_Label = Annotated[str, Field(min_length=1, max_length=4096)]


class LoadBody(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """What is brought into memory."""

    references: list[Reference] = Field(min_length=1, max_length=8)
    keep: bool = Field(False, description="What is loaded already stays.")


class CompleteBody(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """Prompts, and how models go on from them."""

    labels: list[_Label] = Field(min_length=1, max_length=8)
    prompts: list[Prompt] = Field(
        min_length=1, max_length=8, description="One for all models, or one for each."
    )
    sampling: Sampling = Sampling()
    seeds: list[Seed] = Field(default_factory=list, max_length=MOST_SEEDS)
    alternatives: int = Field(10, ge=0, le=50)
    remember: bool = Field(True, description="Put it into the playground's history.")

    @model_validator(mode="after")
    def _bounded(self) -> CompleteBody:
        texts = len(self.labels) * max(1, len(self.seeds))
        if texts * self.sampling.max_tokens > MOST_TOKENS:
            raise ValueError(
                f"{texts} texts of {self.sampling.max_tokens:,} tokens are more than the "
                f"{MOST_TOKENS:,} tokens that can be shown at once; ask for fewer"
            )
        return self


class TextToScore(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """A text, or a document of a corpus: exactly one of the two."""

    text: str | None = Field(None, min_length=1, max_length=MOST_TEXT)
    corpus: Name | None = None
    side: Side = "validation"
    document: int | None = Field(None, ge=0, lt=2**40)

    @model_validator(mode="after")
    def _one_of_both(self) -> TextToScore:
        if (self.text is None) == (self.corpus is None or self.document is None):
            raise ValueError("give a text, or a corpus and the number of its document")
        return self


class ScoreBody(ReadsNumbers, Windows, extra="forbid", allow_inf_nan=False):
    """Texts, and how they are cut into windows."""

    labels: list[_Label] = Field(min_length=1, max_length=8)
    texts: list[TextToScore] = Field(min_length=1, max_length=64)


class TaskQuery(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """What of a task is known already."""

    after: int = Field(0, ge=0, description="Pieces that are known.")
    version: int | None = Field(None, ge=0, description="Of the task as it is known.")
    wait: float = Field(0.0, ge=0, le=20, description="Seconds to wait for something new.")


class LoadedModel(LateModel):
    """A model in the inference worker's memory; `tokenizer` is the hash of its tokenizer."""

    label: str
    chat: bool
    vocabulary_size: int
    tokenizer: str


class InferenceFacts(LateModel):
    """The process that holds models, or why there is none.

    Attributes:
        busy: requests that are not answered.
        memory_active: bytes of MLX's arrays.
        memory_process: bytes of main memory of the process.
        idle_seconds: it ends when nothing is asked for so long.
        last_end: why the last one ended.
        tasks: those that run.
    """

    running: bool
    pid: int | None
    since: float | None
    models: list[LoadedModel]
    busy: int
    memory_active: int | None
    memory_peak: int | None
    memory_process: int | None
    idle_seconds: float
    last_end: str | None
    tasks: list[Task]
