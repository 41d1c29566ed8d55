"""The doctor finds planted faults, over a real sshd on loopback, and says what to do."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cptstudio.machines.check_program import (
    available_of_linux,
    available_of_mac,
    free_disk,
    state_of,
)
from cptstudio.machines.doctor import (
    PACKAGES,
    Finding,
    Report,
    check_machines,
    judge,
    report_in,
)
from cptstudio.machines.machine import Machine
from cptstudio.machines.ssh import Answer, ssh_failure
from tests.machines.loopback_sshd import free_port, loopback_sshd, needs_sshd
from tests.small_disk import fill, needs_mount, small_disk


def _python(folder: Path, script: str) -> str:
    """A command named python that is this script."""
    folder.mkdir()
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def _packages(folder: Path, versions: Mapping[str, str]) -> Path:
    """A folder of packages with other versions."""
    for name, version in versions.items():
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "cptstudio").mkdir()
    (folder / "cptstudio" / "__init__.py").write_text(f'__version__ = "{versions["cpt-studio"]}"\n')
    return folder


@contextmanager
def _odd_ports() -> Iterator[tuple[int, int]]:
    """A port whose listener never says a word, and one that hangs up on everybody."""
    with ExitStack() as opened:
        silent = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        closing = opened.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _HANGS_UP], stdout=subprocess.PIPE, stdin=subprocess.PIPE
            )
        )
        assert closing.stdout is not None
        port = int(closing.stdout.readline())
        try:
            yield silent.getsockname()[1], port
        finally:
            closing.kill()


_HANGS_UP = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    server.accept()[0].close()
"""


@pytest.mark.slow
@needs_sshd
def test_planted_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = tmp_path / "work space"
    workspace.mkdir()
    (tmp_path / "file").touch()
    unwritable = tmp_path / "unwritable"
    unwritable.mkdir(mode=0o500)
    closed = Path("/proc") if os.geteuid() == 0 else unwritable
    other = _packages(tmp_path / "packages", dict.fromkeys(PACKAGES, "0.0.1"))
    own = shlex.quote(sys.executable)
    not_executable = tmp_path / "no" / "python"
    not_executable.parent.mkdir()
    not_executable.write_text("nothing")
    old = "import sys; sys.version_info = (3, 9, 1); import platform; " \
        "platform.python_version = lambda: '3.9.1'; exec(sys.stdin.read())"  # fmt: skip
    with loopback_sshd(tmp_path / "sshd", monkeypatch) as sshd, _odd_ports() as (silent, closing):

        def of(name: str, **values: Any) -> Machine:
            given = {
                "name": name, "ssh": sshd.host, "port": sshd.port, "python": sys.executable,
                "folder": str(workspace), "addresses": ("127.0.0.1",),
            }  # fmt: skip
            return Machine(**{**given, **values})

        other_python = _python(tmp_path / "other", f'PYTHONPATH={other} exec {own} "$@"')
        bare_python = _python(tmp_path / "bare", f'exec {own} -I -S "$@"')
        old_python = _python(tmp_path / "old", f"exec {own} -c {shlex.quote(old)}")
        planted: list[tuple[Machine, str, str]] = [
            (of("nowhere", ssh="no-such-host.invalid"), "ssh", "No machine is found"),
            (of("off", port=free_port()), "ssh", "nothing answers at its SSH port"),
            (of("silent", port=silent), "ssh", "did not answer"),
            (of("closing", port=closing), "ssh", "ended the connection"),
            (of("stranger", ssh="no_such_user@127.0.0.1"), "ssh", "would ask for a password"),
            (of("without", python=str(tmp_path / "python")), "Python", "There is no Python"),
            (of("locked", python=str(not_executable)), "Python", "can't be executed"),
            (of("false", python=_python(tmp_path / "false", "exit 3")), "Python", "could not run"),
            (of("talks", python=_python(tmp_path / "talks", "echo hi")), "Python", "not the check"),
            (of("old", python=old_python), "Python", "has Python 3.9.1"),
            (of("bare", python=bare_python), "versions", "has no mlx,"),
            (of("is-file", folder=str(tmp_path / "file")), "folder", "is no folder"),
        ]
        # Several at once, as they come.
        many = of(
            "many", python=other_python, folder=str(tmp_path / "gone"), addresses=("192.0.2.1",)
        )
        planted += [
            *((many, "versions", f"has {name} 0.0.1") for name in PACKAGES),
            (many, "folder", "has no folder"),
            (many, "network", "is not an address of"),
        ]
        clock = shutil.which("faketime")
        for hours, way in (
            ("-1h", "s behind this"),
            ("+1h", "s ahead of this"),
        ):
            fake = _python(tmp_path / way.split()[1], f'exec {clock} -f {hours} {own} "$@"')
            python = fake if clock else sys.executable
            one = of(way.split()[1], python=python, addresses=(), folder=str(closed),
                     interface="nosuch0")  # fmt: skip
            planted += [(one, "clock", way)] if clock else []
        planted += [
            (one, "network", "has no address"),
            (one, "folder", "Nothing can be written"),
            (one, "network", "no network interface nosuch0"),
        ]
        if shutil.which("orted") is None and shutil.which("prted") is None:
            planted.append((of("mpi", backend="mpi"), "network", "has no Open MPI"))
        sound = of("sound")
        by_name = {machine.name: machine for machine, _, _ in planted}
        found = check_machines([by_name.pop("silent")], 1)
        found |= check_machines([sound, *by_name.values()], 60)
        assert not [one for one in found["sound"] if one.level == "fault"]
        assert {one.about for one in found["sound"]} == {
            "ssh", "Python", "versions", "folder", "disk", "memory", "clock", "network",
        }  # fmt: skip
        for machine, about, part in planted:
            faults = [one for one in found[machine.name] if one.level == "fault"]
            assert any(one.about == about and part in one.sentence for one in faults), faults
        assert [path.name for path in workspace.iterdir()] == []

        known = sshd.folder / "known_hosts"
        public = (sshd.folder / "user_key.pub").read_text()
        for text, part in (("", "is not known here"), (public, "another host key than before")):
            known.write_text(text and f"[127.0.0.1]:{sshd.port} {text}")
            (fault,) = check_machines([sound])["sound"]
            assert fault.about == "ssh" and part in fault.sentence
        assert f"'[127.0.0.1]:{sshd.port}'" in fault.sentence
        monkeypatch.setenv("PATH", str(tmp_path))
        (fault,) = check_machines([sound])["sound"]
        assert "has no ssh command" in fault.sentence
    assert len(planted) + 3 >= 23


