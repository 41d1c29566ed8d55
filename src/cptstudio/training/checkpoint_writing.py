"""Writes one checkpoint: what is saved is held as it is, and written here or beside the training.

MLX never changes an array: an update makes new ones. So holding the arrays of a step is a
snapshot, made in no time; its memory is what the next step cannot use again. A thread then
converts, hashes and writes it, and MLX computes nothing for it. Where the steps need the processor,
too, the thread takes a small part of its time, until somebody waits for it. (A nice value would be
simpler, but cannot be taken back then, and a thread that holds Python's lock at a low priority
holds up those of a high one.)
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cptstudio import durable
from cptstudio.lm.saving import CollectedWeights
from cptstudio.lm.tensor_writing import Unwritten, write_tensors
from cptstudio.run_files import (
    MANIFEST,
    TRAINING_STATE,
    CheckpointManifest,
    FileRecord,
    write_record,
)
from cptstudio.weight_files import read_header

_SHARE_OF_CORES: Final = 0.05
"""Part of the processor's time that a thread takes from steps that are computed there."""
_SHORTEST_PAUSE: Final = 0.005


class WriteCancelledError(Exception):
    """A write that is no longer needed."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was committed.

    Attributes:
        path: its folder.
        deleted: names of former checkpoints that had not to stay.
        seconds: that writing and committing took.
    """

    path: Path
    deleted: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint's content.

    Attributes:
        weights: of the model or its adapter.
        tensors: of the training state, by the name of their file.
        texts: its other files.
        manifest: without the files' hashes.
    """

    weights: CollectedWeights
    tensors: dict[str, dict[str, Unwritten]]
    texts: dict[str, bytes]
    manifest: CheckpointManifest

    def write(self, staged: Path, going_on: Callable[[], None]) -> CheckpointManifest:
        """Write everything but the manifest into a new folder, and return that.

        Args:
            going_on: called again and again; what it raises ends the writing.
        """
        staged.mkdir()
        own = staged / TRAINING_STATE
        own.mkdir()
        records = self.weights.write(staged, going_on)
        for name, tensors in self.tensors.items():
            records[f"{TRAINING_STATE}/{name}"] = write_tensors(own / name, tensors, going_on)
        for name, data in self.texts.items():
            (own / name).write_bytes(data)
        for path in sorted(staged.rglob("*")):
            name = path.relative_to(staged).as_posix()
            if path.suffix == ".safetensors":
                read_header(path)
            elif path.is_file():
                size, digest = path.stat().st_size, durable.sha256_of_file(path)
                records[name] = FileRecord(size=size, sha256=digest)
        durable.flush_tree(staged)
        return self.manifest.model_copy(update={"files": dict(sorted(records.items()))})


def commit(
    snapshot: Snapshot, target: Path, check: Callable[[], None], going_on: Callable[[], None]
) -> None:
    """Write a checkpoint beside its name and give it that once it is whole; leaves nothing else.

    Args:
        check: called at last before that; what it raises ends it.
    """
    staged = durable.staging_path(target)
    try:
        manifest = snapshot.write(staged, going_on)
        write_record(staged / MANIFEST, manifest)
        check()
        durable.commit_directory(staged, target)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


class Writer:
    """Writes one checkpoint at a time, in the thread that asks or in one of its own.

    Args:
        cores: that the steps are computed on; None where that is a GPU.
    """

    def __init__(self, cores: int | None) -> None:
        self._share = None if cores is None else min(0.5, _SHARE_OF_CORES * cores)
        self._threads: ThreadPoolExecutor | None = None
        self._cancelled, self._hurry = threading.Event(), threading.Event()
        self._computed = 0.0
        self._writing: Future[Saved] | None = None

    def begin(
        self, write: Callable[[Callable[[], None]], tuple[Path, list[str]]], beside: bool
    ) -> None:
        """Begin to write; `finished` tells what came of it, also what it raised.

        Args:
            write: does it, and returns the folder and what was deleted. It is given what it has to
                call again and again.
            beside: let a thread do it.
        """
        assert self._writing is None, "what came of the former one is asked first"

        def timed() -> Saved:
            started, self._computed = time.monotonic(), time.thread_time()
            path, deleted = write(self._go_on)
            return Saved(path, tuple(deleted), time.monotonic() - started)

        if beside:
            self._hurry.clear()
            if self._threads is None:
                self._threads = ThreadPoolExecutor(1, "checkpoint")
            self._writing = self._threads.submit(timed)
            return
        self._hurry.set()
        self._writing = Future()
        try:
            self._writing.set_result(timed())
        except Exception as error:
            self._writing.set_exception(error)

    def finished(self, wait: bool) -> Saved | None:
        """Return the written checkpoint, once; None if there is none or it is incomplete.

        Raises:
            Exception: what `write` raised.
        """
        if self._writing is None or not (wait or self._writing.done()):
            return None
        self._hurry.set()
        try:
            return self._writing.result()
        finally:
            self._writing = None

    def cancel(self) -> None:
        """End what is being written, soon, and wait for that."""
        self._cancelled.set()
        self._hurry.set()
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def _go_on(self) -> None:
        if self._cancelled.is_set():
            raise WriteCancelledError
        if self._share is None:
            return
        used = time.thread_time() - self._computed
        pause = used * (1 / self._share - 1)
        if pause > _SHORTEST_PAUSE:
            self._hurry.wait(pause)
            self._computed = time.thread_time()
