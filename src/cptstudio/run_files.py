"""The run directory: names, schemas, and how to read it.

The trainer is the only writer of a run directory, apart from config.json, which is written
once before the trainer starts and never changed. Everything that is shown about a run comes
from these files.

What its rows, events and samples say is read by `run_rows`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cptstudio import durable
from cptstudio.device_failures import Cause
from cptstudio.durable import UnusableFileError, read_json, write_json
from cptstudio.errors import UserError, machine_error
from cptstudio.settings import TrainingSettings
from cptstudio.validation import sentences
from cptstudio.workspace import CHECKPOINTS as CHECKPOINTS

CONFIG: Final = "config.json"
METRICS: Final = "metrics.jsonl"
EVENTS: Final = "events.jsonl"
SAMPLES: Final = "samples.jsonl"
DOCUMENT_SUMS: Final = "document_sums.jsonl"
LOG: Final = "train.log"
RESULT: Final = "result.json"
RANKS: Final = "ranks"
"""Folder of what ranks but the first one note of themselves, each in a folder "rank-N"."""
BASE_MODEL: Final = "base_model.json"
MANIFEST: Final = "manifest.json"
TRAINING_STATE: Final = "training_state"
LOCK: Final = "trainer.lock"

Outcome = Literal["completed", "stopped", "failed"]
ParameterRule = Literal["axes", "kinds"]
ConfigurationReading = Literal["as written", "normalized"]
OrderOf = Literal["micro-batches", "rows"]
_Stored = TypeVar("_Stored", bound=BaseModel)
_CHECKPOINT_NAME = re.compile(r"step-([0-9]{8,})")

EXIT_CODES: Final[dict[Outcome, int]] = {"completed": 0, "stopped": 3, "failed": 1}
"""Exit status of the trainer by outcome. 2 is left to wrong command-line arguments."""
EXIT_LOST: Final = 4
"""Exit status of a rank that failed for no other reason than that another one was gone."""


class Record(BaseModel):
    """Base of what is stored: unknown keys are kept out, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusRecord(Record):
    """A corpus as it was when the run was prepared.

    Attributes:
        template_hash: of the chat template that its conversations are in; None for documents.
    """

    name: str
    path: str
    fingerprint: str
    tokenizer_hash: str
    template_hash: str | None = None


class LedgerRecord(Record):
    """A ledger of facts as it was when the run was prepared.

    Attributes:
        fingerprint: SHA-256 of its facts, see `ledgers.ledger`.
        facts: that it held.
    """

    name: str
    path: str
    fingerprint: str
    facts: int


class Parent(Record):
    """Where a forked run came from."""

    run: str
    path: str
    checkpoint: str


class EarlierStage(Record):
    """A run whose checkpoint a later run began with.

    Attributes:
        checkpoint: the folder's name.
        model: what the run itself began with.
        corpora: names, in the order of its settings.
    """

    run: str
    checkpoint: str
    model: str
    method: str | None
    corpora: tuple[str, ...]


class RunConfig(Record):
    """config.json: complete, resolved, immutable.

    Attributes:
        created: Unix time in seconds.
        settings: with every `None` resolved to the value that is used.
        model_path: absolute folder of the base model.
        model_hash: SHA-256 that identifies the base model's weights and configuration; None where
            they had not been read yet: then base_model.json has the files' hashes.
        model_files: SHA-256 of each of these files; None in runs of before, and with the hash.
        model_sizes: where the hash is not known, size and time of change of these files.
        tokenizer_files: the same of the files of its tokenizer.
        corpora: in the order of settings.data.corpora.
        facts: the ledger that evaluations ask; None where they ask none.
        versions: of Python, MLX, mlx-lm and CPT Studio when the run was prepared.
        machine: operating system, processor, memory.
        parent: for a fork, the checkpoint whose weights it starts from.
        held_out: how evaluations choose the held-out text that they measure. "windows": see
            `corpus.held_out`; "documents": whole documents, as runs of before did and go on to do.
        parameter_rule: what decides which parameters are frozen, decayed and given to Muon.
            "kinds": see `lm.parameter_kinds`; "axes": their number of axes, as in runs of before.
        configuration_reading: how the base's configuration becomes a network. "normalized": see
            `lm.model_config`; "as written": by mlx-lm alone, as in runs of before, which are not
            resumed where the two are different networks (`lm.former_reading`).
        order_of: what is put in order, see `corpus.rows`: "rows", which any micro-batches of a
            session see alike; "micro-batches" in runs of before, which keep their order.
        dropout_of: what draws its dropout by itself: "rows", so that it depends neither on the
            micro-batches of a session nor on its ranks; "micro-batches" in runs of before.
        earlier: the runs that made its base model, the first one first; none where it begins with
            a model that no run of this workspace made.
        chosen: dotted names of the settings that were left open and whose values were chosen
            automatically; None in runs of before, which did not record it.
    """

    format_version: Literal[1] = 1
    name: str
    created: float
    settings: TrainingSettings
    model_path: str
    model_hash: str | None
    model_files: dict[str, str] | None = None
    model_sizes: dict[str, tuple[int, int]] | None = None
    tokenizer_files: dict[str, str] | None = None
    corpora: tuple[CorpusRecord, ...]
    facts: LedgerRecord | None = None
    versions: dict[str, str]
    machine: dict[str, str | int | float]
    parent: Parent | None = None
    earlier: tuple[EarlierStage, ...] = ()
    held_out: Literal["documents", "windows"] = "documents"
    parameter_rule: ParameterRule = "axes"
    configuration_reading: ConfigurationReading = "as written"
    order_of: OrderOf = "micro-batches"
    dropout_of: OrderOf = "micro-batches"
    chosen: tuple[str, ...] | None = None


