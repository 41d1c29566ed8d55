"""A program run by a machine's Python over ssh, and what ssh says when that fails.

ssh is started with an argument list, never through a shell here. What the shell there gets is one
fixed command, the Python's path and a hyphen, quoted; the program itself comes on its standard
input, and with it all that it is asked. ssh asks for nothing, forwards nothing and leaves nothing
behind, whatever ~/.ssh/config says.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cptstudio.machines.machine import Machine

CONNECT_SECONDS: Final = 10
WHOLE_SECONDS: Final = 60.0
"""In which a check ends that was let in: a Python starts, a few files are read."""
_LOOK_SECONDS: Final = 0.05
_MOST_OUTPUT: Final = 1 << 20
_SSH_FAILED: Final = 255
_REINSTALLED: Final = (
    "If {host} was installed anew or has a new address, remove its former key with "
    "`ssh-keygen -R {known}`, connect once with `{ssh}`, and compare the fingerprint that it shows "
    "with the machine's own. If not, somebody may stand between you and it: find that out first."
)
_CHANGED: Final = re.compile(r"Host key for (\S{1,300}) has changed")
_FAILURES: Final = (
    (
        ("host identification has changed",),
        "{name} has another host key than before. " + _REINSTALLED,
    ),
    (
        ("host key verification failed", "host key is known for", "no host key is known"),
        "The host key of {name} is not known here. Connect once with `{ssh}`, compare the "
        "fingerprint that it shows with the machine's own, and accept it.",
    ),
    (
        ("could not resolve hostname",),
        "No machine is found under the host name {host}. Check its spelling, and that the machine "
        "is on; or use its IPv4 address.",
    ),
    (
        ("connection refused",),
        "{name} is there, but nothing answers at its SSH port{port}. Turn on SSH there (on a Mac: "
        "System Settings, General, Sharing, Remote Login), or correct the port.",
    ),
    (
        ("timed out", "timeout"),
        "{name} did not answer at {host}, SSH port{port}, within {seconds} s. Check that it is on "
        "and awake, its address, and that no firewall blocks the port.",
    ),
    (
        ("no route to host", "network is unreachable", "host is down"),
        "There is no way through the network to {name} at {host}. Check cable or Wi-Fi, and its "
        "address.",
    ),
    (
        ("too many authentication failures",),
        "{name} gave up after your ssh offered too many keys. Name the right one for it in "
        "~/.ssh/config, with `IdentityFile` and `IdentitiesOnly yes`.",
    ),
    (
        ("permission denied",),
        "{name} takes none of your SSH keys, so it would ask for a password. Copy your key there: "
        "`{copy}`. If your key has a passphrase, load it first: `ssh-add`.",
    ),
    (
        (
            "bad configuration option",
            "bad owner or permissions",
            "terminating",
            "missing argument",
            "unsupported option",
        ),
        "ssh can't use its own settings ({said}). Correct them in ~/.ssh/config.",
    ),
    (
        ("kex_exchange_identification", "banner", "connection closed", "connection reset"),
        "What answers for {name} at its SSH port{port} ended the connection before it said who it "
        "is. Check that SSH runs at this port, and that it lets your machine in.",
    ),
)


@dataclass(frozen=True)
class Answer:
    """What a program on another machine printed, and when it was asked.

    Attributes:
        failure: what went wrong and what to do, None where the program ran to its end.
        output: what it printed.
        began: here, seconds of Unix time, before ssh was started.
        ended: likewise, when the program had ended.
        changed_key: ssh went on though the host key is not the one it had.
    """

    failure: str | None
    output: str = ""
    began: float = 0.0
    ended: float = 0.0
    changed_key: str | None = None


def ssh_command(machine: Machine, connect_seconds: int = CONNECT_SECONDS) -> list[str]:
    """Return the argument list that runs a program from standard input on a machine."""
    options = (
        "BatchMode=yes",
        f"ConnectTimeout={connect_seconds}",
        "ConnectionAttempts=1",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "ClearAllForwardings=yes",
        "ControlMaster=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "RequestTTY=no",
    )
    command = ["ssh", "-a", "-x", "-T"]
    for option in options:
        command += ["-o", option]
    if machine.port is not None:
        command += ["-p", str(machine.port)]
    return [*command, "--", machine.ssh, f"{shlex.quote(machine.python)} -"]


def run_there(machine: Machine, program: str, connect_seconds: int = CONNECT_SECONDS) -> Answer:
    """Run a Python program on a machine and return what it printed.

    Args:
        program: its source.
        connect_seconds: what ssh waits for the machine to answer.
    """
    with (
        tempfile.TemporaryFile() as asked,
        tempfile.TemporaryFile() as printed,
        tempfile.TemporaryFile() as complaints,
    ):
        asked.write(program.encode())
        asked.seek(0)
        began = time.time()
        try:
            process = subprocess.Popen(
                ssh_command(machine, connect_seconds),
                stdin=asked,
                stdout=printed,
                stderr=complaints,
            )
        except FileNotFoundError:
            return Answer(
                "This machine has no ssh command. Install the OpenSSH client (on Debian and "
                "Ubuntu: `sudo apt install openssh-client`)."
            )
        limit = time.monotonic() + connect_seconds + WHOLE_SECONDS
        try:
            while True:
                try:
                    process.wait(_LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if _size(printed.fileno()) + _size(complaints.fileno()) > _MOST_OUTPUT:
                        return Answer(
                            f"{machine.name} prints without end where Python should answer. Check "
                            "what the shell there does at its start."
                        )
                    if time.monotonic() > limit:
                        return Answer(
                            f"{machine.name} let ssh in, but Python there gave no answer within "
                            f"{WHOLE_SECONDS:.0f} s. Check whether its disks and the shell's "
                            "start files respond."
                        )
        finally:
            process.kill()
            process.wait()
        ended = time.time()
        printed.seek(0)
        complaints.seek(0)
        output = printed.read(_MOST_OUTPUT).decode("utf-8", "replace")
        said = complaints.read(_MOST_OUTPUT).decode("utf-8", "replace")
    return Answer(
        failure=_failure(machine, process.returncode, said, connect_seconds),
        output=output,
        began=began,
        ended=ended,
        changed_key=_changed_key(machine, said, connect_seconds),
    )


def _size(descriptor: int) -> int:
    return os.fstat(descriptor).st_size


def _failure(machine: Machine, status: int, said: str, connect_seconds: int) -> str | None:
    """Return what went wrong by ssh's exit status and words, or None."""
    if status == 0:
        return None
    if status == _SSH_FAILED or status < 0:
        return ssh_failure(machine, said, connect_seconds)
    if status == 127:
        return (
            f"There is no Python at {machine.python} on {machine.name}. Install CPT Studio there, "
            "or give the path of the Python that has it: `cpt-studio machines add --replace "
            "--python`."
        )
    if status == 126:
        return (
            f"{machine.python} on {machine.name} can't be executed. Check its permissions, and "
            "that it was made for this kind of machine."
        )
    return (
        f"Python at {machine.python} on {machine.name} could not run the check "
        f"({_last_line(said)}). Check that it is Python 3.11 or newer, and starts there: "
        f"`{shlex.join([*_plain_ssh(machine), machine.python, '--version'])}`."
    )