@pytest.mark.slow
@needs_mount
def test_a_full_disk_is_seen(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        fill(disk)
        assert state_of(str(disk)) == "No space left on device"
        assert free_disk(str(disk)) == 0
        assert [path.name for path in disk.iterdir()] == ["filler"]


def _report(**values: Any) -> Report:
    given = {
        "python": "3.11.9", "system": "", "versions": dict.fromkeys(PACKAGES, "1"),
        "folder": "ok", "disk_free": 10**12, "memory_free": 10**11, "wrong_addresses": [],
        "missing_interfaces": [], "missing_commands": [], "clock": 101.0,
    }  # fmt: skip
    return Report.model_validate({**given, **values})


def test_reports_are_judged() -> None:
    machine = Machine(
        name="m", ssh="m", python="/bin/python3", folder="/data", addresses=("10.0.0.1",)
    )
    here = {"python": "3.11.2", **dict.fromkeys(PACKAGES, "1")}
    answer = Answer(None, began=100.0, ended=103.0)

    def bad(**values: Any) -> list[Finding]:
        found = judge(machine, _report(**values), answer, here)
        return [one for one in found if one.level != "ok"]

    assert bad() == [] and bad(clock=98.5) == bad(clock=104.5) == []
    for values, about, level, part in [
        ({"disk_free": 10**9}, "disk", "warning", "Only 1.0 GB of the disk of /data are free on m"),
        ({"disk_free": None}, "disk", "warning", "could not be found out"),
        ({"memory_free": 10**9}, "memory", "warning", "Close programs there"),
        ({"clock": 40.0}, "clock", "fault", "at least 60 s behind"),
        ({"clock": 163.0}, "clock", "fault", "at least 60 s ahead of"),
        ({"python": "3.12.1"}, "Python", "fault", "has Python 3.12.1 and this machine 3.11.2"),
        ({"folder": "No space left on device"}, "folder", "fault", "(No space left on device)"),
        ({"versions": {"mlx": "1", "mlx-lm": "1"}}, "versions", "fault", '"cpt-studio==1"'),
    ]:
        (found,) = bad(**values)
        assert (found.about, found.level) == (about, level)
        assert part in found.sentence


def test_what_machines_print_is_read_strictly() -> None:
    line = "\x1e" + _report().model_dump_json()
    assert report_in(f"Welcome\nPS1 \x1b{line}\nlogout\n") == _report()
    for text in ("", "{}", "\x1e{}", line.replace("101.0", "NaN"), line[:-1], f"{line[:-1]},1}}"):
        assert report_in(text) is None
    assert available_of_linux("MemTotal: 9 kB\nMemAvailable:   5 kB\n") == 5120
    assert available_of_linux("MemTotal: 9 kB\n") is available_of_mac("") is None
    told = "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
    told += "Pages free:    2.\nPages active:   7.\nPages inactive:   1.\n"
    assert available_of_mac(told) == 3 * 16384


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("ssh: connect to host m port 22: No route to host", "Check cable or Wi-Fi"),
        ("Received disconnect: 2: Too many authentication failures", "IdentitiesOnly yes"),
        ("/h/.ssh/config: line 3: Bad configuration option: x", "Correct them in ~/.ssh/config"),
        ("m: Permission denied (publickey,password).", "`ssh-copy-id -p 2222 me@m`"),
        ("something new\n\n", "ssh could not reach m (something new). Try it by hand"),
        ("", "(it said nothing)"),
    ],
)
def test_what_ssh_says_gets_advice(said: str, part: str) -> None:
    machine = Machine(name="m", ssh="me@m", port=2222, python="/bin/python3", folder="/data")
    assert part in ssh_failure(machine, said)
