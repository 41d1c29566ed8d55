"""Checkpoints: staged, verified, kept and deleted.

A checkpoint is written into a folder beside its final name, every file is hashed and flushed,
manifest.json is written last, and the folder is renamed into place: under its final name a
checkpoint is complete or not there. Former checkpoints are deleted only after that. Where memory
has room for it, all this happens beside the training (`training.checkpoint_writing`).
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
from pydantic import ValidationError

from cptstudio import durable
from cptstudio.child_limits import usable_cores
from cptstudio.errors import UserError
from cptstudio.lm.finite import check_weights
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.methods import AppliedMethod
from cptstudio.lm.parameters import trainable_parameters
from cptstudio.lm.saving import (
    collect_arrays,
    collect_weights,
    load_weights,
    restore_trainable,
    stored_exactly,
)
from cptstudio.lm.tensor_writing import Copies, memory_is_apart
from cptstudio.retention import superfluous_steps
from cptstudio.run_files import (
    CHECKPOINTS,
    CONFIG,
    MANIFEST,
    TRAINING_STATE,
    CheckpointManifest,
    Record,
    bases_of_runs,
    checkpoint_name,
    checkpoint_step,
    checkpoints_of,
    incomplete_checkpoints,
    readable_manifests,
    verify_checkpoint,
)
from cptstudio.settings import CheckpointSettings
from cptstudio.training.checkpoint_writing import Saved, Snapshot, Writer, commit
from cptstudio.training.run_lock import RunLock
from cptstudio.validation import sentences
from cptstudio.weight_files import read_tensors

STATE_FILE = "state.json"
OPTIMIZER_FILE = "optimizer.safetensors"
WEIGHTS_FILE = "weights.safetensors"
SPACE_MARGIN = 64 * 1024 * 1024
"""Bytes that stay free beside a checkpoint, for metrics, log and tokenizer files."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CheckpointFailedError(UserError):
    """A checkpoint could not be written; the former ones are untouched."""


class TrainerState(Record):
    """A resumed trainer's state besides weights and optimizer state.

    Attributes:
        step: steps done, skipped ones included.
        next_batch: number of the next micro-batch in the order of training.
        tokens_seen: counted targets of all steps done.
        elapsed: seconds of training, over all sessions.
        evaluated_step: step of the last finished evaluation, or None.
    """

    step: int
    next_batch: int
    tokens_seen: int
    elapsed: float
    evaluated_step: int | None
    guard: dict[str, Any]
    early_stopping: dict[str, Any]


