"""What is done otherwise on macOS, by the seams of its one module; where nothing can be set up."""

from __future__ import annotations

import errno
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cptstudio import durable, macos
from cptstudio.runs import identity, keeper
from cptstudio.training import machine
from cptstudio.web import device
from scripts.check_machine import problem

ROOT = Path(__file__).parents[1]


@pytest.fixture
def on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macos, "HERE", True)


def test_no_other_module_asks_whether_it_is_macos() -> None:
    asking = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src").rglob("*.py")
        if any(word in path.read_text() for word in ('"darwin"', '"Darwin"', "mac_ver"))
    ]
    assert asking == ["src/cptstudio/macos.py"]


@pytest.mark.usefixtures("on_macos")
def test_files_are_flushed_by_the_drive_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def control(descriptor: int, operation: int) -> int:
        asked.append(("fcntl", operation))
        if len(asked) > 1:
            raise OSError(errno.ENOTSUP, "not on this file system")
        return 0

    monkeypatch.setattr(macos.fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append(("fsync", 0)))
    with (tmp_path / "file").open("w") as file:
        durable.flush_to_disk(file.fileno())
        # F_FULLFSYNC is 51 in <sys/fcntl.h>; nothing else is needed where it works.
        assert asked == [("fcntl", 51)]
        durable.flush_to_disk(file.fileno())
    assert asked[1:] == [("fcntl", 51), ("fsync", 0)]


@pytest.mark.usefixtures("on_macos")
def test_the_system_is_asked_by_sysctl(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"machdep.cpu.brand_string": "Apple M3 Max\n", "kern.bootsessionuuid": "5A-6B\n"}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[:2] == ["/usr/sbin/sysctl", "-n"]
        answer = said.get(command[2])
        return subprocess.CompletedProcess(command, 0 if answer else 1, answer or "unknown oid")

    monkeypatch.setattr(macos, "_run", run)
    monkeypatch.setattr(macos.platform, "machine", lambda: "arm64")
    device.device_name.cache_clear()
    try:
        assert device.device_name() == "Apple M3 Max (Metal)"
        assert machine.describe_machine().accelerator == "metal"
        monkeypatch.setattr(identity, "Path", lambda path: Path("/nowhere"))
        identity.boot_id.cache_clear()
        assert identity.boot_id() == "5A-6B"
        said.clear()
        identity.boot_id.cache_clear()
        assert identity.boot_id().startswith("booted-")
        device.device_name.cache_clear()
        assert device.device_name() == "arm64 (Metal)"
    finally:
        device.device_name.cache_clear()
        identity.boot_id.cache_clear()


class Queue:
    """A kqueue that answers as kqueue(2) says for one child."""

    def __init__(self) -> None:
        self.added: list[Any] = []
        self.waits: list[float] = []
        self.exited = False

    def control(self, changes: list[Any] | None, most: int, seconds: float = 0.0) -> list[Any]:
        if changes is not None:
            self.added += changes
            return []
        self.waits.append(seconds)
        return ["exit"] if self.exited else []


def test_the_end_of_a_child_is_awaited_by_a_kqueue(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue()
    names = {name: name for name in ("KQ_FILTER_PROC", "KQ_EV_ADD", "KQ_NOTE_EXIT")}
    kevent = lambda pid, **how: (pid, how)  # noqa: E731
    monkeypatch.setattr(
        macos, "_select", SimpleNamespace(kqueue=lambda: queue, kevent=kevent, **names)
    )
    watch = macos.EndWatch(123)
    how = {"filter": "KQ_FILTER_PROC", "flags": "KQ_EV_ADD", "fflags": "KQ_NOTE_EXIT"}
    assert queue.added == [(123, how)]
    assert not watch.poll(2500)
    queue.exited = True
    assert watch.poll(0)
    assert queue.waits == [2.5, 0.0]


@pytest.mark.skipif(not hasattr(select, "kqueue"), reason="only macOS and BSD have kqueues")
def test_a_real_kqueue_tells_the_end_and_leaves_the_child_to_be_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = macos.EndWatch(child.pid)
    assert not watch.poll(0)
    child.communicate(b"\n")
    assert watch.poll(60_000)


def test_memory_is_counted_in_the_systems_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeper.macos.resident_bytes(3) == (3 if macos.HERE else 3072)
    monkeypatch.setattr(macos, "HERE", not macos.HERE)
    assert keeper.macos.resident_bytes(3) == (3 if macos.HERE else 3072)


MAC = ("Darwin", "arm64", "15.3")
LINUX = ("Linux", "x86_64", "2.36")


@pytest.mark.parametrize(
    ("python", "system", "processor", "release", "translated", "said"),
    [
        ((3, 11, 7), *MAC, False, ""),
        ((3, 14, 0), *LINUX, False, ""),
        ((3, 12, 1), "Linux", "aarch64", "2.35", False, ""),
        # Xcode's own; it runs on macOS 14 and knows it as that.
        ((3, 9, 6), "Darwin", "arm64", "14.6.1", False, "needs Python 3.11 or newer; .* is 3.9"),
        # An old one that was built before macOS 11 calls all later ones so.
        ((3, 8, 2), "Darwin", "arm64", "10.16", False, "needs Python 3.11"),
        ((3, 11, 7), "Darwin", "x86_64", "15.3", True, "runs in Rosetta: MLX needs one for Apple"),
        ((3, 11, 7), "Darwin", "x86_64", "13.7", False, "this one has an Intel CPU"),
        (
            (3, 12, 0),
            "Darwin",
            "arm64",
            "13.7.2",
            False,
            "needs macOS 14 or newer; this is .* 13.7.2",
        ),
        ((3, 11, 7), "Linux", "x86_64", "2.31", False, "needs glibc 2.35 or newer; .* has 2.31"),
        ((3, 11, 7), "Linux", "x86_64", "", False, "not with musl"),
        ((3, 11, 7), "Linux", "riscv64", "2.39", False, "no build for the processor riscv64"),
        ((3, 11, 7), "Windows", "AMD64", "", False, r"on macOS and Linux \(in WSL 2, too\)"),
    ],
)
def test_what_stands_in_the_way_of_setting_up_is_a_sentence(
    python: tuple[int, ...], system: str, processor: str, release: str, translated: bool, said: str
) -> None:
    found = problem(python, system, processor, release, translated)
    if said:
        assert re.search(said, found), found
    else:
        assert found == ""


def test_this_machine_has_nothing_in_the_way() -> None:
    program = [sys.executable, str(ROOT / "scripts" / "check_machine.py")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
