"""A child that answers one question after the other, and is there when one is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cptstudio.child_answers import object_of, user_error
from cptstudio.child_limits import QUICK_SECONDS, Limits
from cptstudio.child_process import LINE_LIMIT, NO_ANSWER, ChildProcess
from cptstudio.errors import UserError

_ANSWERS = frozenset({"ready", "result", "error"})


class ChildService:
    """One child at most: started by a question, and again by the next when it had to be ended.

    It answers a line of JSON, {"result": {...}} or {"error": {...}}, to each line, and begins with
    {"ready": true}, so that the time of a question is not that of its start.

    Args:
        program: see `ChildProcess`.
        limits: makes the bounds of a new child; the time is that of one question.
        failed: begins the sentence when it died, such as "The rows could not be decoded."
        line_limit: bytes of an answer.
        idle_seconds: after which an unused child is ended; None to keep it.
    """

    def __init__(
        self,
        program: Sequence[str],
        limits: Callable[[], Limits],
        failed: str,
        *,
        line_limit: int = LINE_LIMIT,
        idle_seconds: float | None = None,
    ) -> None:
        self._program, self._limits, self._failed = tuple(program), limits, failed
        self._line_limit, self._idle_seconds = line_limit, idle_seconds
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._answers: Iterator[bytes] = iter(())
        self._timer: threading.Timer | None = None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of one question.

        Raises:
            UserError: what the child says, or that it died.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            child = self._child
            if child is None or child.ended:
                child = self._start()
            child.send(request)
            answer = self._answer(child)
            if self._idle_seconds is not None:
                self._timer = threading.Timer(self._idle_seconds, self.close)
                self._timer.daemon = True
                self._timer.start()
        if "error" in answer:
            raise user_error(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def interrupt(self) -> None:
        """End the child, also in the middle of a question, which ends with a `UserError`."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """End the child when it has answered what is asked."""
        with self._lock:
            child, self._child = self._child, None
            if child is not None:
                child.kill()
                child.wait()

    def _start(self) -> ChildProcess:
        if self._child is not None:
            self._child.wait()
        child = self._child = ChildProcess(self._program, self._limits())
        self._answers = child.lines(self._line_limit)
        child.expect(True, within=QUICK_SECONDS)
        self._answer(child)
        return child

    def _answer(self, child: ChildProcess) -> dict[str, Any]:
        line = next(self._answers, None)
        child.expect(False)
        answer = object_of(line) if line is not None else None
        if line is not None and (answer is None or not _ANSWERS & answer.keys()):
            child.kill(NO_ANSWER)
        elif answer is not None:
            return answer
        child.wait()
        self._child = None
        raise UserError(f"{self._failed} {child.why()}")
