"""How models are sampled: the one set of choices that all tests and training share.

Commands, request bodies, samples during training and the pages' forms take fields, bounds, defaults
and texts from here; the pages get them as a schema.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from cptstudio.validation import ReadsNumbers, described

Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST_SEEDS: Final = 16
"""Of one request."""


class Asked(BaseModel):
    """Base of all requests: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Sampling(Asked, ReadsNumbers):
    """How the next token is chosen. The defaults are deterministic."""

    former_names = {"repetition_context": "repetition_window"}

    temperature: float = described(
        0.0, "Temperature", "0 always picks the most likely token.", basic=True, ge=0, le=10
    )
    top_p: float = described(
        0.0,
        "Top-p",
        "Sample from the most likely tokens whose probabilities add up to this; 0 disables it.",
        ge=0,
        le=1,
    )
    top_k: int = described(
        0, "Top-k", "Sample from the k most likely tokens; 0 disables it.", ge=0, le=1_000_000
    )
    min_p: float = described(
        0.0,
        "Min-p",
        "Minimum probability relative to the most likely token; 0 disables it.",
        ge=0,
        lt=1,
    )
    repetition_penalty: float = described(
        1.0,
        "Repetition penalty",
        "Values above 1 penalize recent tokens; 1 disables it.",
        gt=0,
        le=10,
    )
    repetition_window: int = described(
        20,
        "Repetition window",
        "How many recent tokens count as repeats.",
        "tokens",
        ge=1,
        le=100_000,
    )
    max_tokens: int = described(
        100,
        "Max tokens",
        "Maximum number of tokens to generate.",
        basic=True,
        ge=1,
        le=100_000,
    )
    context_length: int | None = described(
        None,
        "Context length",
        "Tokens the model can attend to (default: all of them).",
        "tokens",
        ge=8,
        le=10_000_000,
    )
    seed: Seed = described(0, "Seed", "The same seed produces the same text.", basic=True)
    stop: tuple[str, ...] = described(
        (), "Stop sequences", "Generation stops before the first match.", max_length=16
    )


SUITE_SAMPLING: Final = Sampling(max_tokens=64)
"""How the prompts of a suite are completed, and those of a run, where nothing else is chosen."""

CHAT_TOKENS: Final = 512
"""Tokens of a chat's answer at most, where nothing else is chosen: one that is cut is no answer."""

PLAYGROUND_SAMPLING: Final[dict[str, dict[str, float]]] = {
    "text": {
        "temperature": 0.8,
        "top_p": 0.95,
        "repetition_penalty": 1.1,
        "repetition_window": 64,
    },
    "chat": {"temperature": 0.7, "top_p": 0.9, "max_tokens": CHAT_TOKENS},
}
"""What the playground begins with, for raw text and for chat.

A base model that always takes the likeliest token soon repeats itself (Holtzman et al. 2020, "The
Curious Case of Neural Text Degeneration"), and small ones do so when sampled, too. Models that were
trained to chat seldom do, and a penalty harms their code and lists.
"""