class BaseModelRecord(Record):
    """base_model.json: the base's files as the run's first session read them.

    Attributes:
        read: Unix time.
        hash: as `model_hash` of `RunConfig`.
        files: SHA-256 by name.
    """

    format_version: Literal[1] = 1
    read: float
    hash: str
    files: dict[str, str]


class FileRecord(Record):
    """One file of a checkpoint."""

    size: int
    sha256: str


class CheckpointManifest(Record):
    """manifest.json of a checkpoint, written last: with it the checkpoint is complete.

    Attributes:
        step: optimizer updates done.
        layout: "model" (a complete model folder) or "adapter" (beside the base model).
        session: which trainer process wrote it.
        metrics_seq: `seq` of the last metrics row written before it.
        domain_bits_per_byte: of the latest evaluation, where there was one.
        files: by path relative to the checkpoint, with "/" between parts.
    """

    format_version: Literal[1] = 1
    step: int
    method: Literal["full", "lora", "dora"]
    layout: Literal["model", "adapter"]
    session: int
    metrics_seq: int
    domain_bits_per_byte: float | None = None
    files: dict[str, FileRecord]


class RunResult(Record):
    """result.json: the trainer's own last word.

    Attributes:
        outcome: how the trainer ended.
        cause: what made it fail, where that is no fault of the run's.
        step: optimizer updates done.
        checkpoint: name of the last complete checkpoint, if any.
        skipped_steps: steps that guards skipped, over all sessions.
        ended: Unix time in seconds.
    """

    format_version: Literal[1] = 1
    outcome: Outcome
    reason: str
    step: int
    planned_steps: int
    checkpoint: str | None
    best_checkpoint: str | None
    skipped_steps: int
    session: int
    ended: float
    cause: Cause | None = None


def bases_of_runs(runs: Path) -> frozenset[Path]:
    """Return the real folders of the models that the runs of a workspace began with."""
    found = set()
    for directory in runs.iterdir():
        try:
            found.add(durable.real_path(Path(read_config(directory).model_path)))
        except (UserError, OSError):
            continue
    return frozenset(found)


def checkpoint_name(step: int) -> str:
    """Return the folder name of the checkpoint after `step` updates."""
    return f"step-{step:08d}"


def checkpoint_step(name: str) -> int | None:
    """Step of a checkpoint's folder name, or None when it is no such name."""
    match = _CHECKPOINT_NAME.fullmatch(name)
    return int(match.group(1)) if match else None


def checkpoints_of(run_directory: Path) -> list[Path]:
    """Complete checkpoints (those with a manifest) of a run, oldest first."""
    return [
        entry
        for entry in _checkpoint_folders(run_directory)
        if (entry / MANIFEST).is_file() and not entry.is_symlink()
    ]


def incomplete_checkpoints(run_directory: Path) -> list[Path]:
    """Return the checkpoints that lack their manifest, oldest first.

    The trainer never leaves one: it writes the manifest first and gives the folder its name
    then. So something has happened to it, such as a copy that was cut off.
    """
    return [
        entry
        for entry in _checkpoint_folders(run_directory)
        if entry.is_dir() and not os.path.lexists(entry / MANIFEST)
    ]


