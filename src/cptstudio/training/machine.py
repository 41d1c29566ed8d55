"""What this machine is and which versions are installed, found without importing MLX."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import psutil

import cptstudio
from cptstudio import macos
from cptstudio.child_limits import usable_cores

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
    """

    system: str
    processor: str
    cores: int
    memory: int
    accelerator: Literal["metal", "cuda", "cpu"]

    def record(self) -> dict[str, str | int | float]:
        """As config.json holds it."""
        return dict(vars(self))


def describe_machine() -> Machine:
    """This machine."""
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
    """Versions of Python, CPT Studio, and what training rests on."""
    found = {"python": platform.python_version(), "cpt-studio": cptstudio.__version__}
    for package in _PACKAGES:
        version = _version(package)
        if version is not None:
            found[package] = version
    return found
