"""How much text models read at once when they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cptstudio.lm.description import describe_model

LONGEST_WINDOW = 2048


def common_context(models: Sequence[Path], asked: int | None = None) -> int:
    """The window in tokens that all models can read: what was asked, or 2,048, or their limits."""
    limits = [describe_model(model).context_limit for model in models]
    return min([asked or LONGEST_WINDOW, *(limit for limit in limits if limit is not None)])
