"""How models are sampled: the one set of choices that all tests and training share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from cptstudio.validation import ReadsNumbers


class Asked(BaseModel):
    """Base of all requests: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sampling(Asked, ReadsNumbers):
    """How the next token is chosen. The defaults are greedy."""

    temperature: float = Field(
        0.0, ge=0, le=10, title="Temperature", description="0 always takes the likeliest token."
    )
    top_p: float = Field(
        0.0, ge=0, le=1, title="Top-p", description="Smallest set of tokens of this mass; 0: off."
    )
    top_k: int = Field(
        0, ge=0, le=1_000_000, title="Top-k", description="Only the k likeliest; 0: off."
    )
    min_p: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Min-p",
        description="Only tokens of at least this part of the likeliest one's probability; 0: off.",
    )
    repetition_penalty: float = Field(
        1.0, gt=0, le=10, title="Repetition penalty", description="Above 1 repeats less; 1: off."
    )
    repetition_context: int = Field(
        20, ge=1, le=100_000, title="Penalty looks back", description="In tokens."
    )
    seed: int = Field(0, ge=0, lt=2**32, title="Seed", description="Same seed, same text.")
    max_tokens: int = Field(
        100, ge=1, le=100_000, title="Most tokens", description="The text ends after so many."
    )
    stop: tuple[str, ...] = Field(
        (), max_length=16, title="Stop at", description="Strings that end the text."
    )
    context_length: int | None = Field(
        None,
        ge=8,
        le=10_000_000,
        title="Context length",
        description="Tokens the model may look back; all of them where nothing is given.",
    )
