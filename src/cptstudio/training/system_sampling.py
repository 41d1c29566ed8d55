"""Samples what the machine does while a run is trained, in a thread of the trainer.

A sample takes about a millisecond of a core, every two seconds or more seldom (see `run_system`).
What only a Mac or a CUDA card can tell is asked for in one function each.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import mlx.core as mx
import psutil

from cptstudio import durable, macos
from cptstudio.durable import UnusableFileError, dump_json
from cptstudio.json_lines import JsonLinesWriter
from cptstudio.run_system import MOST_SAMPLES, SYSTEM, SystemSamples, read_system
from cptstudio.training.run_lock import RunDirectoryGoneError, RunLock


class GpuUse(NamedTuple):
    """A GPU's load: percent of its time, and bytes of its memory in use; None if unknown."""

    percent: float | None
    memory: int | None


def gpu_reader() -> tuple[Callable[[], GpuUse] | None, str]:
    """Return what reads the use of the GPU that MLX computes on, or None with the reason."""
    if mx.default_device().type != mx.DeviceType.gpu:
        return None, "this run computes on the CPU"
    if mx.metal.is_available():
        return lambda: GpuUse(*macos.gpu_use()), ""
    return cuda_reader()


def cuda_reader(library: Any = None) -> tuple[Callable[[], GpuUse] | None, str]:
    """Return what reads the first CUDA card's use by NVIDIA's library, or None with the reason.

    Args:
        library: a test's own in place of `pynvml`.
    """
    try:
        library = library or import_module("pynvml")
    except ImportError:
        return None, "the package nvidia-ml-py is not installed"
    try:
        library.nvmlInit()
        card = library.nvmlDeviceGetHandleByIndex(0)
    except library.NVMLError as error:
        return None, f"NVIDIA's library says: {error}"

    def read() -> GpuUse:
        try:
            percent = float(library.nvmlDeviceGetUtilizationRates(card).gpu)
            return GpuUse(percent, int(library.nvmlDeviceGetMemoryInfo(card).used))
        except library.NVMLError:
            return GpuUse(None, None)

    return read, ""


class SystemSampler:
    """Takes samples until it is closed. What it cannot write is left out, and nothing else.

    Args:
        session: number of this trainer process.
        step: says how many steps are done.
    """

    def __init__(self, lock: RunLock, session: int, step: Callable[[], int]) -> None:
        self._lock = lock
        self._path = lock.run_directory / SYSTEM
        self._session = session
        self._step = step
        self._kept = read_system(lock.run_directory) or SystemSamples()
        self._before = self._kept.seconds
        self._began = time.monotonic()
        self._process = psutil.Process()
        self._cores = psutil.cpu_count() or 1
        self._gpu, reason = gpu_reader()
        self._missing = {} if self._gpu else {"gpu": reason, "memory_gpu": reason}
        self._writes: tuple[float, int] | None = None
        self._writer: JsonLinesWriter | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system", daemon=True)

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def close(self) -> None:
        """Take no more samples."""
        self._closed.set()
        self._thread.join()
        if self._writer is not None:
            self._writer.close()

    def _work(self) -> None:
        try:
            self.sample()  # Percents are of the time since the last sample: this one begins it.
            self._begin()
            while not self._closed.wait(self._kept.interval):
                self._take()
        except (OSError, UnusableFileError, RunDirectoryGoneError, psutil.Error):
            return  # The disk is full, or the run is gone, which the training itself finds out.

    def _begin(self) -> None:
        memory, disk = psutil.virtual_memory().total, _disk(self._lock.run_directory)
        record = {
            "session": self._session,
            "time": time.time(),
            "run_seconds": self._before,
            "interval": self._kept.interval,
            "cores": self._cores,
            "memory": memory,
            "disk": None if disk is None else disk.total,
            "missing": self._missing,
        }
        self._lock.check_present()
        self._writer = JsonLinesWriter(self._path)
        self._writer.append(record)
        self._kept.sessions.append(record)

    def _take(self) -> None:
        found = self.sample()
        self._kept.samples.append(found)
        if len(self._kept.samples) > MOST_SAMPLES:
            self._kept = self._kept.thinned()
            self._rewrite()
        elif self._writer is not None:
            self._writer.append(found)

    def sample(self) -> dict[str, Any]:
        """Return what the machine does now."""
        gpu = self._gpu() if self._gpu else GpuUse(None, None)
        memory, disk = psutil.virtual_memory(), _disk(self._lock.run_directory)
        return {
            "session": self._session,
            "time": time.time(),
            "run_seconds": round(self._before + time.monotonic() - self._began, 2),
            "step": self._step(),
            "cpu": psutil.cpu_percent(),
            "cpu_process": round(self._process.cpu_percent() / self._cores, 1),
            "gpu": gpu.percent,
            "memory_used": memory.total - memory.available,
            "memory_process": self._process.memory_info().rss,
            "memory_gpu": gpu.memory,
            "disk_free": None if disk is None else disk.free,
            "disk_written": self._written(),
        }

    def _written(self) -> int | None:
        """Bytes a second that all disks wrote since the last sample."""
        counters = None
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            counters = psutil.disk_io_counters()
        former, now = self._writes, time.monotonic()
        self._writes = None if counters is None else (now, counters.write_bytes)
        if former is None or self._writes is None or now <= former[0]:
            return None
        return max(0, round((self._writes[1] - former[1]) / (now - former[0])))

    def _rewrite(self) -> None:
        self._lock.check_present()
        records = [*self._kept.sessions, *self._kept.samples]
        with durable.atomic_file(self._path, lasting=False) as file:
            for record in records:
                file.write(dump_json(record).encode() + b"\n")
        if self._writer is not None:
            self._writer.close()
        self._writer = JsonLinesWriter(self._path)


def _disk(folder: Path) -> Any:
    try:
        return psutil.disk_usage(str(folder))
    except OSError:
        return None
