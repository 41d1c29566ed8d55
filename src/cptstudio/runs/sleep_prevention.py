"""Keeps the machine from sleeping while a run trains.

macOS brings `caffeinate`, Linux desktops `systemd-inhibit`; elsewhere nothing is done. The
helper ends by itself with the trainer, even when the keeper is killed: caffeinate watches the
pid, and the command under systemd-inhibit reads a pipe whose other end only keeper and
trainer hold.

Standard library only: the keeper uses this module.
"""

from __future__ import annotations

import shutil
import subprocess

from cptstudio import macos


def sleep_preventer(trainer_pid: int, run: str) -> list[str] | None:
    """Return the command that prevents sleep while the trainer lives, or None where there is none.

    It is to be started with the reading end of the pipe as standard input.
    """
    if macos.HERE:
        return macos.stay_awake_command(trainer_pid)
    inhibit = shutil.which("systemd-inhibit")
    reader = shutil.which("cat")
    if inhibit is None or reader is None:
        return None
    return [
        inhibit,
        "--what=sleep:idle",
        "--mode=block",
        "--who=CPT Studio",
        f"--why=The run {run} is training",
        reader,
    ]


def start(command: list[str], pipe: int) -> subprocess.Popen[bytes] | None:
    """Start the helper; None when it cannot be started, which costs nothing but sleep."""
    try:
        return subprocess.Popen(
            command,
            stdin=pipe,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
