"""Checks before a run starts: all problems at once, before anything is created.

The figures are what training surely needs, so that nothing possible is refused. They are made of
what the plan's estimates are made of: the optimizer's record, the checkpoints' retention, and the
headers of the weight files.
"""

from __future__ import annotations

import math
from pathlib import Path

import psutil

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import Finding, UserError
from cptstudio.optimizer_records import OPTIMIZERS
from cptstudio.retention import most_at_once
from cptstudio.run_files import CorpusRecord, RunConfig, checkpoints_of
from cptstudio.weight_files import read_tensors
from cptstudio.workspace import why_model_is_absent

_FLOAT32_BYTES = 4


def problems_of(config: RunConfig, run_directory: Path) -> list[Finding]:
    """Return the problems that keep this configuration from being trained here."""
    problems = []
    model = Path(config.model_path)
    parameters = None
    absence = why_model_is_absent(model)
    try:
        parameters = None if absence else count_parameters(model)
    except (UserError, OSError) as error:
        absence = f"Could not read the base model: {error}."
    if absence:
        problems.append(Finding(absence, "model.path"))
    for place, corpus in enumerate(config.corpora):
        problem = _corpus_problem(corpus)
        if problem:
            problems.append(Finding(problem, f"data.corpora.{place}"))
    if parameters is not None:
        problems += map(Finding, _size_problems(config, parameters, run_directory))
    return problems


def count_parameters(model: Path) -> int:
    """Return the number of parameters in a model folder, packed ones counted as they lie there.

    Raises:
        UnusableFileError: its config.json or a weight file cannot be read.
        UserError: the folder holds no weights that mlx-lm reads.
    """
    config = model / "config.json"
    try:
        if not isinstance(durable.read_foreign_json(config), dict):
            raise UnusableFileError(config, "is not a JSON object")
    except FileNotFoundError:
        raise UnusableFileError(config, "is not there") from None
    except ValueError as error:
        raise UnusableFileError(config, f"is not valid JSON: {error}") from None
    return sum(math.prod(tensor.shape) for tensor in read_tensors(model).values())


def _corpus_problem(corpus: CorpusRecord) -> str | None:
    path = Path(corpus.path) / "manifest.json"
    try:
        manifest = durable.read_json(path)
    except FileNotFoundError:
        return f"The corpus {corpus.name} is gone: {path} is missing."
    except (UnusableFileError, OSError) as error:
        return f"Could not read the corpus {corpus.name}: {error}."
    if not isinstance(manifest, dict):
        return f"Could not read the corpus {corpus.name}: {path} is not a JSON object."
    return None


def _size_problems(config: RunConfig, parameters: int, run_directory: Path) -> list[str]:
    settings = config.settings
    trained = parameters if settings.method.kind == "full" else 0
    state = trained * _FLOAT32_BYTES + OPTIMIZERS[settings.optimizer.name].state_bytes(trained)
    problems = []
    # Weights that are not trained may be quantized: half a byte each, at least.
    memory = state + trained * _FLOAT32_BYTES + (0 if trained else parameters // 2)
    total = psutil.virtual_memory().total
    if memory > total:
        problems.append(
            "Memory: weights, gradients and optimizer state need at least "
            f"{memory / 1e9:,.1f} GB, but this machine has {total / 1e9:,.1f} GB. Use "
            "LoRA, or a smaller model."
        )
    most = most_at_once(settings.checkpoints, settings.length, settings.checkpoints.every)
    more = max(1, min(2, most) - len(checkpoints_of(run_directory)))
    try:
        free = durable.free_space(run_directory)
    except OSError as error:
        return [*problems, f"Could not use {run_directory}: {error.strerror}."]
    if more * state > free:
        what = "two checkpoints need" if more == 2 else "a checkpoint needs"
        problems.append(
            f"Disk space: {what} at least {more * state / 1e9:,.1f} GB, but "
            f"{free / 1e9:,.1f} GB are free in {run_directory.parent}."
        )
    return problems
