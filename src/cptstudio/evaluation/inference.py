"""The near side of the inference worker: asks a process that holds models, and imports no MLX.

    with InferenceWorker() as worker:
        worker.load([resolve_reference("demo-base", workspace)])
        for answer in worker.ask(Complete(labels=("demo-base",), prompts=(Prompt(text="def"),))):
            ...

The process is started by the first request, never before. When it dies, of whatever, everything
that was asked of it ends with a sentence, and the next request starts a new one.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cptstudio.child_answers import object_of, user_error
from cptstudio.child_limits import for_models
from cptstudio.child_process import NO_ANSWER, ChildProcess
from cptstudio.durable import MEBIBYTE
from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import (
    Asked,
    Cancel,
    Complete,
    Load,
    ModelToLoad,
    Request,
    Score,
    Status,
    Unload,
)
from cptstudio.evaluation.references import ModelReference
from cptstudio.job_programs import told

MODULE = "cptstudio.evaluation.worker"
_END_SECONDS = 5.0
# The likelihoods of a long text, token by token.
_LINE_LIMIT = 256 * MEBIBYTE
# What of the answers tells of the worker itself.
_TOLD = ("models", "memory_active", "memory_peak")
_logger = logging.getLogger(__name__)

Ask = Load | Unload | Complete | Score | Status


@dataclass(frozen=True)
class InferenceState:
    """The inference worker's current state.

    Attributes:
        pid: of the worker, or None when none runs.
        models: what is loaded, as far as was answered: "label", "chat" (whether there is a chat
            template), "vocabulary_size" and "tokenizer" (hash) of each.
        busy: requests that are not answered to their end.
        since: Unix time in seconds of the worker's start, or None.
        memory_active: bytes of MLX's arrays, and at most so far; None before the first answer.
        last_end: why the last worker ended, or None.
    """

    pid: int | None
    models: tuple[dict[str, Any], ...]
    busy: int
    since: float | None
    memory_active: int | None
    memory_peak: int | None
    last_end: str | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of what is loaded."""
        return tuple(model["label"] for model in self.models)


class InferenceWorker:
    """One inference worker at most, started when something is asked.

    Args:
        idle: seconds without a request after which the worker ends by itself.
        fast_blas: on a Linux CPU, use an optimized BLAS under MLX.
        on_end: called with the reason when a worker has ended, from a thread of its own.

    Attributes:
        idle: a change holds for the next worker.
    """

    def __init__(
        self,
        idle: float = 600.0,
        fast_blas: bool = True,
        on_end: Callable[[str], None] | None = None,
    ) -> None:
        self.idle = idle
        self._fast_blas = fast_blas
        self._on_end = on_end
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._worker: _Worker | None = None
        self._last_end: str | None = None

    def __enter__(self) -> InferenceWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def load(self, references: Sequence[ModelReference]) -> dict[str, Any]:
        """Bring models into memory, and wait for it; what is loaded already stays.

        Raises:
            UserError: one cannot be loaded, or the worker died, such as for want of memory.
        """
        return self.result(load_request(references))

    def result(self, ask: Ask) -> dict[str, Any]:
        """Ask, and wait for the result.

        Raises:
            UserError: the worker said so, or died.
        """
        for answer in self.ask(ask):
            if "result" in answer:
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError("an answer ends with a result or an error")

    def ask(self, ask: Ask) -> Generator[dict[str, Any]]:
        """Ask, and yield the answers as they come; the last one holds "result".

        Closing the iterator before its end cancels the request.

        Raises:
            UserError: the worker said so, or died.
        """
        pending = self.begin(ask)
        try:
            for answer in pending.answers():
                if "error" in answer:
                    raise user_error(answer["error"])
                yield answer
        finally:
            pending.close()

    def begin(self, ask: Ask) -> Pending:
        """Send a request, without waiting for anything."""
        number = next(self._numbers)
        with self._lock:
            if self._worker is None or self._worker.ended is not None:
                self._worker = _Worker(self.idle, self._fast_blas, self._note_end)
            worker = self._worker
        worker.send(number, ask)
        return Pending(number, worker)

    def end(self, reason: str = "Models unloaded.") -> None:
        """End the worker, if there is one; its memory is free when this returns."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.end(reason)

    def state(self) -> InferenceState:
        """Return the worker's current state."""
        with self._lock:
            worker, last_end = self._worker, self._last_end
        if worker is None or worker.ended is not None:
            return InferenceState(None, (), 0, None, None, None, last_end)
        told = worker.told
        return InferenceState(
            worker.pid,
            tuple(told.get("models", ())),
            worker.busy,
            worker.since,
            told.get("memory_active"),
            told.get("memory_peak"),
            last_end,
        )

    def _note_end(self, reason: str) -> None:
        self._last_end = reason
        if self._on_end is not None:
            self._on_end(reason)


