"""A small file system of its own for a test, where the system lets it have one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="mounting a small file system needs Linux and its administrator",
)


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs with these options, such as "size=14m"; it is gone with the block."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("this machine's container may mount nothing")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all its space; deleting what is returned gives it back."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


def take_all_files(folder: Path) -> Path:
    """Take all its inodes; deleting the folder that is returned gives them back."""
    inner = folder / "many"
    inner.mkdir()
    number = 0
    while True:
        try:
            (inner / str(number)).touch()
        except OSError:
            return inner
        number += 1
