"""What holds a run's life: locks, and which process a pid means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cptstudio.durable import UnusableFileError
from cptstudio.runs import locks
from cptstudio.runs.identity import ProcessIdentity, identify, is_alive, send_signal
from tests.runs.keeping import eventually


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"])


def test_a_held_lock_is_not_given_twice_and_looking_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not locks.is_held(path)
    assert not path.exists()
    held = locks.take(path)
    assert held is not None
    assert locks.is_held(path)
    assert locks.take(path, patience=0) is None
    held.close()
    assert not locks.is_held(path)


def test_a_child_that_inherits_the_lock_keeps_it_to_its_end(tmp_path: Path) -> None:
    held = locks.take(tmp_path / "lock")
    assert held is not None
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=(held.descriptor,),
    )
    held.close()
    assert locks.is_held(tmp_path / "lock")
    child.kill()
    child.communicate()
    assert not locks.is_held(tmp_path / "lock")


def test_a_lock_whose_file_was_exchanged_is_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = locks.take(path)
    path.unlink()
    second = locks.take(path)
    assert first is not None and second is not None
    assert os.fstat(second.descriptor).st_ino == path.stat().st_ino
    first.close()
    assert locks.is_held(path)
    second.close()


def test_what_is_no_regular_file_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("fifo", "link"):
        with pytest.raises(UnusableFileError):
            locks.take(tmp_path / name)
    assert not (tmp_path / "target").exists()


def test_a_process_is_itself_and_a_reused_pid_is_not() -> None:
    process = sleeper()
    try:
        identity = identify(process.pid)
        assert identity is not None and is_alive(identity)
        started_earlier = replace(identity, start=identity.start - 1)
        another_boot = replace(identity, boot="another")
        for stranger in (started_earlier, another_boot):
            assert not is_alive(stranger)
            assert not send_signal(stranger, signal.SIGKILL)
        assert process.poll() is None
        assert send_signal(identity, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not send_signal(identity, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("pid", [-1, 0, 1, None], ids=["-1", "0", "1", "its own"])
def test_some_pids_are_never_signalled(pid: int | None) -> None:
    pid = os.getpid() if pid is None else pid
    known = identify(os.getpid())
    assert known is not None
    assert not send_signal(ProcessIdentity(pid, known.start, known.boot), signal.SIGTERM)
    assert not send_signal(replace(known, pid=pid), signal.SIGTERM, group=True)


def test_a_group_is_only_signalled_through_its_leader() -> None:
    process = sleeper()
    try:
        identity = identify(process.pid)
        assert identity is not None
        assert not send_signal(identity, signal.SIGKILL, group=True)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def started_now() -> float:
    """The start time of a process that starts now."""
    process = sleeper()
    try:
        newest = identify(process.pid)
        assert newest is not None
        return newest.start
    finally:
        process.kill()
        process.wait()


def _fork_with_pid(wanted: int) -> int | None:
    """Fork a child that gets this pid, as far as the system lets us choose (Linux, root)."""
    try:
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(wanted - 1))
    except OSError:
        return None
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    if pid == wanted:
        return pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def test_the_next_owner_of_a_pid_gets_no_signal_meant_for_the_first() -> None:
    process = sleeper()
    identity = identify(process.pid)
    assert identity is not None
    process.kill()
    process.wait()
    # The start time has ticks of 0.01 s, and no system reuses a pid within one.
    eventually(lambda: started_now() > identity.start + 0.02, "the next tick of the start time")
    successor = next((pid for _ in range(20) if (pid := _fork_with_pid(process.pid))), None)
    if successor is None:
        assert not is_alive(identity)
        pytest.skip("this system does not let a test choose a pid")
    try:
        assert identify(successor) is not None
        assert not is_alive(identity)
        assert not send_signal(identity, signal.SIGKILL)
        assert os.waitpid(successor, os.WNOHANG) == (0, 0)
    finally:
        os.kill(successor, signal.SIGKILL)
        os.waitpid(successor, 0)
