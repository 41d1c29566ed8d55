"""Which file a process's output goes to, as far as the system tells.

psutil lists the regular files that a process has open, with their descriptor numbers, on Linux
and macOS alike. For output that goes through `tee` it is the file that tee has open.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_OUTPUT, _ERROR = 1, 2


def output_file(process: psutil.Process) -> tuple[Path | None, str]:
    """Return the file that a process's output goes to, and how it is known, or why there is none.

    Standard output comes first, then tee, then standard error.

    Raises:
        psutil.NoSuchProcess: the process has ended.
    """
    try:
        open_files = {file.fd: Path(file.path) for file in process.open_files()}
    except psutil.AccessDenied:
        return None, "the system does not show which files this process has open"
    if _OUTPUT in open_files:
        return open_files[_OUTPUT], "its standard output goes to this file"
    if path := _file_of_tee(process):
        return path, "its standard output goes to tee, which writes this file"
    if _ERROR in open_files:
        return open_files[_ERROR], "its standard error goes to this file"
    return None, f"its standard output goes to {_target(process.pid)}"


def _target(pid: int) -> str:
    target = _descriptor_target(pid, _OUTPUT)
    if target is None:
        return "a special file"
    if target.endswith(" (deleted)"):
        return f"{target.removesuffix(' (deleted)')}, which was deleted"
    if target.startswith("pipe:"):
        return "another program through a pipe"
    return target


def _descriptor_target(pid: int, descriptor: int) -> str | None:
    """What a descriptor refers to, such as "pipe:[4711]"; only Linux names it."""
    if sys.platform != "linux":
        return None
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}")
    except OSError:
        return None


def _file_of_tee(process: psutil.Process) -> Path | None:
    """The file of the tee that a shell started beside the process in one pipeline.

    On Linux the pipe between the two is compared. Elsewhere nobody names pipes, so it has to
    be the only tee that the same shell started in the same process group.
    """
    found = []
    try:
        group, parent = os.getpgid(process.pid), process.parent()
        beside = parent.children() if parent is not None else []
    except (OSError, psutil.AccessDenied):
        return None
    pipe = _descriptor_target(process.pid, _OUTPUT)
    for other in beside:
        try:
            if other.name() != "tee" or os.getpgid(other.pid) != group:
                continue
            if pipe is not None and _descriptor_target(other.pid, 0) != pipe:
                continue
            found.append([Path(file.path) for file in other.open_files() if file.fd > _ERROR])
        except (OSError, psutil.Error):
            continue
    if len(found) != 1 or not found[0]:
        return None
    return found[0][0]
