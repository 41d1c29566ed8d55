"""Decoded training rows, from a child process that keeps the tokenizer for a while.

Loading a tokenizer's libraries takes seconds and a quarter of a gigabyte, which this server
neither needs nor should hold up its other answers for. The child is started by the first
question and ended two minutes after the last.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from cptstudio import durable
from cptstudio.child_limits import ROWS_SECONDS, Limits, for_a_look
from cptstudio.child_process import ChildProcess
from cptstudio.errors import UserError
from cptstudio.web.problems import Problem

PROGRAM = "cptstudio.corpus.sample_program"
_IDLE_SECONDS = 120.0
_WAIT_SECONDS = 20.0
_ANSWER_LIMIT = 16 * durable.MEBIBYTE


class RowSampler:
    """Asks the child, one question at a time.

    Args:
        idle_seconds: after which an unused child is ended.
        patience_seconds: after which a question is given up, and the child with it.
    """

    def __init__(
        self, idle_seconds: float = _IDLE_SECONDS, patience_seconds: float = ROWS_SECONDS
    ) -> None:
        self._idle_seconds = idle_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._answers: Iterator[bytes] = iter(())
        self._timer: threading.Timer | None = None

    def sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one question, see `cptstudio.corpus.sample_program`.

        Raises:
            UserError: what the program says, or that it died.
            Problem: 503 when it is busy with other questions for long.
        """
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise Problem("Other rows are still being decoded: try again soon.", status=503)
        try:
            return self._ask(request)
        finally:
            self._rest()
            self._lock.release()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._timer is not None:
            self._timer.cancel()
        child = self._child
        if child is None or child.ended:
            self._end()
            child = self._child = ChildProcess(("-m", PROGRAM), _limits(self._patience_seconds))
            self._answers = child.lines(_ANSWER_LIMIT)
        child.send(request)
        line = next(self._answers, None)
        if line is None:
            child.wait()
            self._end()
            raise UserError(f"The rows could not be decoded. {child.why()}")
        child.expect(False)
        answer: dict[str, Any] = durable.parse_json(line)
        if "error" in answer:
            raise UserError(answer["error"]["message"], answer["error"]["problems"])
        result: dict[str, Any] = answer["result"]
        return result

    def _rest(self) -> None:
        self._timer = threading.Timer(self._idle_seconds, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()


def _limits(seconds: float) -> Limits:
    limits = for_a_look(
        "The corpus or its disk is the reason: repeat, or build it again.",
        "Show fewer or shorter rows.",
    )
    return dataclasses.replace(limits, seconds=seconds)
