"""What is asked for when study texts are made; flags, the API's body and the form come from it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cptstudio.sampling import Sampling, Seed
from cptstudio.study.strategies import strategies
from cptstudio.validation import ReadsNumbers, described, field_of, wrong
from cptstudio.writers.choice import MOST_PARALLEL

Invented = Literal["drop", "flag"]
DEFAULT_STRATEGIES = ("paraphrase", "questions")


class StudySettings(ReadsNumbers, extra="forbid", allow_inf_nan=False):
    """How texts are made of a corpus, and which of them are kept."""

    strategies: tuple[str, ...] = Field(
        DEFAULT_STRATEGIES,
        title="Strategies",
        description="What is written of each passage: "
        + "; ".join(f"{one.name}: {one.title.lower()}" for one in strategies().values())
        + ".",
        min_length=1,
        max_length=20,
    )
    wordings: int = described(
        2,
        "Wordings",
        "Texts of each passage and strategy, each in another style.",
        basic=True,
        ge=1,
        le=256,
    )
    passage_tokens: int = described(
        400, "Passage length", "Documents are cut into passages.", "tokens", ge=32, le=32_000
    )
    pairs: int = described(6, "Pairs of entities", "Maximum for each passage.", ge=1, le=500)
    passages: int | None = described(
        None,
        "Passages",
        "Maximum number of passages, spread over the documents (default: all).",
        ge=1,
        le=10_000_000,
    )
    max_tokens: int = field_of(
        Sampling, "max_tokens", default=1024, description="Maximum length of one text."
    )
    temperature: float = field_of(Sampling, "temperature", default=0.8)
    top_p: float = field_of(Sampling, "top_p", default=0.95)
    seed: Seed = field_of(Sampling, "seed")
    invented: Invented = Field(
        "drop",
        title="Invented names and numbers",
        description="What happens to texts with a name or number that their passage does not have: "
        "drop them, or keep and count them (flag).",
    )
    near_dedup: bool = Field(
        True,
        title="Remove near-duplicates",
        description="Keep one of the texts that share about 75% of their words.",
    )
    max_cost: float | None = described(
        None,
        "Maximum cost",
        "Writing stops when an endpoint's texts have cost this much; what is written is kept.",
        ge=0,
        le=1_000_000,
    )
    parallel: int = described(2, "Requests at once", "For an endpoint.", ge=1, le=MOST_PARALLEL)

    unknown_ledger: str | None = Field(
        None,
        max_length=64,
        title="Unknown facts of",
        description="A ledger: only passages with facts that a model does not know are used.",
    )
    unknown_model: str | None = Field(
        None,
        max_length=400,
        title="Unknown to",
        description="The model, as it was called when the ledger was asked.",
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> StudySettings:
        if (self.unknown_ledger is None) != (self.unknown_model is None):
            raise wrong("Name both the ledger and the model that was asked.", "unknown_ledger")
        return self

    @field_validator("strategies")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = strategies()
        for name in names:
            if name not in known:
                raise wrong(f"There is no strategy {name!r}. Use {', '.join(known)}.")
        return tuple(name for name in known if name in names)


def sampling_of(settings: StudySettings) -> dict[str, Any]:
    """Return what of the settings decides which text a model writes."""
    return settings.model_dump(include={"max_tokens", "temperature", "top_p"})
