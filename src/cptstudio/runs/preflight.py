"""Whether a run can start: all that speaks against it at once, before anything is created.

The figures are lower bounds of what training needs, so that nothing possible is refused; the
planner of the training room gives the estimates.
"""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import psutil

from cptstudio import durable
from cptstudio.durable import UnusableFileError
from cptstudio.errors import Finding
from cptstudio.run_files import CorpusRecord, RunConfig
from cptstudio.settings import STATE_ARRAYS
from cptstudio.workspace import why_model_is_absent

_FLOAT32_BYTES = 4
_HEADER_LIMIT = 100 * durable.MEBIBYTE


def problems_of(config: RunConfig, run_directory: Path) -> list[Finding]:
    """What keeps this configuration from being trained here."""
    problems = []
    model = Path(config.model_path)
    parameters = None
    absence = why_model_is_absent(model)
    try:
        parameters = None if absence else count_parameters(model)
    except (UnusableFileError, OSError) as error:
        absence = f"The base model cannot be read: {error}."
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
    """Number of parameters in a model folder, by the headers of the files that mlx-lm reads.

    Raises:
        UnusableFileError: the folder holds no model that can be read.
    """
    try:
        config = durable.parse_foreign_json(durable.read_bytes(_present(model / "config.json")))
    except ValueError as error:
        raise UnusableFileError(model / "config.json", f"is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise UnusableFileError(model / "config.json", "is not a JSON object")
    files = sorted(model.glob("model*.safetensors"))
    if not files:
        raise UnusableFileError(model, "holds no model*.safetensors file")
    # Some folders hold the same weights once more (consolidated.safetensors), or adapters beside.
    sizes: dict[str, int] = {}
    for file in files:
        sizes |= _tensors_in(file)
    return sum(sizes.values())


def _present(path: Path) -> Path:
    # Files of the Hugging Face cache are links into its store of contents.
    resolved = path.resolve()
    if not resolved.exists():
        raise UnusableFileError(path, "is not there")
    return resolved


def _tensors_in(file: Path) -> dict[str, int]:
    """Numbers in each tensor of a file, by name."""
    # https://github.com/huggingface/safetensors#format: 8 bytes of length, then JSON.
    with durable.open_regular_file(_present(file)) as opened:
        start = opened.read(8)
        if len(start) < 8:
            raise UnusableFileError(file, "is too short for a safetensors file")
        (length,) = struct.unpack("<Q", start)
        if length > _HEADER_LIMIT:
            raise UnusableFileError(file, "is not a safetensors file")
        header = opened.read(length)
    try:
        tensors = durable.parse_foreign_json(header)
        return {
            name: math.prod(map(int, tensor["shape"]))
            for name, tensor in tensors.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UnusableFileError(file, "has a damaged safetensors header") from None


def _corpus_problem(corpus: CorpusRecord) -> str | None:
    path = Path(corpus.path) / "manifest.json"
    try:
        manifest = durable.read_json(path)
    except FileNotFoundError:
        return f"The corpus {corpus.name} is not there any more: {path} is missing."
    except (UnusableFileError, OSError) as error:
        return f"The corpus {corpus.name} cannot be read: {error}."
    if not isinstance(manifest, dict):
        return f"The corpus {corpus.name} cannot be read: {path} is not a JSON object."
    return None


def _size_problems(config: RunConfig, parameters: int, run_directory: Path) -> list[str]:
    settings = config.settings
    trained = parameters if settings.method.kind == "full" else 0
    arrays = min(STATE_ARRAYS[settings.optimizer.name])
    state = trained * _FLOAT32_BYTES * (1 + arrays)
    problems = []
    # Weights that are not trained may be quantized: half a byte each, at least.
    memory = state + trained * _FLOAT32_BYTES + (0 if trained else parameters // 2)
    total = psutil.virtual_memory().total
    if memory > total:
        problems.append(
            f"Memory: weights, gradients and optimizer state need at least {memory / 1e9:,.1f} GB, "
            f"and this machine has {total / 1e9:,.1f} GB. Use lora, or a smaller model."
        )
    space = state * min(2, settings.checkpoints.keep_last)
    try:
        free = shutil.disk_usage(_existing(run_directory)).free
    except OSError as error:
        return [*problems, f"{run_directory} cannot be used: {error.strerror}."]
    if space > free:
        problems.append(
            f"Disk space: two checkpoints need at least {space / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB are free at {run_directory.parent}."
        )
    return problems


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
