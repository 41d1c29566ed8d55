"""The system's evidence of processes killed for lack of memory.

Linux counts such kills: per cgroup (version 2: memory.events, version 1: memory.oom_control)
and for the whole machine (/proc/vmstat). A count that rose while the trainer ran is evidence;
a count that did not rise is evidence of the contrary. macOS counts nothing that an ordinary
process may read.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")


def kill_counts() -> dict[str, int]:
    """Out-of-memory kills so far, by the place that counts them; empty where nothing does."""
    counts = {}
    for name, path, key in _counters():
        count = _read_count(path, key)
        if count is not None:
            counts[name] = count
    return counts


def rises(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return how much each count rose."""
    return {name: after[name] - count for name, count in before.items() if name in after}


def _counters() -> list[tuple[str, Path, str]]:
    found = [("machine", Path("/proc/vmstat"), "oom_kill")]
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            folder = _CGROUP_ROOT / path.lstrip("/")
            found.append(("cgroup", folder / "memory.events", "oom_kill"))
        elif "memory" in controllers.split(","):
            folder = _CGROUP_ROOT / "memory" / path.lstrip("/")
            found.append(("cgroup", folder / "memory.oom_control", "oom_kill"))
    return found


def _read_count(path: Path, key: str) -> int | None:
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError):
        return None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return None
