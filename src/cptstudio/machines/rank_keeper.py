"""The keeper of one rank on its machine: starts the trainer, watches it, ends it.

    python -P -m cptstudio.machines.rank_keeper MODULE RUN_DIRECTORY [ARGUMENT...]

`mlx.launch` starts one for each rank; MODULE is the training program. Its standard input brings the
launcher's words (see `rank_messages`); where they stay away, or the input ends, the launcher or the
way to it is gone, and the trainer is ended. When the keeper itself is gone, the trainer's guard
(`child_guard`) ends it. So no rank outlives the run, whatever was killed. A trainer that somebody
has paused is told of; one that waits for others is told of with what it waits for, and the
launcher, which hears all keepers, decides.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Final

from cptstudio import child_guard
from cptstudio.machines.rank_messages import BEAT_SECONDS, SILENCE_SECONDS, frame
from cptstudio.training.rank_state import DESCRIPTOR_VARIABLE, read_state
from cptstudio.training.stop_requests import SIGNALS

_LOOK_SECONDS: Final = 0.2
_RANK_VARIABLES: Final = ("MLX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
BY_LAUNCHER: Final = "the launcher ended it"
_LAST_BYTES: Final = 4096
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class RankKeeper:
    """Keeps one trainer from its start to its end.

    Args:
        rank: its number.
        arguments: the training program's module, and what that is given.
    """

    def __init__(self, rank: int, arguments: list[str]) -> None:
        self._rank = rank
        self._state, path = tempfile.mkstemp()
        os.unlink(path)
        self._ending: str | None = None
        self._paused = False
        self._heard = self._looked = time.monotonic()
        self._next_beat = 0.0
        self._words = self._last = b""
        self._trainer = self._start(arguments)
        assert self._trainer.stdout is not None
        self._printed = self._trainer.stdout.fileno()
        self._listens = [sys.stdin.fileno(), self._printed]

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        lifeline, self._holds = os.pipe()
        # A stop that comes before the trainer can answer it waits until it can.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        program = [child_guard.__name__, str(lifeline), "-m", *arguments]
        trainer = subprocess.Popen(
            [sys.executable, "-P", "-m", *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline, self._state),
            env={**os.environ, DESCRIPTOR_VARIABLE: str(self._state)},
        )
        os.close(lifeline)
        for number in _ENDING:
            signal.signal(number, lambda number, _: self._end(BY_LAUNCHER))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return trainer

    def keep(self) -> None:
        """Stay until the trainer has ended, and say how."""
        status = None
        while status is None:
            ready, _, _ = select.select(self._listens, [], [], _LOOK_SECONDS)
            self._look_at_time()
            if self._printed in ready:
                self._pass_on()
            if sys.stdin.fileno() in ready:
                self._listen()
            status = self._look_at_trainer()
            if time.monotonic() >= self._next_beat:
                self._next_beat = time.monotonic() + BEAT_SECONDS
                state = read_state(self._state)
                self._say(exchange=state.exchange, size=state.size, paused=self._paused)
        while self._printed in self._listens and select.select([self._printed], [], [], 0)[0]:
            self._pass_on()
        code = os.waitstatus_to_exitcode(status)
        self._trainer.returncode = code
        said = self._last.decode("utf-8", "replace").strip().splitlines()
        self._say(ended=code, because=self._ending, said=said[-1] if said else "")

    def _look_at_time(self) -> None:
        """End the trainer where the launcher is silent, or this process was paused itself."""
        now = time.monotonic()
        if now - self._looked > SILENCE_SECONDS:
            self._end("its keeper was paused")
        elif now - self._heard > SILENCE_SECONDS:
            self._end("nothing was heard of the launcher")
        self._looked = now

    def _look_at_trainer(self) -> int | None:
        """The trainer's exit status once it has ended."""
        pid, status = os.waitpid(self._trainer.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
            self._paused = os.WIFSTOPPED(status)
            return None
        return status

    def _listen(self) -> None:
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            self._listens.remove(sys.stdin.fileno())
            self._end("the launcher is gone")
            return
        self._heard = time.monotonic()
        *words, self._words = (self._words + data).split(b"\n")
        for word in words:
            if word.strip() == b"stop by you":
                self._signal(signal.SIGINT)
            elif word.strip() == b"stop on request":
                self._signal(signal.SIGTERM)
            elif word.strip() == b"end":
                self._end(BY_LAUNCHER)

    def _pass_on(self) -> None:
        data = os.read(self._printed, 2048)
        if not data:
            self._listens.remove(self._printed)
            return
        self._last = (self._last + data)[-_LAST_BYTES:]
        self._say(text=data.decode("utf-8", "replace"))

    def _end(self, why: str) -> None:
        if self._ending is None:
            self._ending = why
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # It is this process's child, and not reaped yet: its pid is nobody else's.
        if self._trainer.returncode is None:
            os.kill(self._trainer.pid, number)

    def _say(self, **facts: Any) -> None:
        message = {"rank": self._rank, "machine": socket.gethostname(), **facts}
        try:
            sys.stdout.buffer.write(frame(message))
            sys.stdout.buffer.flush()
        except OSError:
            self._end("the launcher is gone")


def rank_of_environment() -> int:
    """Return the number of this rank, as the launcher or MPI has set it."""
    for name in _RANK_VARIABLES:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    raise SystemExit("This program is started by `mlx.launch` or `mpirun`, once for each rank.")


def main(arguments: list[str]) -> int:
    """Keep a rank; the status is 0, since how it ended was said."""
    RankKeeper(rank_of_environment(), arguments).keep()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
