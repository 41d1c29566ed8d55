"""Which models are trained, from what, and with which settings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.science.material import CONTEXT, DOMAIN, GENERAL
from cptstudio.settings import TrainingSettings

EPOCHS_OVER_LITTLE = 15
PEAK_OF_BASE = 4e-3


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        base_tokens: of the base model's pre-training on general text.
        tokens: of each continued pre-training.
        rows: rows of `CONTEXT` tokens in an optimizer update.
        scored_bytes: held-out text of each corpus that models are scored on.
        documents: how many of each kind become the corpora; None for all.
    """

    base_tokens: int
    tokens: int
    rows: int
    scored_bytes: int
    documents: int | None = None

    @property
    def little_bytes(self) -> int:
        """Text that so many epochs over make up one continued pre-training."""
        return self.tokens // EPOCHS_OVER_LITTLE


FULL = Scale(base_tokens=1_200_000, tokens=160_000, rows=8, scored_bytes=60_000)
QUICK = Scale(base_tokens=12_000, tokens=6_000, rows=4, scored_bytes=4_000, documents=60)


@dataclass(frozen=True)
class Variant:
    """One way of continued pre-training.

    Attributes:
        name: what it is called in the results.
        what: how it differs, for the table.
        replay: share of general text.
        rate: peak learning rate.
        rank: of LoRA; None for full training.
        schedule: "cosine" begins with a warm-up, "constant" does not.
        little: train on little text, many times, in place of all of the domain once.
    """

    name: str
    what: str
    rate: float = 2e-3
    replay: float = 0.0
    rank: int | None = None
    schedule: Literal["cosine", "constant"] = "cosine"
    little: bool = False


PLAIN = Variant("plain", "full rate, warm-up and cosine, no replay")
REPLAY_5 = replace(PLAIN, name="replay-05", what="the same with 5 % replay", replay=0.05)
REPLAY_25 = replace(PLAIN, name="replay-25", what="the same with 25 % replay", replay=0.25)
LOW_CONSTANT = replace(
    PLAIN,
    name="low-constant",
    what="a tenth of the rate, constant, no warm-up",
    rate=PLAIN.rate / 10,
    schedule="constant",
)
LOWER = replace(PLAIN, name="lower-rate", what="a third of the rate", rate=PLAIN.rate / 3)
LORA_2 = Variant("lora-02", "LoRA of rank 2", rate=5e-3, rank=2)
LORA_8 = replace(LORA_2, name="lora-08", what="LoRA of rank 8", rank=8)
LORA_32 = replace(LORA_2, name="lora-32", what="LoRA of rank 32", rank=32)
LITTLE = replace(
    PLAIN,
    name="little",
    what=f"{EPOCHS_OVER_LITTLE} epochs over 1/{EPOCHS_OVER_LITTLE} of the text",
    little=True,
)
VARIANTS = (PLAIN, REPLAY_5, REPLAY_25, LOW_CONSTANT, LOWER, LORA_2, LORA_8, LORA_32, LITTLE)
MERGES = (0.25, 0.5, 0.75)
"""Parts of the way from the base to `PLAIN` at which merged models are scored."""


def base_settings(scale: Scale, random_model: Path, seed: int) -> TrainingSettings:
    """Pre-training of a base model on general text."""
    corpora = [{"name": GENERAL, "role": "domain"}, {"name": DOMAIN, "role": "evaluation"}]
    return _settings(
        random_model,
        corpora,
        scale,
        scale.base_tokens,
        seed,
        watched=20_000,
        optimizer={"learning_rate": PEAK_OF_BASE},
        method={"kind": "full"},
    )


def variant_settings(
    variant: Variant, scale: Scale, base: Path, little_corpus: str, seed: int
) -> TrainingSettings:
    """Continued pre-training of a base model on the domain."""
    domain = {"name": little_corpus if variant.little else DOMAIN, "role": "domain"}
    general = {"name": GENERAL, "role": "replay" if variant.replay else "evaluation"}
    method: dict[str, Any] = {"kind": "full"}
    if variant.rank is not None:
        method = {"kind": "lora", "rank": variant.rank}
    schedule: dict[str, Any] = {"kind": variant.schedule}
    if variant.schedule == "constant":
        schedule["warmup"] = "1 step"
    return _settings(
        base,
        [domain, general],
        scale,
        scale.tokens,
        seed,
        watched=1_000,
        replay_share=variant.replay,
        optimizer={"learning_rate": variant.rate},
        method=method,
        schedule=schedule,
    )


def _settings(
    model: Path,
    corpora: list[dict[str, str]],
    scale: Scale,
    tokens: int,
    seed: int,
    watched: int,
    replay_share: float = 0.0,
    **groups: Any,
) -> TrainingSettings:
    length = f"{tokens} tokens"
    return TrainingSettings.model_validate(
        {
            "model": {"path": str(model)},
            "data": {
                "corpora": corpora,
                "replay_share": replay_share,
                "sequence_length": CONTEXT,
            },
            "length": length,
            "seed": seed,
            "batch": {"size": scale.rows},
            "evaluation": {"every": length, "max_tokens": watched},
            "checkpoints": {"every": length},
            **groups,
        }
    )


def run_name(name: str, seed: int, settings: TrainingSettings) -> str:
    """A run's name, which another choice of settings changes.

    The base model's path is part of the settings and holds the base's own run name, so a
    change of the base changes the names of everything that comes from it.
    """
    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    return f"{name}-seed{seed}-{digest[:8]}"