def _checkpoint_folders(run_directory: Path) -> list[Path]:
    """What has a checkpoint's name, by step."""
    try:
        entries = list((run_directory / CHECKPOINTS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    named = [(checkpoint_step(entry.name), entry) for entry in entries]
    return [entry for _, entry in sorted((step, e) for step, e in named if step is not None)]


def newer_incomplete(run_directory: Path) -> str | None:
    """Say that a checkpoint newer than all complete ones lacks its manifest, if one does."""
    incomplete, complete = incomplete_checkpoints(run_directory), checkpoints_of(run_directory)
    if not incomplete or (complete and _step(complete[-1]) > _step(incomplete[-1])):
        return None
    newest = complete[-1].name if complete else "none"
    return (
        f"The checkpoint {incomplete[-1].name} is damaged: its {MANIFEST} is missing. "
        f"Newest intact checkpoint: {newest}."
    )


def _step(checkpoint: Path) -> int:
    return checkpoint_step(checkpoint.name) or 0


def read_record(path: Path, record: type[_Stored]) -> _Stored:
    """Return a stored record.

    Raises:
        UserError: what is there is no such record.
    """
    value = read_json(path)
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{path} is not valid:", sentences(error, record)) from None


def read_config(run_directory: Path) -> RunConfig:
    """Return the run's configuration.

    Raises:
        UserError: no configuration is there, or it cannot be used; each problem is named.
    """
    path = run_directory / CONFIG
    try:
        return read_record(path, RunConfig)
    except FileNotFoundError:
        raise UserError(f"{run_directory} is not a run: it has no {CONFIG}.") from None


def read_manifest(checkpoint: Path) -> CheckpointManifest:
    """Return a checkpoint's manifest; a missing one means the checkpoint is not complete."""
    try:
        return read_record(checkpoint / MANIFEST, CheckpointManifest)
    except FileNotFoundError:
        raise UnusableFileError(checkpoint, f"is incomplete: it has no {MANIFEST}") from None


def read_base_model(run_directory: Path) -> BaseModelRecord | None:
    """The base's files as the run's first session read them; None where config.json has them."""
    try:
        return read_record(run_directory / BASE_MODEL, BaseModelRecord)
    except FileNotFoundError:
        return None


def readable_manifests(checkpoints: Iterable[Path]) -> Iterator[tuple[Path, CheckpointManifest]]:
    """Yield the checkpoints that have a manifest which can be read, with it."""
    for checkpoint in checkpoints:
        with contextlib.suppress(UserError):
            yield checkpoint, read_manifest(checkpoint)


def verify_checkpoint(
    checkpoint: Path, progress: Callable[[int, int], None] | None = None
) -> CheckpointManifest:
    """Check every file of a checkpoint against its manifest.

    Args:
        progress: called with the bytes that were read and that there are; what it raises ends it.

    Raises:
        UserError: names the checkpoint and its first damaged file.
    """
    manifest = read_manifest(checkpoint)
    total, done = sum(record.size for record in manifest.files.values()), 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    for name, record in manifest.files.items():
        path = checkpoint / name
        try:
            size = path.stat().st_size
            intact = size == record.size and durable.sha256_of_file(path, read) == record.sha256
        except (FileNotFoundError, UnusableFileError):
            raise UserError(
                f"The checkpoint {checkpoint.name} is damaged: {name} is missing."
            ) from None
        if not intact:
            raise UserError(
                f"The checkpoint {checkpoint.name} is damaged: {name} has changed since "
                "it was written."
            )
    return manifest


def read_result(run_directory: Path) -> RunResult | None:
    """Return the trainer's result; None while it runs, or if it could not record one."""
    try:
        return read_record(run_directory / RESULT, RunResult)
    except FileNotFoundError:
        return None


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record atomically as JSON."""
    write_json(path, record.model_dump(mode="json"))


def reserve(run_directory: Path, config: RunConfig) -> None:
    """Make a run directory that holds its config.json, both at once or neither.

    Raises:
        UserError: something is there already, or the directory cannot be made.
    """
    staged = durable.staging_path(run_directory)
    try:
        staged.mkdir()
        write_record(staged / CONFIG, config)
        durable.flush_tree(staged)
        # A rename never replaces a folder that holds something.
        os.rename(staged, run_directory)
        durable.flush_directory(run_directory.parent)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        said = f"Could not create {run_directory}: {error.strerror}."
        raise machine_error(error) or UserError(said) from None