class CheckpointStore:
    """Reads and writes the checkpoints of one run."""

    def __init__(self, lock: RunLock, settings: CheckpointSettings) -> None:
        self._lock = lock
        self._run_directory = lock.run_directory
        self._folder = lock.run_directory / CHECKPOINTS
        self._settings = settings
        self._config = b""
        on_cpu = mx.default_device().type == mx.DeviceType.cpu
        self._writer = Writer(usable_cores() if on_cpu else None)

    def prepare(self) -> None:
        """Make the folder, and sweep away what interrupted writes left in it."""
        self._lock.check_present()
        self._folder.mkdir(exist_ok=True)
        self._config = durable.read_bytes(self._run_directory / CONFIG)
        durable.sweep_staging(self._run_directory)
        durable.sweep_staging(self._folder)

    # --- writing -----------------------------------------------------------------------------

    def begin(
        self,
        state: TrainerState,
        loaded: LoadedModel,
        method: AppliedMethod,
        optimizer_state: dict[str, mx.array],
        *,
        session: int,
        metrics_seq: int,
        domain_bits_per_byte: float | None,
        flush: Callable[[], None],
        room: int,
    ) -> bool:
        """Hold what is to be saved, and write it, beside the training where memory has room for it.

        `finished` tells what came of it. Former checkpoints that need not stay are deleted once
        this one is committed.

        Args:
            flush: makes the rows that the checkpoint knows of survive the machine.
            room: bytes that can be held beside a step.

        Returns:
            Whether it is being written beside the training.

        Raises:
            CheckpointFailedError: there is too little space; nothing was changed.
            RunDirectoryGoneError: the run directory was deleted.
        """
        self._lock.check_present()
        self._check_space(checkpoint_size(loaded, method, optimizer_state))
        beside = self._settings.background and state_size(loaded, optimizer_state) <= room
        held = Copies() if beside else None
        weights = collect_weights(loaded, method, held=held)
        tensors = {OPTIMIZER_FILE: collect_arrays(optimizer_state, held=held)}
        if not weights.exact:
            trained = collect_arrays(trainable_parameters(loaded.model), held=held)
            tensors = {WEIGHTS_FILE: trained, **tensors}
        snapshot = Snapshot(
            weights,
            tensors,
            # What the run was at this step, so that an edit is noticed.
            {STATE_FILE: _as_json(state), CONFIG: self._config},
            CheckpointManifest(
                step=state.step,
                method=method.kind,
                layout=weights.layout,
                session=session,
                metrics_seq=metrics_seq,
                domain_bits_per_byte=domain_bits_per_byte,
                files={},
            ),
        )
        beside = beside and not weights.computed

        def write(going_on: Callable[[], None]) -> tuple[Path, list[str]]:
            flush()
            target = self._folder / checkpoint_name(state.step)
            self._write(snapshot, target, going_on)
            return target, self._prune(state.step)

        self._writer.begin(write, beside)
        return beside

    def finished(self, *, wait: bool) -> Saved | None:
        """Return the checkpoint that `begin` has written, once; None if it is not done yet.

        Args:
            wait: for its end.

        Raises:
            CheckpointFailedError: the disk is full or refuses; nothing was changed.
            RunDirectoryGoneError: the run directory was deleted.
        """
        saved = self._writer.finished(wait)
        if saved is not None and memory_is_apart():
            # What the host has read would be used again by steps, page by page.
            mx.clear_cache()
        return saved

    def cancel(self) -> None:
        """End what is being written: nobody wants it any more."""
        self._writer.cancel()

    def _write(self, snapshot: Snapshot, target: Path, going_on: Callable[[], None]) -> None:
        try:
            commit(snapshot, target, self._lock.check_present, going_on)
        except (OSError, RuntimeError, UserError) as error:
            # The write may have failed because the user deleted the run.
            self._lock.check_present()
            raise CheckpointFailedError(_why_failed(error, target, self._folder)) from error

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < needed + SPACE_MARGIN:
            raise CheckpointFailedError(
                f"Not enough disk space for a checkpoint: it needs {needed / 1e6:,.0f} MB "
                f"plus {SPACE_MARGIN / 1e6:.0f} MB reserve, but {free / 1e6:,.0f} MB are "
                f"free in {self._folder}. Free some space and resume the run."
            )

    def _prune(self, current_step: int) -> list[str]:
        """Delete what need not stay, after a commit; returns the names deleted."""
        there = readable_manifests(checkpoints_of(self._run_directory))
        known = {manifest.step: manifest.domain_bits_per_byte for _, manifest in there}
        deleted: list[str] = []
        superfluous = superfluous_steps(known, self._settings, current_step)
        needed = bases_of_runs(self._run_directory.parent) if superfluous else frozenset()
        for step in superfluous:
            self._lock.check_present()
            path = self._folder / checkpoint_name(step)
            if durable.real_path(path) in needed:
                # A later run began with it, and is resumed from it.
                continue
            # First out of the way in one step, so that it is never there in part.
            leaving = durable.staging_path(path)
            os.rename(path, leaving)
            shutil.rmtree(leaving, ignore_errors=True)
            deleted.append(path.name)
        return deleted

    # --- reading -----------------------------------------------------------------------------

    def choose(
        self,
        name: str | None,
        *,
        accept_older: bool,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path | None:
        """Return the checkpoint to resume from, verified.

        Args:
            name: a checkpoint's folder name, or None for the newest.
            accept_older: when the newest are damaged, set them aside and take an older one.
            progress: as for `verify_checkpoint`.

        Returns:
            None when the run has no checkpoint at all.

        Raises:
            UserError: the chosen one is missing or damaged; says what to do.
        """
        complete = checkpoints_of(self._run_directory)
        if name is not None:
            chosen = choose_complete(self._run_directory, name)
            verify_checkpoint(chosen, progress)
            return chosen
        damaged = []
        incomplete = incomplete_checkpoints(self._run_directory)
        there = sorted([*complete, *incomplete], key=lambda path: checkpoint_step(path.name) or 0)
        for path in reversed(there):
            try:
                if path not in complete:
                    raise UserError(
                        f"The checkpoint {path.name} is damaged: its {MANIFEST} is missing."
                    )
                verify_checkpoint(path, progress)
            except UserError as error:
                damaged.append((path, error))
                continue
            if damaged and not accept_older:
                raise UserError(
                    f"{damaged[0][1].message} The newest intact checkpoint is "
                    f"{path.name}. Use it with --accept-older."
                )
            for bad, _ in damaged:
                os.rename(bad, bad.with_name(f"damaged-{bad.name}-{time.time_ns()}"))
            return path
        if damaged:
            raise UserError(
                "No checkpoint of this run can be used:", [error.message for _, error in damaged]
            )
        return None


def choose_complete(run_directory: Path, name: str) -> Path:
    """Return the complete checkpoint of this name.

    Raises:
        UserError: the run has none; says which it has.
    """
    complete = {path.name: path for path in checkpoints_of(run_directory)}
    if name not in complete:
        known = ", ".join(complete) or "none"
        raise UserError(f"This run has no checkpoint {name!r}. Existing checkpoints: {known}.")
    return complete[name]


def checkpoint_size(
    loaded: LoadedModel, method: AppliedMethod, optimizer_state: dict[str, mx.array]
) -> int:
    """Return the bytes that a checkpoint will take, tokenizer files left out."""
    state = sum(value.nbytes for value in optimizer_state.values())
    trained = sum(value.nbytes for value in trainable_parameters(loaded.model).values())
    if method.kind != "full" and not method.train_embeddings:
        return state + trained
    if loaded.quantized:
        types = loaded.stored_types.values()
        whole = method.total * max((dtype.size for dtype in types), default=2)
    else:
        whole = sum(tensor.bytes for tensor in read_tensors(loaded.path).values())
    exact = method.kind == "full" and stored_exactly(loaded)
    return state + whole + (0 if exact else trained)


def state_size(loaded: LoadedModel, optimizer_state: dict[str, mx.array]) -> int:
    """Return the bytes of all that the next update replaces."""
    trained = trainable_parameters(loaded.model).values()
    return sum(value.nbytes for value in (*trained, *optimizer_state.values()))


def _as_json(state: TrainerState) -> bytes:
    return durable.dump_json(state.model_dump(mode="json"), indent=2).encode() + b"\n"


def _why_failed(error: Exception, target: Path, folder: Path) -> str:
    full = isinstance(error, OSError) and error.errno in _FULL
    # MLX reports a failed write as a RuntimeError without the system's error number.
    if full or shutil.disk_usage(folder).free < SPACE_MARGIN:
        reason = "the disk is full"
    elif isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
    else:
        reason = str(error)
    return (
        f"Could not write the checkpoint {target.name}: {reason}. Earlier checkpoints are "
        "intact. Fix the problem and resume the run."
    )


def load_trainer_state(checkpoint: Path) -> TrainerState:
    """Return the counters and guards of a verified checkpoint."""
    value = durable.read_json(checkpoint / TRAINING_STATE / STATE_FILE)
    try:
        return TrainerState.model_validate(value)
    except ValidationError as error:
        raise UserError(
            f"The checkpoint {checkpoint.name} was written by another version: "
            + " ".join(sentences(error, TrainerState))
        ) from None


def load_trained_weights(checkpoint: Path, loaded: LoadedModel, method: AppliedMethod) -> None:
    """Put a checkpoint's trained parameters into a model prepared the same way, bit for bit."""
    exact = checkpoint / TRAINING_STATE / WEIGHTS_FILE
    if exact.exists():
        restore_trainable(loaded.model, _load(exact))
    else:
        load_weights(checkpoint, loaded, method)
    check_weights(trainable_parameters(loaded.model), checkpoint)


def load_optimizer_state(checkpoint: Path) -> dict[str, mx.array]:
    """Return the `Optimizer.state` of when the checkpoint was written."""
    return _load(checkpoint / TRAINING_STATE / OPTIMIZER_FILE)


def _load(path: Path) -> dict[str, mx.array]:
    arrays = mx.load(str(path))
    assert isinstance(arrays, dict)
    return arrays
