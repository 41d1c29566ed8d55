"""Which process a pid means, and signals that cannot hit another one.

A pid is a number that the system gives to the next process when its owner is gone. A process
is therefore named by its pid, its start time and the boot it belongs to; all three are
compared before a signal is sent, and where the system has pidfds (Linux) the signal goes to
the very process that was compared.

Standard library only on Linux, where the kernel tells the start in ticks since boot, which no
change of the clock moves. Elsewhere psutil tells it, in seconds since 1970.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cptstudio import macos

_SMALLEST_PID = 2
_SIGNAL_PROCESS_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
_TOLERANCE_SECONDS = 0.004  # psutil rounds to microseconds; the kernel's tick is 0.01 s.


@dataclass(frozen=True)
class ProcessIdentity:
    """A process beyond doubt.

    Attributes:
        pid: its number, 2 or more.
        start: its start time: seconds since boot on Linux, since 1970 elsewhere.
        boot: which boot of the machine it belongs to.
    """

    pid: int
    start: float
    boot: str


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Return a text that is the same until the machine starts again, and different afterwards."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        pass
    if macos.HERE and (told := macos.boot_id()):
        return told
    import psutil

    # Minutes: the boot time is computed from the clock and moves a little with it.
    return f"booted-{int(psutil.boot_time()) // 60}"


def start_time(pid: int) -> float | None:
    """Start time of a live process (or zombie), or None when there is none with this pid."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in parentheses may itself hold spaces and parentheses (proc(5)); the start
        # is the 22nd field, so the 20th after the name.
        ticks = int(text[text.rindex(")") + 1 :].split()[19])
        return ticks / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a live process, or None when there is none with this pid."""
    if pid < _SMALLEST_PID:
        return None
    start = start_time(pid)
    return None if start is None else ProcessIdentity(pid, start, boot_id())


def is_alive(process: ProcessIdentity) -> bool:
    """Return whether exactly this process still has its pid (a zombie has)."""
    now = identify(process.pid)
    return (
        now is not None
        and now.boot == process.boot
        and abs(now.start - process.start) < _TOLERANCE_SECONDS
    )


def send_signal(process: ProcessIdentity, number: signal.Signals, group: bool = False) -> bool:
    """Send a signal to exactly this process, or to the group that it leads.

    Returns:
        Whether it was sent; False when this process is gone, leads no group (with `group`),
        or its pid may not be signalled.

    Raises:
        PermissionError: the process belongs to another user.
    """
    if process.pid < _SMALLEST_PID or process.pid == os.getpid():
        return False
    try:
        descriptor = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else -1
    except ProcessLookupError:
        return False
    except OSError:
        descriptor = -1  # A kernel or sandbox without pidfds: the check alone must do.
    try:
        # Checked after the pidfd is open: it stays with the process that is checked now.
        if not is_alive(process) or (group and os.getpgid(process.pid) != process.pid):
            return False
        _send(process.pid, descriptor, number, group)
    except ProcessLookupError:
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True


def _send(pid: int, descriptor: int, number: signal.Signals, group: bool) -> None:
    if sys.platform == "linux" and descriptor >= 0:
        flags = _SIGNAL_PROCESS_GROUP if group else 0
        try:
            signal.pidfd_send_signal(descriptor, number, None, flags)
            return
        except OSError:
            if not group:
                raise
            # Before Linux 6.9 a pidfd reaches one process only.
    if group:
        os.killpg(pid, number)
    else:
        os.kill(pid, number)
