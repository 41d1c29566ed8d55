"""Where MLX keeps the kernels that it compiles, and whether it can.

On a CPU `mx.compile` writes C++, has g++ make a shared library of it, and loads that from a
folder under the system's temporary folder. Under CUDA, NVRTC makes PTX, which MLX keeps there, too:
on an H200 the first step of a run compiled about 70 kernels in 13 to 30 seconds. Others can write
there, and what is loaded runs, so a folder of the user's own is used, which also survives a reboot.
"""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from cptstudio.lm.tensor_writing import memory_is_apart


def prepare_compilation() -> bool:
    """Choose the folder for compiled kernels; returns whether compiling is possible.

    Call it before anything is compiled. It sets TMPDIR, which is how MLX finds the folder. On
    a GPU nothing is done.
    """
    if mx.default_device().type != mx.DeviceType.cpu:
        return True
    if shutil.which("g++") is None:
        return False
    folder = _own_folder()
    if folder is None:
        return False
    os.environ["TMPDIR"] = str(folder)
    return True


def keep_kernels_of_cuda() -> None:
    """Choose the folder for kernels of CUDA; call it before anything is computed.

    It sets MLX_PTX_CACHE_DIR, unless the user did (mlx/backend/cuda/jit_module.cpp). Metal compiles
    in memory, and the system keeps that.
    """
    if memory_is_apart() and "MLX_PTX_CACHE_DIR" not in os.environ:
        folder = _own_folder("ptx", version("mlx"))
        if folder is not None:
            os.environ["MLX_PTX_CACHE_DIR"] = str(folder)


def _own_folder(*parts: str) -> Path | None:
    """Return a folder that only the user may write to; None where it cannot be made."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    top = Path(base) / "cpt-studio" / "kernels"
    folder = top.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        top.chmod(0o700)
    except OSError:
        return None
    return folder