def load_request(references: Sequence[ModelReference]) -> Load:
    """Asks for models by what the user called them."""
    return Load(
        models=tuple(
            ModelToLoad(
                label=reference.label,
                model=str(reference.model),
                adapter=str(reference.adapter) if reference.adapter else None,
            )
            for reference in references
        )
    )


class Pending:
    """A request that was sent. `close` when its answers are not wanted any more."""

    def __init__(self, number: int, worker: _Worker) -> None:
        self._number = number
        self._worker = worker
        self._finished = False

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the worker's answers as they come; the last one has "result" or "error"."""
        for answer in self._worker.answers(self._number):
            self._finished = "result" in answer or "error" in answer
            yield answer

    def cancel(self) -> None:
        """Ask for no more; the last answer still comes. From any thread."""
        self._worker.write(Cancel(cancel=self._number))

    def close(self) -> None:
        """Cancel what is not answered to its end, and forget the rest."""
        if not self._finished:
            self.cancel()
        self._worker.forget(self._number)


class _Worker:
    """One worker process and the thread that reads its answers."""

    def __init__(self, idle: float, fast_blas: bool, note_end: Any) -> None:
        arguments = ["--idle", str(idle), *([] if fast_blas else ["--no-fast-blas"])]
        self._process = ChildProcess(
            ("-m", MODULE, *arguments), for_models(), grace_seconds=_END_SECONDS
        )
        self.pid = self._process.pid
        self.since = time.time()
        self.told: dict[str, Any] = {}
        self.ended: str | None = None
        self._note_end = note_end
        self._reason: str | None = None
        self._queues: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._unanswered: set[int] = set()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def busy(self) -> int:
        return len(self._queues)

    def send(self, number: int, ask: Ask) -> None:
        with self._lock:
            self._queues[number] = queue.SimpleQueue()
            if self.ended is not None:
                self._queues[number].put(_died(self.ended))
                return
            self._unanswered.add(number)
        self.write(Request(id=number, ask=ask))

    def write(self, line: Asked) -> None:
        with self._writing:
            self._process.send(line.model_dump(mode="json"))
        self._set_clock()

    def answers(self, number: int) -> Iterator[dict[str, Any]]:
        waiting = self._queues[number]
        while True:
            answer = waiting.get()
            yield answer
            if "result" in answer or "error" in answer:
                return

    def forget(self, number: int) -> None:
        with self._lock:
            self._queues.pop(number, None)

    def end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._process.cancel()
        self._reader.join()

    def _read(self) -> None:
        for line in self._process.lines(_LINE_LIMIT):
            answer = object_of(line)
            if answer is None:
                self._process.kill(NO_ANSWER)
                break
            if "ending" in answer:
                self._reason = answer["ending"]
                continue
            result = answer.get("result")
            if isinstance(result, dict) and "memory_active" in result:
                self.told = {**self.told, **{key: result[key] for key in _TOLD if key in result}}
            with self._lock:
                number: Any = answer.get("id")
                waiting = self._queues.get(number)
                if "result" in answer or "error" in answer:
                    self._unanswered.discard(number)
            self._set_clock()
            if waiting is not None:
                waiting.put(answer)
        self._process.wait()
        reason = self._reason or self._process.why()
        _logger.info("the inference worker %d ended: %s", self.pid, reason)
        with self._lock:
            self.ended = reason
        self._note_end(reason)
        lost = ", ".join(model["label"] for model in self.told.get("models", ()))
        with self._lock:
            for waiting in self._queues.values():
                waiting.put(_died(reason, lost))

    def _set_clock(self) -> None:
        """Its time counts only while something is asked."""
        with self._lock:
            self._process.expect(bool(self._unanswered))


def _died(reason: str, lost: str = "") -> dict[str, Any]:
    message = f"The process with the loaded models has ended: {reason}"
    if lost:
        message += f" Unloaded: {lost}."
    message += " Try again to restart it."
    return {"error": told(UserError(message))}
