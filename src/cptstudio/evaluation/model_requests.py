"""Requests to the inference worker, validated so that pages and programs can send them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cptstudio.sampling import MOST_SEEDS, Seed
from cptstudio.sampling import Asked as Asked
from cptstudio.sampling import Sampling as Sampling
from cptstudio.validation import LateModel

Side = Literal["validation", "test"]


class Windows(LateModel):
    """How a text that is longer than a window is measured."""

    context_length: int | None = Field(
        None,
        ge=8,
        le=10_000_000,
        title="Context length",
        description="Tokens per window (default: what all models support, at most 2,048).",
        json_schema_extra={"unit": "tokens"},
    )
    stride: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        title="Stride",
        description="New tokens per window of a long document (default: the whole window). A "
        "smaller stride gives each token more context and takes longer.",
        json_schema_extra={"unit": "tokens"},
    )


class HeldOutText(LateModel):
    """Which held-out text is measured, always the same documents."""

    side: Side = Field(
        "validation", title="Split", description="Which held-out documents to measure."
    )
    max_bytes: int = Field(
        400_000,
        ge=1000,
        le=10**12,
        title="Text of each corpus",
        description="Maximum per corpus; always the same documents. More is more precise but "
        "slower.",
        json_schema_extra={"unit": "bytes"},
    )


class Measured(HeldOutText, Windows):
    """The settings of an evaluation."""


class ModelToLoad(Asked):
    """A model by the folders it is loaded from.

    Attributes:
        label: how all further requests name it.
        model: folder of the (base) model.
        adapter: folder of an adapter to put on it, or None.
    """

    label: str = Field(min_length=1, max_length=200)
    model: str
    adapter: str | None = None


class Load(Asked):
    """Bring models into memory; others stay."""

    do: Literal["load"] = "load"
    models: tuple[ModelToLoad, ...] = Field(min_length=1, max_length=16)


class Unload(Asked):
    """Take models out of memory."""

    do: Literal["unload"] = "unload"
    labels: tuple[str, ...]


class Prompt(Asked):
    """A prompt: exactly one of the three.

    Attributes:
        text: raw text; the special tokens that the tokenizer itself puts first are added.
        tokens: token ids as they are, to go on from a text whose tokens were seen or changed.
        chat: messages for the model's chat template.
    """

    text: str | None = None
    tokens: tuple[int, ...] | None = None
    chat: tuple[dict[str, str], ...] | None = None


class Complete(Asked):
    """Go on from a prompt with several models or several seeds, all together.

    Attributes:
        labels: which loaded models.
        prompts: one for all labels, or one for each.
        sampling: how tokens are chosen.
        seeds: one text a seed and model; empty for `sampling.seed` alone.
        alternatives: how many of the likeliest tokens are told at each place.
        context: tokens that prompt and text may have together; more is refused, with a finding
            about this field. None for no such bound.
        fill: make as many tokens as are left of `context`, in place of `sampling.max_tokens`.
    """

    do: Literal["complete"] = "complete"
    labels: tuple[str, ...] = Field(min_length=1, max_length=16)
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=16)
    sampling: Sampling = Sampling()
    seeds: tuple[Seed, ...] = Field((), max_length=MOST_SEEDS)
    alternatives: int = Field(10, ge=0, le=50)
    context: int | None = Field(None, ge=1)
    fill: bool = False


class Score(Asked, Windows):
    """How likely models find texts.

    Attributes:
        labels: which loaded models.
        texts: each is scored as a document of its own.
        tokens: tell the nats of every token, for the heat map.
    """

    do: Literal["score"] = "score"
    labels: tuple[str, ...] = Field(min_length=1, max_length=16)
    texts: tuple[str, ...] = Field(min_length=1, max_length=10_000)
    tokens: bool = True


class Status(Asked):
    """The loaded models, and how much memory they take."""

    do: Literal["status"] = "status"


class Request(Asked):
    """A line to the worker.

    Attributes:
        id: all answers to it carry the same.
        ask: what is to be done.
    """

    id: int
    ask: Load | Unload | Complete | Score | Status = Field(discriminator="do")


class Cancel(Asked):
    """A line to the worker that ends the work on a request; what was made of it stays."""

    cancel: int
