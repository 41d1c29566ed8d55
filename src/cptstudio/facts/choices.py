"""The fields that say how facts are made of a corpus."""

from __future__ import annotations

from typing import Final

from pydantic import ConfigDict, Field, field_validator

from cptstudio.facts.cloze_words import KINDS, Kind
from cptstudio.sampling import Sampling
from cptstudio.validation import LateModel, described, field_of
from cptstudio.writers.choice import MOST_PARALLEL

ONLY_CLOZE: Final = ("kinds", "distractors")
"""Fields of `MakeChoices` that a writer knows nothing of."""


class MakeChoices(LateModel):
    """How cloze facts are made of a corpus."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(
        100, title="Facts", description="Maximum number of facts to make.", ge=1, le=5_000
    )
    kinds: tuple[Kind, ...] = Field(
        (),
        title="Ask for",
        description="What is taken out of a sentence (default: all).",
        json_schema_extra={
            "choices": {"name": "names", "number": "numbers and years", "term": "defined terms"}
        },
    )
    distractors: int = Field(
        9,
        title="Distractors",
        description="Wrong answers per fact, of the same kind and shape, from the corpus. With 9, "
        "a guess is right 1 time in 10.",
        ge=3,
        le=31,
    )
    held_out: float = Field(
        0.2,
        title="Held-out facts",
        description="Fraction of the facts taken from validation and test documents. They are "
        "never trained on, so they show what guessing gives.",
        ge=0,
        le=1,
    )
    seed: int = Field(
        0, title="Seed", description="Same corpus and seed: same facts.", ge=0, le=2**32 - 1
    )

    @field_validator("kinds")
    @classmethod
    def _in_one_order(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return tuple(kind for kind in KINDS if kind in kinds)


class WriteChoices(MakeChoices):
    """How facts are made of a corpus, also by a writer: one fact of each passage."""

    passage_tokens: int = described(
        200,
        "Passage length",
        "With --writer: one fact is written of each passage.",
        "tokens",
        ge=32,
        le=1_500,
    )
    max_tokens: int = field_of(
        Sampling, "max_tokens", default=1024, description="With --writer: maximum for one fact."
    )
    temperature: float = field_of(
        Sampling, "temperature", default=0.3, description="With --writer: 0 is deterministic."
    )
    top_p: float = field_of(Sampling, "top_p", default=0.95)
    max_cost: float | None = Field(
        None,
        title="Maximum cost",
        description="Writing stops when an endpoint's facts have cost this much; what is written "
        "is kept.",
        ge=0,
        le=1_000_000,
    )
    parallel: int = described(2, "Requests at once", "For an endpoint.", ge=1, le=MOST_PARALLEL)


ONLY_WRITTEN: Final = tuple(
    name for name in WriteChoices.model_fields if name not in MakeChoices.model_fields
)
