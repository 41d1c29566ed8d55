"""The child process of one job: started, read, cancelled, and its end put into words."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.job_programs import UNITS, Unit
from cptstudio.runs import memory_evidence

LINE_LIMIT = durable.MEBIBYTE
_ERROR_LINES = 40
_ERROR_LINE_LIMIT = 2000
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.02

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Line:
    """Progress as a program tells it; what it did not tell is None."""

    phase: str | None
    done: float | None
    total: float | None
    unit: Unit | None
    detail: str | None
    rate: float | None
    remaining_seconds: float | None


@dataclass(frozen=True)
class End:
    """How a program ended: with a result, or with the sentence of an error."""

    result: dict[str, Any] | None
    error: str | None
    problems: list[str]


class JobProcess:
    """A started program.

    Args:
        argv: the program and its arguments.
        request: written to its standard input as one line; the input stays open, and its end
            tells the program that nobody waits for it any more.
        grace_seconds: between asking it to end and killing it.

    Raises:
        UserError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        request: dict[str, Any],
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._cancelled = False
        self._killer: threading.Timer | None = None
        self._memory_before = memory_evidence.kill_counts()
        self._answer: End | None = None
        self._errors: deque[str] = deque(maxlen=_ERROR_LINES)
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A group of its own: Ctrl-C in the server's terminal is the server's, and a
                # kill reaches what the program started.
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"{argv[0]} cannot be started: {error.strerror}.") from None
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(durable.dump_json(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It ended already; its end says why.

    def cancel(self) -> None:
        """Ask it to end, and kill its group when it has not after a while."""
        with self._lock:
            if self._cancelled or self._process.poll() is not None:
                return
            self._cancelled = True
            self._process.send_signal(signal.SIGINT)
            self._killer = threading.Timer(self._grace_seconds, self._kill)
            self._killer.daemon = True
            self._killer.start()

    def follow(self, progress: Callable[[Line], None]) -> End:
        """Read its answer until it has ended; blocks."""
        reader = threading.Thread(target=self._read_errors, daemon=True)
        reader.start()
        assert self._process.stdout is not None
        try:
            for data in _lines(self._process.stdout):
                line = self._take(data)
                if line is not None:
                    progress(line)
        finally:
            status = self._reap()
        reader.join(timeout=1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if self._answer is not None and (self._answer.error or status == 0):
            return self._answer
        return End(None, self._why(status), [])

    def _kill(self) -> None:
        with self._lock:
            # Not reaped, so its pid, which is its group's number, is still its own.
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _reap(self) -> int:
        """Wait for the end of a program that has closed its output."""
        pause = threading.Event()
        while True:
            with self._lock:
                status = self._process.poll()
            if status is not None:
                break
            pause.wait(_POLL_SECONDS)
        if self._killer is not None:
            self._killer.cancel()
        return status

    def _take(self, data: bytes) -> Line | None:
        try:
            said = durable.parse_json(data)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            log.warning("a job's program wrote a line that is no answer: %r", data[:200])
            return None
        if isinstance(said.get("progress"), dict):
            return _line(said["progress"])
        if isinstance(said.get("result"), dict):
            self._answer = End(said["result"], None, [])
        elif isinstance(said.get("error"), dict):
            problems = said["error"].get("problems") or []
            message = str(said["error"].get("message"))[:_ERROR_LINE_LIMIT]
            self._answer = End(None, message, [str(one) for one in problems[:100]])
        return None

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := stream.readline(_ERROR_LINE_LIMIT):
                text = data.decode("utf-8", "replace").rstrip()
                if text:
                    self._errors.append(text)
                    log.debug("job %d: %s", self._process.pid, text)

    def _why(self, status: int) -> str:
        """A sentence for an end without an answer."""
        rises = memory_evidence.rises(self._memory_before, memory_evidence.kill_counts())
        if status == -signal.SIGKILL and not self._cancelled:
            if any(rises.values()):
                return (
                    "The system ended it because memory ran out. End other programs, or give it "
                    "less at a time."
                )
            return (
                "It was killed from outside (SIGKILL). Too little memory is the usual reason: end "
                "other programs and repeat."
            )
        if status < 0:
            return f"It crashed ({_signal_name(-status)}).{self._last_words()}"
        if status == 0:
            return "It ended without an answer."
        return f"It ended with status {status}.{self._last_words()}"

    def _last_words(self) -> str:
        return f" Its last words: {self._errors[-1]}" if self._errors else ""


def _lines(stream: IO[bytes]) -> Any:
    """Whole lines of at most `LINE_LIMIT` bytes; the rest of a longer one is left out."""
    inside_long = False
    while data := stream.readline(LINE_LIMIT):
        if data.endswith(b"\n") and not inside_long:
            yield data
        inside_long = not data.endswith(b"\n")


def _line(facts: dict[str, Any]) -> Line:
    unit = facts.get("unit")
    return Line(
        phase=_text(facts.get("phase")),
        done=_number(facts.get("done")),
        total=_number(facts.get("total")),
        unit=cast(Any, unit) if unit in UNITS else None,
        detail=_text(facts.get("detail")),
        rate=_number(facts.get("rate")),
        remaining_seconds=_number(facts.get("remaining_seconds")),
    )


def _text(value: Any) -> str | None:
    return value[:500] if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
