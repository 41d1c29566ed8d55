"""The inner side of a job: a program that does one piece of long work for whoever started it.

It reads one line of JSON, the request, from standard input, and writes one JSON object a line:
{"progress": {...}} any number of times, then one of

    {"result": {...}}
    {"error": {"message": "a sentence", "findings": [{"sentence", "field", "title", "missing"}]}}
    {"cancelled": true}

It ends early on SIGINT, and when standard input is closed, which happens by itself when the
process that asked dies, so that it can clean up; a guard sees to it that it ends in any case
(`child_guard`). A request that ends with the end of the input instead of a newline is not watched
over like this. The near side is `child_process`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, Protocol, get_args

from cptstudio import durable
from cptstudio.device_failures import sign_of
from cptstudio.errors import UserError, machine_error

REQUEST_LIMIT = durable.MEBIBYTE
Unit = Literal[
    "bytes", "files", "steps", "rows", "tokens", "tensors", "documents", "prompts", "questions"
]
UNITS: tuple[Unit, ...] = get_args(Unit)
_GRACE_SECONDS = 5.0
_INPUT, _OUTPUT = 0, 1
_interrupts: list[int] = []
"""The SIGINTs so far; a lock may not be taken by a handler."""


def _interrupt(number: int, frame: object) -> None:
    _interrupts.append(number)
    raise KeyboardInterrupt


class Answer:
    """Writes a program's answer lines; lines from several threads do not mix.

    Args:
        descriptor: of the pipe to the one who asked.
        interval: seconds that lie between two lines of progress at least.
    """

    def __init__(self, descriptor: int, interval: float = 0.1) -> None:
        self._descriptor = descriptor
        self._interval = interval
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._phase: object = None

    def progress(self, *, final: bool = False, **facts: Any) -> None:
        """Tell how far the work is, unless the last time was only just now.

        Args:
            final: tell it in any case.
            facts: phase, done, total, unit (one of `UNITS`), detail; rate (units a second) and
                remaining_seconds where the program knows better than one who watches `done`.
        """
        if _interrupts:
            # The interrupt came where Python raises nothing, such as in a callback of a library.
            raise KeyboardInterrupt
        now = time.monotonic()
        same_phase = facts.get("phase") == self._phase
        if not final and same_phase and now - self._last < self._interval:
            return
        self._last, self._phase = now, facts.get("phase")
        self.line(progress=facts)

    def line(self, **answer: Any) -> None:
        """Write one object."""
        data = durable.dump_json(answer).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


class TellsProgress(Protocol):
    """The part of an `Answer` that a piece of work needs, so that it can run without a job, too."""

    def progress(self, *, final: bool = False, **facts: Any) -> None:
        """See `Answer.progress`."""


def counted(
    answer: TellsProgress, phase: str, unit: Unit, detail: str = ""
) -> Callable[[int, int], None]:
    """Return what tells how many units of a phase are done, and of how many."""

    def tell(done: int, total: int) -> None:
        last = done == total
        answer.progress(final=last, phase=phase, done=done, total=total, unit=unit, detail=detail)

    return tell


Work = Callable[[dict[str, Any], Answer], dict[str, Any]]


def answer_request(work: Work) -> int:
    """Answer the one request of this process; returns the exit status.

    What libraries print goes to standard error, so that the answer stays clean.

    Args:
        work: gets the request and the answer to report progress to, returns the result. A
            `UserError` is passed on in its own words. A `KeyboardInterrupt` reaches it when the
            work is to end: it may clean up, for a few seconds.
    """
    # A program started from a shell's background inherits an ignored SIGINT.
    signal.signal(signal.SIGINT, _interrupt)
    answer = Answer(os.dup(_OUTPUT))
    os.dup2(sys.stderr.fileno(), _OUTPUT)
    try:
        return _answer(work, answer)
    except BrokenPipeError:
        return 1


def _answer(work: Work, answer: Answer) -> int:
    try:
        request, rest = _read_request()
        if not rest:
            threading.Thread(target=_end_with_input, daemon=True).start()
        result = work(request, answer)
    except KeyboardInterrupt:
        answer.line(cancelled=True)
        # Not by returning, which would wait for threads that wait for the network.
        sys.stderr.flush()
        os._exit(130)
    except BrokenPipeError:
        raise
    except Exception as error:
        answer.line(error=told(error))
        return 1
    answer.line(result=result)
    return 0


def answer_requests(work: Work, warm_up: Callable[[], None]) -> int:
    """Answer one request a line until the input ends; returns the exit status.

    Begins with {"ready": true}. The near side is `child_service`.

    Args:
        work: gets a request and the answer to report progress to, returns its result; what it
            raises answers that request alone.
        warm_up: called before the first request, so that the time it takes is no request's.
    """
    answer = Answer(os.dup(_OUTPUT))
    # What libraries print must not mix with the answers.
    os.dup2(sys.stderr.fileno(), _OUTPUT)
    warm_up()
    answer.line(ready=True)
    for line in sys.stdin.buffer:
        try:
            result = work(json.loads(line), answer)
        except Exception as error:
            answer.line(error=told(error))
        else:
            answer.line(result=result)
    return 0


def told(error: Exception) -> dict[str, Any]:
    """Return an exception as an answer line carries it; `child_answers.user_error` reads it."""
    known = error if isinstance(error, UserError) else UserError(_sentence_of(error))
    return {"message": known.message, "findings": [asdict(found) for found in known.findings]}


def _sentence_of(error: Exception) -> str:
    """What a user is told of an exception; one that is a fault of ours leaves its trace."""
    sign = sign_of(error)
    if sign is not None:
        words = str(error).strip().splitlines()
        said = f" Details: {words[0][:300]}" if words else ""
        return f"{sign.says}. Close other programs, or process less at a time.{said}"
    refused = machine_error(error)
    if refused is not None:
        return refused.message
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    traceback.print_exc()
    return f"Internal error: {type(error).__name__}: {error}"


def _read_request() -> tuple[dict[str, Any], bool]:
    """The request, and whether the input ended with it (then there is none to watch)."""
    data = b""
    ended = False
    while b"\n" not in data and not ended:
        part = os.read(_INPUT, 65_536)
        data += part
        ended = not part
        if len(data) > REQUEST_LIMIT:
            raise UserError(f"The request is larger than {REQUEST_LIMIT:,} bytes.")
    try:
        request = durable.parse_json(data.partition(b"\n")[0])
    except ValueError as error:
        raise UserError(f"The request is not valid JSON: {error}.") from None
    if not isinstance(request, dict):
        raise UserError("The request is not a JSON object.")
    return request, ended


def _end_with_input() -> None:
    """Wait for the end of standard input, then end this process as a cancel would."""
    # Not through sys.stdin: a thread that blocks in it stops the interpreter from ending.
    while os.read(_INPUT, 4096):
        pass
    # To the main thread itself, so that what it waits for is interrupted.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
