"""Runs whose rows a test writes itself, with the trainer's own writer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.workspace import Workspace
from tests.training.small_workspace import DOMAIN, GENERAL, prepare


def train_row(step: int, **changes: Any) -> dict[str, Any]:
    """A row as the trainer writes it after a step."""
    row = {
        "loss": 4.0 + 3.0 * math.exp(-step / 400) + 0.1 * math.sin(step * 1.7),
        "learning_rate": 3e-4,
        "gradient_norm": 1.0 + 0.2 * math.cos(step * 0.9),
        "tokens": 64,
        "tokens_seen": 64 * step,
        "epoch": 0.0,
        "elapsed": 0.05 * step,
        "step_seconds": 0.05,
        "tokens_per_second": 1280.0,
        "memory_process": 500_000_000,
    }
    return row | changes


def evaluation_row(step: int, domain: float, general: float, best: bool) -> dict[str, Any]:
    """A row as the trainer writes it after an evaluation."""
    corpora = {
        name: {"role": role, "loss": bits * 2, "perplexity": math.exp(bits * 2), "documents": 3}
        | {"bits_per_byte": bits, "tokens": 400, "bytes": 1000}
        for name, role, bits in ((DOMAIN, "domain", domain), (GENERAL, "replay", general))
    }
    return {
        "corpora": corpora,
        "domain_bits_per_byte": domain,
        "general_bits_per_byte": general,
        "best": best,
        "tokens_seen": 64 * step,
        "elapsed": 0.05 * step,
        "evaluation_seconds": 0.5,
    }


def write_run(
    workspace: Workspace,
    name: str,
    steps: int,
    changes: Mapping[int, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Path:
    """A run with so many steps and four evaluations.

    Args:
        workspace: with the toy model and its corpora.
        name: of the run.
        steps: how many rows of training.
        changes: values of single steps' rows.
        settings: groups of its settings.
    """
    directory = prepare(workspace, name, **{"length": f"{steps} steps", **settings})
    writer = TrainingMetricsLogger(directory, session=0)
    for step in range(1, steps + 1):
        writer.row("train", step, **train_row(step, **(changes or {}).get(step, {})))
        if step % max(1, steps // 4) == 0:
            progress = step / steps
            row = evaluation_row(step, 2.4 - 0.3 * progress, 1.8 + 0.1 * progress, best=True)
            writer.row("evaluation", step, **row)
    writer.event("ended", steps, "All steps are done.")
    writer.flush_to_disk()
    return directory
