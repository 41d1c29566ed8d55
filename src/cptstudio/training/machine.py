"""This machine and the installed versions, found without importing MLX."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, Literal

import psutil

import cptstudio
from cptstudio import child_process, macos
from cptstudio.child_limits import for_a_look, usable_cores
from cptstudio.errors import UserError

METAL_RESERVE = 1_000_000_000
"""Of a Mac's recommended working set, what is left to what else draws and computes."""
SPARED = {"metal": 0.1, "cuda": 0.1, "cpu": 0.25}
"""Part of what a run may take that is left free where its size is chosen: plans are estimates.

A Mac's working set and a card's free memory leave room for others; main memory is everybody's.
"""
_FRESH_SECONDS = 5.0
"""What is free on a card changes; a plan is asked for at every keystroke."""
_asked: tuple[float, dict[str, Any]] | None = None
_lock = threading.Lock()

_PACKAGES = ("mlx", "mlx-lm", "transformers", "tokenizers", "numpy")
# WSL 2 has the second in place of the first: Windows' own driver, by way of /dev/dxg.
_NVIDIA_DEVICES = ("/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1")
_CUDA_PACKAGES = ("mlx-cuda-12", "mlx-cuda-13", "mlx-cuda")


@dataclass(frozen=True)
class Machine:
    """The computer that a run is planned for.

    Attributes:
        system: operating system and version.
        processor: its name or architecture.
        cores: that this process may use.
        memory: bytes of main memory.
        accelerator: what MLX will compute on: "metal", "cuda" or "cpu".
        budget: bytes that a run may take where these are not all of main memory: see
            `this_machine`.
        name: of another machine than this one, see `training.known_machines`; None for this one.
    """

    system: str
    processor: str
    cores: int
    memory: int
    accelerator: Literal["metal", "cuda", "cpu"]
    budget: int | None = None
    name: str | None = None

    @property
    def available(self) -> int:
        """Bytes that a run may take."""
        return self.memory if self.budget is None else self.budget

    @property
    def room(self) -> int:
        """Bytes that a run is chosen to fit in: what it may take, less what is spared."""
        return int((1 - SPARED[self.accelerator]) * self.available)

    def record(self) -> dict[str, str | int | float]:
        """As config.json holds it."""
        names = ("system", "processor", "cores", "memory", "accelerator")
        return {name: getattr(self, name) for name in names}


def this_machine() -> Machine:
    """Return this machine, with the memory that a run may take.

    On a CPU that is all of it; on a card what is free now; on a Mac the working set that the
    system recommends (`iogpu.wired_limit_mb` raises it), less `METAL_RESERVE`.

    Raises:
        UserError: the device does not tell.
    """
    machine = describe_machine()
    if machine.accelerator == "cpu":
        return machine
    told = _device_memory()
    if machine.accelerator == "metal" and "max_recommended_working_set_size" in told:
        return replace(machine, budget=metal_budget(told["max_recommended_working_set_size"]))
    if machine.accelerator == "cuda" and "free_memory" in told:
        return replace(machine, budget=told["free_memory"])
    raise UserError(
        "MLX does not report the memory of its device (it said: "
        f"{', '.join(told) or 'nothing'}). Check its driver. `cpt-studio plan --machine` "
        "plans for a machine by name."
    )


def metal_budget(working_set: int) -> int:
    """Return the bytes that a run may take of a Mac's recommended working set."""
    return max(0, working_set - METAL_RESERVE)


def _device_memory() -> dict[str, int]:
    """What MLX's device says of its memory; asked in a process of its own where MLX is not here."""
    global _asked
    if "mlx.core" in sys.modules:
        return device_memory()
    with _lock:
        if _asked is None or time.monotonic() - _asked[0] > _FRESH_SECONDS:
            limits = for_a_look("Check its driver.", "Check its driver.")
            what = "Asking MLX for its device's memory"
            told = child_process.ask(
                ("-m", "cptstudio.training.device_program"), {}, limits, what=what
            )
            _asked = (time.monotonic(), told)
        return {name: int(value) for name, value in _asked[1].items()}


def device_memory() -> dict[str, int]:
    """Return what MLX's device says of its memory, in bytes; loads MLX."""
    import mlx.core as mx

    told = mx.device_info()
    return {name: int(value) for name, value in told.items() if isinstance(value, int)}


def describe_machine() -> Machine:
    """Return this machine, without asking its device."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=platform.processor() or platform.machine(),
        cores=usable_cores(),
        memory=psutil.virtual_memory().total,
        accelerator=_accelerator(),
    )


def _accelerator() -> Literal["metal", "cuda", "cpu"]:
    if macos.HERE:
        return "metal" if macos.has_metal() else "cpu"
    # MLX's CUDA build computes on the GPU; without a device file there is none.
    if any(map(os.path.exists, _NVIDIA_DEVICES)) and any(_version(name) for name in _CUDA_PACKAGES):
        return "cuda"
    return "cpu"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def installed_versions() -> dict[str, str]:
    """Return the versions of Python, CPT Studio, and what training rests on."""
    found = {"python": platform.python_version(), "cpt-studio": cptstudio.__version__}
    for package in _PACKAGES:
        version = _version(package)
        if version is not None:
            found[package] = version
    return found
