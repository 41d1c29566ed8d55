"""Decoded training rows, from a child process that keeps the tokenizer for a while.

Loading a tokenizer's libraries takes seconds and a quarter of a gigabyte, which this server
neither needs nor should hold up its other answers for. The child is started by the first
question and ended two minutes after the last.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import threading
import time
from typing import IO, Any

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.web.problems import Problem

PROGRAM = "cptstudio.corpus.sample_program"
_IDLE_SECONDS = 120.0
_PATIENCE_SECONDS = 120.0
_WAIT_SECONDS = 20.0
_ANSWER_LIMIT = 16 * durable.MEBIBYTE


class RowSampler:
    """Asks the child, one question at a time.

    Args:
        idle_seconds: after which an unused child is ended.
        patience_seconds: after which a question is given up, and the child with it.
    """

    def __init__(
        self, idle_seconds: float = _IDLE_SECONDS, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._idle_seconds = idle_seconds
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
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
        if child is None or child.poll() is not None:
            self._end()
            child = self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert child.stdin is not None and child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(durable.dump_json(request).encode() + b"\n")
            child.stdin.flush()
        line = self._answer(child.stdout)
        if line is None:
            self._end()
            raise UserError(
                "The rows could not be decoded: the program that does it ended, or took longer "
                "than two minutes. Too little memory is the usual reason."
            )
        answer: dict[str, Any] = durable.parse_json(line)
        if "error" in answer:
            raise UserError(answer["error"]["message"], answer["error"]["problems"])
        result: dict[str, Any] = answer["result"]
        return result

    def _answer(self, stream: IO[bytes]) -> bytes | None:
        """One line, or None when it does not come in time, or the stream ends."""
        deadline = time.monotonic() + self._patience_seconds
        data = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(stream, selectors.EVENT_READ)
            while not data.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not waiting.select(left):
                    return None
                # Not through the stream, whose buffer the selector does not see.
                part = os.read(stream.fileno(), 1 << 16)
                if not part or len(data) > _ANSWER_LIMIT:
                    return None
                data += part
        return data

    def _rest(self) -> None:
        self._timer = threading.Timer(self._idle_seconds, self.close)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
