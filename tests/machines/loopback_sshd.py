"""A real sshd on loopback, with keys and settings of its own in a folder, and an ssh that has them.

The `ssh` that is found first is the system's with `-F CONFIG`, since ssh looks for its settings in
the home of the account, whatever HOME says.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None,
    reason="this machine has no sshd (Debian: openssh-server)",
)


@dataclass(frozen=True)
class Sshd:
    """A server that runs.

    Attributes:
        host: user@host.
        folder: with `config` and `known_hosts` of ssh, and `authorized_keys` of the server.
        known: what ssh has to know of its host key.
    """

    host: str
    port: int
    folder: Path
    known: str


def _key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(f"{path.name}.pub").read_text()


def free_port() -> int:
    """Return a port of loopback that nothing listens at."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


@contextmanager
def loopback_sshd(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """Run a server until the end of the block, and put an ssh that trusts it into PATH."""
    assert SSHD is not None
    ssh = shutil.which("ssh")
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's service has it made
    host_key = _key(folder / "host_key")
    (folder / "authorized_keys").write_text(_key(folder / "user_key"))
    port = free_port()
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host_key",
        "PidFile": "none", "AuthorizedKeysFile": folder / "authorized_keys", "StrictModes": "no",
        "UsePAM": "no", "PasswordAuthentication": "yes", "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "yes", "MaxStartups": "100", "LoginGraceTime": "60",
    }  # fmt: skip
    (folder / "sshd_config").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
    known = f"[127.0.0.1]:{port} {host_key}"
    (folder / "known_hosts").write_text(known)
    (folder / "config").write_text(
        f"IdentityFile {folder}/user_key\nIdentitiesOnly yes\nIdentityAgent none\n"
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n"
    )
    commands = folder / "bin"
    commands.mkdir()
    own = commands / "ssh"
    own.write_text(f'#!/bin/sh\nexec {ssh} -F {shlex.quote(str(folder / "config"))} "$@"\n')
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    server = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
        stderr=(folder / "log").open("wb"),
        stdin=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=60).close()
                break
            except ConnectionRefusedError:
                assert server.poll() is None, (folder / "log").read_text()
        user = pwd.getpwuid(os.geteuid()).pw_name
        yield Sshd(f"{user}@127.0.0.1", port, folder, known)
    finally:
        server.terminate()
        server.wait()
