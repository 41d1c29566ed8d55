"""What the doctor runs on each machine: it looks, and prints what it saw as one line of JSON.

It is sent to the machine's Python on standard input, with what is asked as its one argument, and so
uses the standard library alone, and nothing that Python 3.7 lacks: an old one is to say how old it
is.
It writes one file of one byte into the folder, to see whether that can be done, and removes it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

MARK = "\x1e"
"""Begins the line, since the shell there may print something at its start."""


def look(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is there of what was asked for."""
    folder = request["folder"]
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: version_of(name) for name in request["packages"]},
        "folder": state_of(folder),
        "disk_free": free_disk(folder),
        "memory_free": free_memory(),
        "wrong_addresses": [one for one in request["addresses"] if not is_own_address(one)],
        "missing_interfaces": missing(request["interfaces"]),
        "missing_commands": [one for one in request["commands"] if not shutil.which(one)],
        "clock": time.time(),
    }


def version_of(package: str) -> str | None:
    """Return the installed version of a package; None where there is none."""
    if package == "cpt-studio":
        # What was installed from a folder is as new as that, whatever was noted at the time.
        return own_version()
    try:
        from importlib import metadata
    except ImportError:  # before Python 3.8
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def own_version() -> str | None:
    """Return the version of CPT Studio there."""
    try:
        import cptstudio
    except ImportError:
        return None
    return str(cptstudio.__version__)


def state_of(folder: str) -> str:
    """Return "ok", "missing", "file", or why nothing can be written there."""
    if not os.path.lexists(folder):
        return "missing"
    if not os.path.isdir(folder):
        return "file"
    try:
        with tempfile.NamedTemporaryFile(prefix=".cpt-studio-check-", dir=folder) as file:
            file.write(b"1")
            file.flush()
    except OSError as error:
        return error.strerror or "it can't be written to"
    return "ok"


def free_disk(folder: str) -> int | None:
    """Return the free bytes of a folder's disk."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def free_memory() -> int | None:
    """Return the bytes of memory that programs could get; None where that is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return available_of_linux(file.read())
    except OSError:
        pass
    try:
        said = subprocess.run(
            ["/usr/bin/vm_stat"], capture_output=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return available_of_mac(said.decode("utf-8", "replace"))


def available_of_linux(meminfo: str) -> int | None:
    """Return the available bytes that /proc/meminfo tells."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def available_of_mac(vm_stat: str) -> int | None:
    """Return the available bytes that macOS's vm_stat tells: free, or soon given back."""
    lines = vm_stat.splitlines()
    words = lines[0].split() if lines else []
    if "of" not in words:
        return None
    size = int(words[words.index("of") + 1])
    pages = 0
    for line in lines[1:]:
        name, _, count = line.partition(":")
        if name in ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable"):
            pages += int(count.strip().rstrip("."))
    return pages * size


def is_own_address(address: str) -> bool:
    """Return whether an IPv4 address is one of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True


def missing(interfaces: list[str]) -> list[str]:
    """Return the network interfaces among these that this machine lacks."""
    there = {name for _, name in socket.if_nameindex()}
    return [name for name in interfaces if name not in there]


if __name__ == "__main__":
    print(MARK + json.dumps(look(json.loads(sys.argv[1]))), flush=True)
