"""The keeper: one parent for life, which records every end (with a stand-in child)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cptstudio.runs import locks, records
from tests.runs.keeping import Kept, eventually, ready

WAIT = "while True: signal.pause()\n"


def directory(base: Path) -> Path:
    return base / "models" / "run"


@pytest.mark.parametrize("code", [0, 1, 3, 77])
def test_an_exit_code_is_recorded(tmp_path: Path, code: int) -> None:
    kept = Kept(tmp_path, f"import sys; print('hello'); sys.exit({code})")
    ended = kept.end()
    assert (ended.code, ended.signal, ended.requested) == (code, None, None)
    assert ended.duration > 0
    assert ended.usage["peak_resident_bytes"] > 1_000_000
    assert (kept.directory / "train.log").read_text() == "hello\n"
    assert not kept.lock_held and not kept.keeper_lives


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_from_outside_is_recorded(tmp_path: Path, number: signal.Signals) -> None:
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    kept.ready()
    os.kill(kept.record().trainer.pid, number)
    ended = kept.end()
    assert (ended.code, ended.signal, ended.requested) == (None, number, None)


def test_out_of_memory_counts_are_recorded_where_the_system_has_them(tmp_path: Path) -> None:
    ended = Kept(tmp_path, "").end()
    kills = ended.memory["oom_kills"]
    assert all(isinstance(rise, int) for rise in kills.values())
    assert bool(kills) == Path("/proc/vmstat").exists()


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    (directory(tmp_path)).mkdir(parents=True)
    (directory(tmp_path) / "train.log").symlink_to(tmp_path / "elsewhere")
    ended = Kept(tmp_path, "").end()
    assert ended.code == 127
    assert "Could not start" in ended.reason
    assert not (tmp_path / "elsewhere").exists()


def test_a_stop_is_one_sigterm_and_never_becomes_more(tmp_path: Path) -> None:
    count = directory(tmp_path) / "count"
    code = ready(directory(tmp_path)) + (
        "got = []\n"
        "def note(*_):\n"
        f"    got.append(1); open({str(count)!r}, 'a').write('x')\n"
        "signal.signal(signal.SIGTERM, note)\n"
        f"open({str(directory(tmp_path) / 'armed')!r}, 'w').close()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n"
    )
    kept = Kept(tmp_path, code + WAIT)
    eventually((directory(tmp_path) / "armed").exists, "the handler")
    kept.ask("stop")
    eventually(count.exists, "the signal")
    # A stop asked for again changes nothing: the first one is being answered.
    kept.ask("stop")
    assert kept.process.poll() is None
    os.kill(kept.record().trainer.pid, signal.SIGUSR1)
    ended = kept.end()
    assert (ended.code, ended.requested) == (3, "stop")
    assert count.read_text() == "x"


def test_a_stop_before_the_handler_is_kept_by_the_system(tmp_path: Path) -> None:
    here = directory(tmp_path)
    code = (
        "import signal, sys\n"
        "while not signal.sigpending(): signal.sigtimedwait((), 0.01)\n"
        f"open({str(here / 'pending')!r}, 'w').close()\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})\n"
    )
    kept = Kept(tmp_path, code + WAIT)
    kept.record()
    kept.ask("stop")
    assert kept.end().code == 3
    assert (here / "pending").exists()


def test_a_kill_reaches_a_child_that_answers_nothing_and_its_whole_group(tmp_path: Path) -> None:
    code = ready(directory(tmp_path)) + (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        f"open({str(directory(tmp_path) / 'grandchild')!r} + str(os.getpid()), 'w').close()\n"
    )
    kept = Kept(tmp_path, code + WAIT)
    eventually(lambda: len(list(directory(tmp_path).glob("grandchild*"))) == 2, "both processes")
    pids = [int(path.name[len("grandchild") :]) for path in directory(tmp_path).glob("grand*")]
    kept.ask("stop")
    kept.ask("kill")
    ended = kept.end()
    assert (ended.signal, ended.requested) == (signal.SIGKILL, "kill")
    eventually(lambda: not any(_runs(pid) for pid in pids), "the end of the group")
    assert not kept.lock_held


def test_what_the_trainer_leaves_behind_in_its_group_ends_with_it(tmp_path: Path) -> None:
    code = ready(directory(tmp_path)) + (
        "if os.fork() == 0:\n"
        f"    open({str(directory(tmp_path) / 'left')!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(3600)\n"
        f"while not os.path.exists({str(directory(tmp_path) / 'left')!r}): time.sleep(0.01)\n"
        "sys.exit(1)\n"
    )
    kept = Kept(tmp_path, code)
    assert kept.end().code == 1
    # The kernel takes a moment to end a process that was killed.
    eventually(lambda: not kept.lock_held, "the end of the child that was left behind")


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_terminal_or_a_shutdown_does_not_end_the_keeper(
    tmp_path: Path, number: signal.Signals
) -> None:
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    kept.ready()
    kept.process.send_signal(number)
    kept.ask("kill")
    assert kept.end().requested == "kill"


def test_a_request_of_another_attempt_is_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    kept.ready()
    records.write(kept.folder / records.CONTROL, records.Control("another", "kill", 0.0))
    (kept.folder / records.CONTROL).unlink()
    os.mkfifo(kept.folder / records.CONTROL)
    assert kept.process.poll() is None
    kept.ask("kill")
    assert kept.end().requested == "kill"


def test_a_killed_keeper_leaves_the_trainer_and_its_lock(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    kept.ready()
    trainer = kept.record().trainer.pid
    kept.process.kill()
    kept.process.wait()
    assert not kept.keeper_lives
    assert kept.lock_held and _runs(trainer)
    os.kill(trainer, signal.SIGTERM)
    eventually(lambda: not kept.lock_held, "the trainer's end")


def test_a_keeper_killed_before_its_record_leaves_no_trainer(tmp_path: Path) -> None:
    """The record's folder is taken away, so that the keeper dies between fork and record."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from cptstudio.runs import keeper, records\n"
        "def die(path, record):\n"
        "    os.kill(os.getpid(), 9)\n"
        "records.write = die\n"
        "sys.exit(keeper.main(sys.argv[1:]))\n"
    )
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    kept.ready()
    kept.ask("kill")
    kept.end()
    (kept.directory / "ready").unlink()
    held = locks.take(kept.folder / records.LOCK)
    assert held is not None
    with held:
        killed = subprocess.run(
            [sys.executable, "-c", code, str(kept.folder), str(held.descriptor)],
            pass_fds=(held.descriptor,),
        )
    assert killed.returncode == -signal.SIGKILL
    eventually(lambda: not kept.lock_held, "the end of the child at the gate")
    assert not (kept.directory / "ready").exists()


def test_the_lock_is_held_without_a_gap_from_before_the_keeper_to_the_end(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ready(directory(tmp_path)) + WAIT)
    while not (kept.directory / "ready").exists():
        assert kept.lock_held
    kept.ask("kill")
    kept.end()
    assert not kept.lock_held


def test_the_keeper_is_small_and_imports_nothing_large() -> None:
    code = (
        "import sys, cptstudio.runs.keeper\n"
        "large = {'mlx', 'pydantic', 'numpy', 'transformers', 'psutil'} & set(sys.modules)\n"
        "sys.exit(' '.join(sorted(large)) if large and sys.platform == 'linux' else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