def ssh_failure(machine: Machine, said: str, connect_seconds: int = CONNECT_SECONDS) -> str:
    """Return what went wrong and what to do, by what ssh printed when it failed."""
    lowered = said.lower()
    for signs, sentence in _FAILURES:
        if any(sign in lowered for sign in signs):
            return _filled(sentence, machine, said, connect_seconds)
    return (
        f"ssh could not reach {machine.name} ({_last_line(said)}). Try it by hand: "
        f"`{shlex.join(_plain_ssh(machine))}`."
    )


def _changed_key(machine: Machine, said: str, connect_seconds: int) -> str | None:
    signs, sentence = _FAILURES[0]
    changed = any(sign in said.lower() for sign in signs)
    return _filled(sentence, machine, said, connect_seconds) if changed else None


def _filled(sentence: str, machine: Machine, said: str, connect_seconds: int) -> str:
    host = machine.ssh.rpartition("@")[2]
    # A name from ~/.ssh/config may stand for another host.
    told = _CHANGED.search(said)
    known = told[1] if told else host
    port = [] if machine.port is None else ["-p", str(machine.port)]
    return sentence.format(
        name=machine.name,
        host=host,
        port="" if machine.port is None else f" {machine.port}",
        seconds=connect_seconds,
        known=shlex.quote(known),
        ssh=shlex.join(_plain_ssh(machine)),
        copy=shlex.join(["ssh-copy-id", *port, machine.ssh]),
        said=_last_line(said),
    )


def _plain_ssh(machine: Machine) -> Sequence[str]:
    port = [] if machine.port is None else ["-p", str(machine.port)]
    return ["ssh", *port, machine.ssh]


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200].rstrip(".") if lines else "it said nothing"
