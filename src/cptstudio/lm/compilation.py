"""Where MLX keeps the kernels that it compiles on a CPU, and whether it can.

On a CPU `mx.compile` writes C++, has g++ make a shared library of it, and loads that from a
folder under the system's temporary folder. Others can write there, and what is loaded runs, so
the trainer uses a folder of the user's own, which also survives a reboot.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mlx.core as mx


def prepare_compilation() -> bool:
    """Choose the folder for compiled kernels; returns whether compiling is possible.

    Call it before anything is compiled. It sets TMPDIR, which is how MLX finds the folder. On
    a GPU nothing is done: kernels are compiled in memory there.
    """
    if mx.default_device().type != mx.DeviceType.cpu:
        return True
    if shutil.which("g++") is None:
        return False
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "cpt-studio" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError:
        return False
    os.environ["TMPDIR"] = str(folder)
    return True
