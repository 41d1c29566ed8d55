"""Run directories without a trainer: what one leaves, written by the test."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cptstudio.run_files import CONFIG, METRICS, CorpusRecord, RunConfig, write_record
from cptstudio.settings import parse_settings
from cptstudio.workspace import Workspace


def config_of(name: str, **changes: Any) -> RunConfig:
    """A complete configuration; nothing that it names is there."""
    tree: dict[str, Any] = {
        "model": {"path": "toy"},
        "data": {"corpora": [{"name": "code"}], "sequence_length": 32},
        "length": "1000 steps",
        "method": {"kind": "full"},
        "optimizer": {"learning_rate": 1e-3},
    }
    return RunConfig(
        name=name,
        created=time.time(),
        settings=parse_settings(tree | changes),
        model_path="/nowhere/toy",
        model_hash="0" * 64,
        corpora=(
            CorpusRecord(name="code", path="/nowhere/code", fingerprint="f", tokenizer_hash="t"),
        ),
        versions={"python": "3"},
        machine={"memory": 8_000_000_000},
    )


def make_run(workspace: Workspace, name: str, **changes: Any) -> Path:
    """A run directory with its configuration; returns its metrics file, which is empty."""
    directory = workspace.run(name)
    directory.mkdir(parents=True)
    write_record(directory / CONFIG, config_of(name, **changes))
    metrics = directory / METRICS
    metrics.touch()
    return metrics
