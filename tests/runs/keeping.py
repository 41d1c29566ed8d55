"""A keeper with a stand-in child, for tests of what the keeper itself does.

The stand-in is a Python process of a few lines that starts in milliseconds, where a real
trainer takes seconds to import MLX. It is used only where nothing of training matters: how an
end is recorded, what a signal reaches, who holds the lock. Everything else trains.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cptstudio.runs import locks, records
from cptstudio.runs.launching import KEEPER_MODULE
from cptstudio.runs.records import Control, ExitRecord, KeeperRecord, Request, Spec

_Found = TypeVar("_Found")


def eventually(look: Callable[[], _Found | None], what: str, seconds: float = 60.0) -> _Found:
    """Wait until `look` finds something; the limit is only there to fail at all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds:.0f} seconds in vain for {what}")


class Kept:
    """A keeper at work on a stand-in child."""

    def __init__(self, base: Path, code: str, run: str = "run", lock: bool = True) -> None:
        self.folder = base / "private" / run
        self.directory = base / "models" / run
        self.folder.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.spec = Spec(
            attempt=secrets.token_hex(8),
            run=run,
            run_directory=str(self.directory),
            run_created=1.0,
            command=[sys.executable, "-I", "-S", "-c", code],
            resume=None,
            prevent_sleep=False,
            requested=time.time(),
        )
        records.write(self.folder / records.SPEC, self.spec)
        held = locks.take(self.folder / records.LOCK)
        assert held is not None
        keeper = ("-P", "-m", KEEPER_MODULE)
        self.process = subprocess.Popen(
            [sys.executable, *keeper, str(self.folder), str(held.descriptor)],
            pass_fds=(held.descriptor,),
            start_new_session=True,
            stderr=(self.folder / records.KEEPER_LOG).open("ab"),
        )
        held.close()

    def record(self) -> KeeperRecord:
        """Who keeps and who trains, as soon as it is written."""
        return eventually(self._record, "the keeper's record")

    def _record(self) -> KeeperRecord | None:
        found = records.read(self.folder / records.KEEPER, KeeperRecord)
        return found if found and found.attempt == self.spec.attempt else None

    def ready(self) -> None:
        """Wait until the stand-in has written the file `ready` (see `READY`)."""
        eventually((self.directory / "ready").exists, "the stand-in")

    def ask(self, request: Request) -> None:
        """Write a request as the manager does."""
        control = Control(self.spec.attempt, request, time.time())
        records.write(self.folder / records.CONTROL, control)

    def end(self) -> ExitRecord:
        """Wait for the keeper's end and return what it recorded."""
        assert self.process.wait(60) == 0, (self.folder / records.KEEPER_LOG).read_text()
        found = records.read(self.folder / records.EXIT, ExitRecord)
        assert found is not None and found.attempt == self.spec.attempt
        return found

    @property
    def lock_held(self) -> bool:
        """Whether anybody holds the run's lock."""
        return locks.is_held(self.folder / records.LOCK)

    @property
    def keeper_lives(self) -> bool:
        """Whether the keeper's own lock is held."""
        return locks.is_held(self.folder / records.KEEPER_LOCK)


def ready(directory: Path) -> str:
    """Code of a stand-in that lets SIGTERM in and says that it runs."""
    return (
        "import os, signal, sys, time\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})\n"
        f"open({os.fspath(directory / 'ready')!r}, 'w').close()\n"
    )
