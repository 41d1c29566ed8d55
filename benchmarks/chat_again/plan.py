"""How large everything is, and the settings of each training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chat_again.material import DOMAIN, GENERAL
from cptstudio.settings import TrainingSettings

STRENGTHS = (0.5, 0.75, 1.0)
STRENGTH_OF_BOTH = 0.5
"""Of the difference that is added to a model that was fine-tuned, too."""


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        base_tokens: of the training on plain text that makes a base of the instruct model.
        tokens: of each continued pre-training.
        chat_tokens: of each fine-tuning on conversations, questions included.
        context: tokens of a row.
        rows: of an optimizer update.
        scored_bytes: held-out text of each corpus that models are measured on.
        max_tokens: of an answer.
        documents: how many of each kind become the corpora; None for all.
    """

    base_tokens: int
    tokens: int
    chat_tokens: int = 5_000
    context: int = 128
    rows: int = 4
    scored_bytes: int = 10_000
    max_tokens: int = 200
    documents: int | None = None


FULL = Scale(base_tokens=24_000, tokens=10_000)
QUICK = Scale(
    base_tokens=2_000,
    tokens=2_000,
    chat_tokens=1_000,
    scored_bytes=3_000,
    max_tokens=16,
    documents=60,
)


def base_settings(scale: Scale, instruct: Path) -> TrainingSettings:
    """Training of the instruct model on plain general text, which makes a base of it."""
    corpora = [{"name": GENERAL, "role": "domain"}, {"name": DOMAIN, "role": "evaluation"}]
    return _settings(instruct, corpora, scale, scale.base_tokens, 0, rate=5e-4)


def cpt_settings(scale: Scale, base: Path, seed: int) -> TrainingSettings:
    """Continued pre-training of the base on R's manuals."""
    corpora = [{"name": DOMAIN, "role": "domain"}, {"name": GENERAL, "role": "evaluation"}]
    return _settings(base, corpora, scale, scale.tokens, seed, rate=3e-4)


def chat_settings(scale: Scale, trained: Path, conversations: str, seed: int) -> TrainingSettings:
    """A short fine-tuning of a trained model on conversations, of which only answers count."""
    corpora = [{"name": conversations, "role": "domain"}, {"name": DOMAIN, "role": "evaluation"}]
    return _settings(trained, corpora, scale, scale.chat_tokens, seed, rate=1e-4)


def _settings(
    model: Path,
    corpora: list[dict[str, str]],
    scale: Scale,
    tokens: int,
    seed: int,
    rate: float,
) -> TrainingSettings:
    length = f"{tokens} tokens"
    return TrainingSettings.model_validate(
        {
            "model": {"path": str(model)},
            "data": {"corpora": corpora, "sequence_length": scale.context},
            "length": length,
            "seed": seed,
            "method": {"kind": "full"},
            "optimizer": {"learning_rate": rate},
            "batch": {"size": scale.rows},
            "evaluation": {"every": length, "max_tokens": 2_000, "samples": False},
            "checkpoints": {"every": f"{tokens // 4} tokens"},
        }
    )


def run_name(name: str, seed: int, settings: TrainingSettings) -> str:
    """Return a run's name, which another choice of settings changes.

    Settings that a later version adds do not, so what took hours is found again.
    """
    chosen = settings.model_dump_json(exclude_defaults=True)
    return f"{name}-seed{seed}-{hashlib.sha256(chosen.encode()).hexdigest()[:8]}"
