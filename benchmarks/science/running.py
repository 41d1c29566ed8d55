"""Trains with the training program, merges, and scores; what is done is not done again."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.numpy import load_file, save_file

from benchmarks.science.material import DOMAIN, GENERAL
from cptstudio import durable, run_files, run_rows
from cptstudio.errors import UserError
from cptstudio.evaluation.programs import EVALUATE as EVALUATOR
from cptstudio.evaluation.references import ModelReference, resolve_reference
from cptstudio.evaluation.reports import Reports
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.launching import TRAINER_MODULE as TRAINER
from cptstudio.settings import TrainingSettings
from cptstudio.training.prepare import prepare_run
from cptstudio.workspace import Workspace

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Score:
    """Bits per byte on held-out text, and how many bytes that was."""

    domain: float
    general: float
    domain_bytes: int
    general_bytes: int


def is_complete(run: Path) -> bool:
    """Whether a run directory's trainer said that it completed."""
    result = run_files.read_result(run)
    return result is not None and result.outcome == "completed"


def train(workspace: Workspace, name: str, settings: TrainingSettings) -> ModelReference:
    """Train a run to its end, from wherever it was left; returns its last checkpoint.

    Raises:
        UserError: the run cannot be prepared, or its trainer did not complete it.
    """
    run = workspace.run(name)
    if not run.exists():
        prepare_run(workspace, name, settings)
    if not is_complete(run):
        with (run / run_files.LOG).open("ab") as log:
            subprocess.run(
                [sys.executable, "-m", TRAINER, str(run), "--resume"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if not is_complete(run):
            last = (run / run_files.LOG).read_text(encoding="utf-8").strip().splitlines()[-5:]
            raise UserError(f"The run {name!r} was not completed:", last)
    return resolve_reference(f"{name}@last", workspace)


def merge(base: Path, trained: Path, part: float, target: Path) -> Path:
    """Write base + part * (trained - base) as a model folder (WiSE-FT, arXiv 2109.01903)."""
    if target.exists():
        return target
    start, end = load_file(base / WEIGHTS), load_file(trained / WEIGHTS)
    assert start.keys() == end.keys()
    merged = {name: start[name] + part * (end[name] - start[name]) for name in start}
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = durable.staging_path(target)
    staged.mkdir()
    save_file(merged, staged / WEIGHTS, metadata={"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(trained / name, staged / name)
    durable.commit_directory(staged, target)
    return target


def score(
    workspace: Workspace, models: Mapping[str, ModelReference], scored_bytes: int
) -> dict[str, Score]:
    """Score models on both corpora's test side, all of them on the same documents.

    Scores are kept beside the runs, by the models' labels.
    """
    folder = workspace.make(workspace.root / "scores")

    def file_of(reference: ModelReference) -> Path:
        return folder / f"{reference.label.replace('@', '-')}-{scored_bytes}.json"

    missing = [one for one in models.values() if not file_of(one).exists()]
    for reference, result in zip(missing, _scored(workspace, missing, scored_bytes), strict=True):
        durable.write_json(file_of(reference), asdict(result))
    return {
        name: Score(**json.loads(file_of(reference).read_text(encoding="utf-8")))
        for name, reference in models.items()
    }


def _scored(
    workspace: Workspace, references: Iterable[ModelReference], scored_bytes: int
) -> list[Score]:
    request = {
        "workspace": str(workspace.root),
        "models": [
            {
                "label": one.label,
                "model": str(one.model),
                "adapter": one.adapter and str(one.adapter),
            }
            for one in references
        ],
        "corpora": [
            {"name": name, "path": str(workspace.corpus(name))} for name in (DOMAIN, GENERAL)
        ],
        "side": "test",
        "max_bytes": scored_bytes,
        "context_length": None,
        "fast_blas": True,
    }
    if not request["models"]:
        return []
    ended = subprocess.run(
        [sys.executable, "-m", EVALUATOR],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
    )
    last = json.loads(ended.stdout.splitlines()[-1]) if ended.stdout else {}
    if "result" not in last:
        raise UserError(f"The models could not be scored: {last.get('error')}")
    result = Reports(workspace).read(last["result"]["report"])["result"]
    return [
        Score(
            domain=one["corpora"][DOMAIN]["bits_per_byte"],
            general=one["corpora"][GENERAL]["bits_per_byte"],
            domain_bytes=one["corpora"][DOMAIN]["bytes"],
            general_bytes=one["corpora"][GENERAL]["bytes"],
        )
        for one in result["models"]
    ]


def training_seconds(run: Path) -> float:
    """How long a run trained, over all of its sessions."""
    rows = run_rows.current_rows(read_json_lines(run / run_files.METRICS).records)
    return float(rows[-1]["elapsed"]) if rows else 0.0


def default_work() -> Path:
    """Folder in the user's cache for this Python, whose library is the text."""
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "cpt-studio" / f"science-python-{platform.python_version()}"
