"""The near side of a program that works for this process: started, asked, watched, ended.

Every program that speaks `job_programs` is started here, so all of them have in common: they end
when this process is gone, however it ended and whatever they are at (`child_guard`); they have a
limit of time and of memory, which this process watches; a kill reaches what they started; and
there is one way to say how one died.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from cptstudio import durable, memory_evidence
from cptstudio.child_answers import End, Line, parsed
from cptstudio.child_limits import Limits
from cptstudio.child_usage import Clock, Taken
from cptstudio.durations import duration
from cptstudio.errors import UserError

LINE_LIMIT: Final = durable.MEBIBYTE
GRACE_SECONDS: Final = 10.0
"""Between asking a program to end and killing it."""

NO_ANSWER: Final = "It sent an answer that could not be read, so it was ended."

_ERROR_LINES: Final = 40
_ERROR_LINE_BYTES: Final = 2000
_POLL_SECONDS: Final = 0.02
_WATCH_SECONDS: Final = 0.25
_IDLE_WATCH_SECONDS: Final = 2.0
# A process that waits for a disk that does not answer cannot be killed, nor waited for.
_REAP_SECONDS: Final = 10.0
_READ_BYTES: Final = 1 << 16
_GUARD: Final = "cptstudio.child_guard"

log = logging.getLogger(__name__)


class ChildEndedError(UserError):
    """A program ended without an answer.

    Attributes:
        at_limit: because it took more time or memory than it may.
    """

    def __init__(self, message: str, at_limit: bool) -> None:
        super().__init__(message)
        self.at_limit = at_limit


class ChildProcess:
    """A started program.

    Args:
        program: for Python: ("-m", MODULE, *arguments) or (PATH, *arguments).
        limits: of its time and memory.
        shows: what it shows to the user: nothing, so that its errors are kept for its last
            words; what it writes to standard error; or its standard output, too.
        grace_seconds: between asking it to end and killing it.

    Attributes:
        too_slow: it was ended because it took more time than it may.

    Raises:
        UserError: it cannot be started.
    """

    def __init__(
        self,
        program: Sequence[str],
        limits: Limits,
        *,
        shows: Literal["nothing", "errors", "everything"] = "nothing",
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.name = program[1] if program[0] == "-m" else program[0]
        self._limits = limits
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._cancelled = False
        self._reason: str | None = None
        self.too_slow = False
        self._asked: float | None = None
        self._seconds = limits.seconds
        self._killer: threading.Timer | None = None
        self._memory_before = memory_evidence.kill_counts()
        self._errors: deque[str] = deque(maxlen=_ERROR_LINES)
        self._over = threading.Event()
        self._look = threading.Event()
        # What is read from the program ends with this pipe, also when its own does not.
        self._given_up, self._give_up = os.pipe()
        self._process, self._lifeline = _start(program, shows)
        self.pid = self._process.pid
        self._reader: threading.Thread | None = None
        if self._process.stderr is not None:
            self._reader = threading.Thread(target=self._read_errors, daemon=True)
            self._reader.start()
        threading.Thread(target=self._watch, name=f"watch-{self.pid}", daemon=True).start()

    # --- talking to it ---------------------------------------------------------------------

    def send(self, request: Mapping[str, Any]) -> None:
        """Write a line to its standard input; its clock starts now.

        The input stays open, and its end tells the program that nobody waits for it any more.
        """
        self.expect(True)
        assert self._process.stdin is not None
        data = durable.dump_json(dict(request)).encode() + b"\n"
        # It ended already where this fails; its end says why.
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def expect(self, answer: bool, within: float | None = None) -> None:
        """Say whether something is asked of it, so that its time counts; it starts anew.

        Args:
            answer: whether an answer is awaited.
            within: seconds for this one; None for those of its limits.
        """
        self._seconds = self._limits.seconds if within is None else within
        self._asked = time.monotonic() if answer else None
        self._look.set()

    def lines(self, limit: int = LINE_LIMIT) -> Iterator[bytes]:
        """What it writes, in whole lines, until it ends. One longer than the limit is left out."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(output, select.POLLIN)
        waiting.register(self._given_up, select.POLLIN)
        rest = bytearray()
        inside_long = False
        while True:
            if any(descriptor == self._given_up for descriptor, _ in waiting.poll()):
                return
            part = os.read(output, _READ_BYTES)
            if not part:
                return
            if self._asked is not None:
                self._asked = time.monotonic()
            searched = len(rest)
            rest += part
            while (end := rest.find(b"\n", searched)) >= 0:
                line = bytes(rest[: end + 1])
                del rest[: end + 1]
                searched = 0
                if not inside_long and len(line) <= limit:
                    yield line
                else:
                    log.warning("%s wrote a line of more than %d bytes", self.name, limit)
                inside_long = False
            if len(rest) > limit:
                rest.clear()
                inside_long = True

    def follow(self, progress: Callable[[Line], None] = lambda line: None) -> End:
        """Read the answer to its one request until it has ended; blocks.

        Whatever is raised meanwhile, such as a KeyboardInterrupt, is passed on when the program
        has ended.
        """
        answer: End | None = None
        try:
            for data in self.lines():
                said = parsed(data)
                if isinstance(said, Line):
                    progress(said)
                elif isinstance(said, End):
                    answer = said
                else:
                    log.warning("%s wrote a line that is no answer: %r", self.name, data[:200])
            status = self.wait()
        except BaseException:
            self._end_early()
            raise
        if answer is not None and (answer.result is None or status == 0):
            return answer
        return End(None, self.why(), died=True)

    # --- ending it -------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask it to end, and kill its group when it has not after a while."""
        with self._lock:
            if self._cancelled or self._process.poll() is not None:
                return
            self._cancelled = True
            self._process.send_signal(signal.SIGINT)
            self._killer = threading.Timer(self._grace_seconds, self.kill)
            self._killer.daemon = True
            self._killer.start()

    def kill(self, reason: str | None = None) -> None:
        """End its group at once.

        Args:
            reason: a sentence that `why` tells; None for an end that was wanted.
        """
        with self._lock:
            # Not reaped, so its pid, which is its group's number, is still its own.
            if self._process.poll() is not None:
                return
            self._reason = self._reason or reason
            self._cancelled = self._cancelled or reason is None
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            killed_at = time.monotonic()
        threading.Thread(target=self._abandon, args=(killed_at,), daemon=True).start()

    def wait(self) -> int | None:
        """Wait for the end of a program that has closed its output, and let go of it.

        Returns:
            its exit status as `subprocess` tells it; None when it does not end though killed.
        """
        pause, given_up = threading.Event(), select.poll()
        given_up.register(self._given_up, select.POLLIN)
        while True:
            with self._lock:
                status = self._process.poll()
            if status is not None or given_up.poll(0):
                break
            pause.wait(_POLL_SECONDS)
        self._let_go()
        return status

    @property
    def ended(self) -> bool:
        """Return whether it has ended."""
        with self._lock:
            return self._process.poll() is not None

    @property
    def at_limit(self) -> bool:
        """Return whether it was ended because it took more time or memory than it may."""
        return self._reason is not None

    def why(self) -> str:
        """Return the sentence for an end without an answer."""
        if self._reason is not None:
            return self._reason
        status = self._process.returncode
        if status is None:
            return "It was abandoned: it is stuck on a disk that does not respond."
        if status == -signal.SIGKILL and not self._cancelled:
            rises = memory_evidence.rises(self._memory_before, memory_evidence.kill_counts())
            if any(rises.values()):
                return (
                    "The system ended it because memory ran out. Close other programs, "
                    "or process less at a time."
                )
            return (
                "It was ended from outside, usually because memory ran out. Close other programs "
                "and try again."
            )
        if status < 0:
            return f"{crash_sentence(-status)}{self._last_words()}"
        if status == 0:
            return "It ended without sending an answer."
        return f"It ended early.{self._last_words()}"

    # --- inside ----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Hold it to its limits until it has ended."""
        clock = Clock()
        while True:
            self._look.wait(_IDLE_WATCH_SECONDS if self._asked is None else _WATCH_SECONDS)
            self._look.clear()
            if self._over.is_set():
                return
            limits, seconds, asked = self._limits, self._seconds, self._asked
            if seconds is None and limits.memory is None:
                continue
            taken = Taken.by(self.pid)
            if seconds is not None and clock.counted(asked, taken) > seconds:
                self.too_slow = True
                self.kill(
                    f"It did not answer within {duration(seconds)}, so it was ended. "
                    f"{limits.when_slow}"
                )
                return
            if limits.memory is not None and taken.memory > limits.memory:
                self.kill(
                    f"It used {taken.memory / 1e9:.1f} GB of memory. The limit on this "
                    f"machine is {limits.memory / 1e9:.1f} GB, so it was ended. "
                    f"{limits.when_large}"
                )
                return

    def _abandon(self, killed_at: float) -> None:
        """Stop waiting for a program that does not die of being killed."""
        left = killed_at + _REAP_SECONDS - time.monotonic()
        if not self._over.wait(max(0.0, left)):
            with contextlib.suppress(OSError):
                os.write(self._give_up, b".")

    def _end_early(self) -> None:
        self.cancel()
        try:
            self.wait()
        except KeyboardInterrupt:
            # The user does not want to wait for what it cleans up.
            self.kill()
            self.wait()

    def _let_go(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            self._look.set()
        if self._killer is not None:
            self._killer.cancel()
        if self._reader is not None:
            self._reader.join(timeout=1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with self._lock:
            for descriptor in (self._lifeline, self._give_up, self._given_up):
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := stream.readline(_ERROR_LINE_BYTES):
                text = data.decode("utf-8", "replace").rstrip()
                if text:
                    self._errors.append(text)
                    log.debug("%s (%d): %s", self.name, self.pid, text)

    def _last_words(self) -> str:
        return f" Last output: {self._errors[-1]}" if self._errors else ""


def ask(
    program: Sequence[str],
    request: Mapping[str, Any],
    limits: Limits,
    *,
    what: str,
    shows: Literal["nothing", "errors"] = "nothing",
    progress: Callable[[Line], None] = lambda line: None,
) -> dict[str, Any]:
    """Start a program, ask it one thing, and return its result.

    Args:
        program: see `ChildProcess`.
        limits: of its time and memory.
        what: it does, for the sentence when it dies, such as "The evaluation".
        shows: see `ChildProcess`.

    Raises:
        UserError: the program reported one.
        ChildEndedError: it died.
        KeyboardInterrupt: it was cancelled; it has ended.
    """
    child = ChildProcess(program, limits, shows=shows)
    child.send(request)
    end = child.follow(progress)
    if end.cancelled:
        raise KeyboardInterrupt
    if end.result is None:
        error = str(end.error)
        if end.died:
            raise ChildEndedError(f"{what} ended early. {error}", child.at_limit)
        raise UserError(error, end.findings)
    return end.result


def _start(program: Sequence[str], shows: str) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the writing end of the pipe whose end its guard waits for."""
    lifeline, held = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _GUARD, str(lifeline), *program],
            stdin=subprocess.PIPE,
            stdout=None if shows == "everything" else subprocess.PIPE,
            stderr=subprocess.PIPE if shows == "nothing" else None,
            # A group of its own: Ctrl-C in the terminal is for whoever asks, and a kill reaches
            # what the program started.
            start_new_session=True,
            pass_fds=(lifeline,),
        )
    except OSError as error:
        os.close(held)
        raise UserError(f"Could not start {sys.executable}: {error.strerror}.") from None
    finally:
        os.close(lifeline)
    return process, held


def crash_sentence(number: int) -> str:
    """Return the sentence for a program that a signal ended."""
    return _CRASHES.get(number, "It was ended from outside.")


_CRASHES: Final[Mapping[int, str]] = {
    signal.SIGSEGV: "It crashed: it accessed invalid memory.",
    signal.SIGBUS: "It crashed: memory or a file it was reading disappeared.",
    signal.SIGILL: "It crashed: this processor does not support one of its instructions.",
    signal.SIGFPE: "It crashed with an arithmetic error.",
    signal.SIGABRT: "It crashed with an internal error.",
    signal.SIGTRAP: "It crashed with an internal error.",
}
