"""Pages' requests to the inference worker: one task each, which can be followed and canceled.

A task goes on when the page that asked for it is gone, and is remembered for a while after its
end, so that a page that is loaded again finds it. The inference worker is started by loading
models and by nothing else.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from cptstudio.child_answers import user_error
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.errors import Finding, UserError
from cptstudio.evaluation.inference import Ask, InferenceWorker, Pending
from cptstudio.evaluation.model_requests import Load
from cptstudio.validation import LateModel
from cptstudio.web.problems import Conflict, NotFound

_REMEMBERED = 64
_REMEMBERED_PIECES = 200_000

_logger = logging.getLogger(__name__)

Kind = Literal["load", "complete", "score"]
State = Literal["running", "done", "cancelled", "failed"]
Prepared = Callable[[dict[str, Any]], dict[str, Any]]


class Progress(LateModel):
    """How far a task is: `done` of `total` of what is being done."""

    doing: str
    done: int
    total: int


class PromptFacts(LateModel):
    """A text that is being made, and its prompt as the model sees it.

    Attributes:
        prompt: token ids, with what the tokenizer itself puts first.
        shown: each of these tokens as text.
        opens: the tag of thinking with which the prompt of a chat ends; mostly empty.
    """

    label: str
    seed: int
    prompt: list[int]
    shown: list[str]
    opens: str = ""


class Task(LateModel):
    """A request to the inference worker.

    Attributes:
        error: a sentence; set when it failed.
        problems: sentences of the findings that belong to the error.
        ask: what was asked, as it was understood.
        texts: of a completion, when the prompts were read.
        pieces: tokens of the texts in the order they were made, from `after` on.
        next: what to give as `after` for the pieces beyond these.
        version: what to give as `version`, to be told of anything newer than this.
    """

    id: str
    kind: Kind
    state: State = "running"
    error: str | None = None
    problems: list[str] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    progress: Progress | None = None
    created: float
    ended: float | None = None
    ask: dict[str, Any]
    texts: list[PromptFacts] | None = None
    pieces: list[dict[str, Any]] = Field(default_factory=list)
    next: int = 0
    version: int = 0
    result: dict[str, Any] | None = None


class _Entry:
    """A task and what is behind it; `changed` guards all of it."""

    def __init__(self, kind: Kind, ask: dict[str, Any]) -> None:
        self.task = Task(id=secrets.token_hex(8), kind=kind, created=time.time(), ask=ask)
        self.pieces: list[dict[str, Any]] = []
        self.changed = threading.Condition()
        self.pending: Pending | None = None
        self.cancelled = False

    def seen(self, after: int) -> Task:
        """Return the task as it is now, with the pieces from `after` on."""
        pieces = self.pieces[after:]
        return self.task.model_copy(update={"pieces": pieces, "next": len(self.pieces)})


class InferenceTasks:
    """The inference worker of one server, and the tasks on it.

    Args:
        tell: called from any thread when models came or went.

    Attributes:
        worker: the process that holds models.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self.worker = InferenceWorker(on_end=lambda reason: tell())

    def start(
        self,
        kind: Kind,
        asks: Sequence[Ask],
        shown: dict[str, Any],
        *,
        prepared: Prepared = lambda result: result,
        on_end: Callable[[Task], None] = lambda task: None,
    ) -> Task:
        """Put requests to the inference worker one by one; the last result is the task's.

        Args:
            shown: what was asked, for whoever looks at the task.
            prepared: makes the task's result of the inference worker's.
            on_end: called once with the whole task when it has ended.

        Raises:
            Conflict: something else than loading is asked while no models are loaded.
        """
        state = self.worker.state()
        if kind != "load" and state.pid is None:
            why = f" {state.last_end}" if state.last_end else ""
            raise Conflict(f"No models are loaded. Load some first.{why}")
        entry = _Entry(kind, shown)
        with self._lock:
            self._entries[entry.task.id] = entry
            self._forget_old()
        threading.Thread(
            target=self._work,
            args=(entry, asks, prepared, on_end),
            name=f"inference-{entry.task.id}",
            daemon=True,
        ).start()
        return entry.seen(0)

    def follow(self, task_id: str, after: int, version: int | None, wait: float) -> Task:
        """Return a task, as soon as it has something new, or when the time is up.

        Args:
            after: pieces that are known already.
            version: of the task as it is known already; None for what it is now.
            wait: seconds to wait at most.

        Raises:
            NotFound: it is not known (any more).
        """
        entry = self._entry(task_id)
        with entry.changed:
            known = entry.task.version if version is None else version
            entry.changed.wait_for(
                lambda: (
                    entry.task.version != known
                    or len(entry.pieces) > after
                    or entry.task.state != "running"
                ),
                timeout=wait,
            )
            return entry.seen(after)

    def cancel(self, task_id: str) -> Task:
        """Ask for no more; what was made stays.

        Raises:
            NotFound: it is not known (any more).
        """
        entry = self._entry(task_id)
        with entry.changed:
            entry.cancelled = True
            if entry.pending is not None:
                entry.pending.cancel()
            return entry.seen(0)

    def running(self) -> list[Task]:
        """Return the tasks that have not ended, without their pieces."""
        with self._lock:
            entries = list(self._entries.values())
        return [entry.seen(len(entry.pieces)) for entry in entries if entry.task.state == "running"]

    def end(self, reason: str) -> None:
        """End the inference worker, if there is one; its memory is free afterwards."""
        self.worker.end(reason)

    # --- inside ----------------------------------------------------------------------------

    def _entry(self, task_id: str) -> _Entry:
        with self._lock:
            entry = self._entries.get(task_id)
        if entry is None:
            raise NotFound(
                f"There is no task {task_id!r}. Tasks are cleared when the server restarts and "
                "some time after they finish."
            )
        return entry

    def _forget_old(self) -> None:
        ended = [one for one, entry in self._entries.items() if entry.task.state != "running"]
        pieces = sum(len(self._entries[one].pieces) for one in ended)
        for place, one in enumerate(ended):
            if len(ended) - place <= _REMEMBERED and pieces <= _REMEMBERED_PIECES:
                return
            pieces -= len(self._entries[one].pieces)
            del self._entries[one]

    def _work(
        self, entry: _Entry, asks: Sequence[Ask], prepared: Prepared, on_end: Callable[[Task], None]
    ) -> None:
        try:
            change = self._put_all(entry, asks, prepared)
        except UserError as error:
            change = _failed(error)
        except Exception as fault:
            _logger.exception("inference task %s (%s)", entry.task.id, entry.task.kind)
            change = {"state": "failed", "error": f"It could not be done: {fault}"}
        change["ended"] = time.time()
        try:
            # What is done at the end is done when a page sees the end.
            on_end(entry.seen(0).model_copy(update=change))
        except Exception:
            _logger.exception("after inference task %s (%s)", entry.task.id, entry.task.kind)
        self._change(entry, **change)
        if entry.task.kind == "load":
            self._tell()

    def _put_all(self, entry: _Entry, asks: Sequence[Ask], prepared: Prepared) -> dict[str, Any]:
        """Put the requests, and return what becomes of the task."""
        change: dict[str, Any] = {"state": "done"}
        for ask in asks:
            if isinstance(ask, Load):
                # In a process with limits, so that one that hangs holds up no loaded model.
                for model in ask.models:
                    identify_tokenizer(model.model, again=True)
            last = self._put(entry, ask)
            if "error" in last:
                return _failed(user_error(last["error"]))
            change["result"] = last["result"]
            if last["result"].get("cancelled"):
                change["state"] = "cancelled"
                return change
        change["result"] = prepared(change["result"])
        return change

    def _put(self, entry: _Entry, ask: Ask) -> dict[str, Any]:
        """Put one request, take what comes, and return the last answer."""
        pending = self.worker.begin(ask)
        with entry.changed:
            entry.pending = pending
            if entry.cancelled:
                pending.cancel()
        answer: dict[str, Any] = {}
        try:
            for answer in pending.answers():
                if "piece" in answer:
                    with entry.changed:
                        entry.pieces.append(answer["piece"])
                        entry.changed.notify_all()
                elif "texts" in answer:
                    texts = [PromptFacts(**one) for one in answer["texts"]]
                    self._change(entry, texts=texts)
                elif "progress" in answer:
                    self._change(entry, progress=Progress(**answer["progress"]))
        finally:
            pending.close()
        return answer

    def _change(self, entry: _Entry, **facts: Any) -> None:
        with entry.changed:
            version = entry.task.version + 1
            entry.task = entry.task.model_copy(update={**facts, "version": version})
            entry.changed.notify_all()


def _failed(error: UserError) -> dict[str, Any]:
    problems, findings = list(error.problems), list(error.findings)
    return {"state": "failed", "error": error.message, "problems": problems, "findings": findings}
