"""An endpoint: one process that answers HTTP and keeps the process that holds the model.

    python -P -m cptstudio.serving.endpoint FOLDER LOCK_DESCRIPTOR

FOLDER holds spec.json; LOCK_DESCRIPTOR is the endpoint's held lock. It outlives whoever started
it, does what control.json says, and notes how it ended in exit.json. When it is killed, the guard
of the inference worker ends that one, too. When the worker dies, the endpoint ends with the reason:
nothing is started again by itself.
"""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

from cptstudio.durable import MEBIBYTE, UnusableFileError
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker, Pending
from cptstudio.evaluation.model_requests import Complete
from cptstudio.evaluation.references import ModelReference
from cptstudio.runs.identity import identify
from cptstudio.runs.records import file_mark
from cptstudio.serving import keys, records
from cptstudio.serving.front import Front
from cptstudio.serving.records import Control, Exit, Server, Spec, State
from cptstudio.serving.refusals import RefusedError, bad
from cptstudio.workspace import check_format

FIRST_PORT: Final = 8790
_PORTS: Final = 50
_POLL_SECONDS: Final = 0.1
_TELL_SECONDS: Final = 1.0
_FOREVER: Final = 1e8
"""Seconds: the worker is not to end by itself when nothing is asked."""
_LOG_BYTES: Final = 4 * MEBIBYTE
_logger = logging.getLogger(__name__)


class Endpoint:
    """What is served, from the start to the end.

    Args:
        folder: of the endpoint's records.
    """

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.name = spec.name
        self.created = int(spec.requested)
        self.context = spec.context
        self._folder = folder
        self._private = folder.parent.parent
        self._spec = spec
        self._lock = threading.RLock()
        self._state = State(start=spec.start, state="loading")
        self._told: State | None = None
        self._tell_at = 0.0
        self._ended: Exit | None = None
        self._over = threading.Event()
        self._slots = threading.BoundedSemaphore(spec.at_once)
        self._seconds = 1.0
        self._worker = InferenceWorker(_FOREVER, spec.fast_blas, self._worker_ended)

    # --- what the front asks -----------------------------------------------------------------

    def check_ready(self) -> None:
        """Refuse while the model is not in memory."""
        with self._lock:
            state, ended = self._state, self._ended
        if ended is not None:
            raise _unavailable(f"The endpoint has ended: {ended.reason}", "endpoint_ended")
        if state.state == "loading":
            raise _unavailable("The model is still being loaded. Ask again soon.", "loading", True)
        if state.state == "unloaded":
            raise _unavailable(
                f"The model is not in memory: {state.reason} Load it again with `cpt-studio "
                "endpoints load`, or on the page Models.",
                "model_unloaded",
            )

    def check_chat(self) -> None:
        """Refuse a chat where the model has no chat template."""
        if not self._state.chat:
            raise bad(
                f"{self.name} has no chat template, as base models have none: send raw text to "
                "/v1/completions.",
                "messages",
                "no_chat_template",
            )

    def is_key(self, given: str) -> bool:
        """Whether this is the workspace's key."""
        return keys.is_key(self._private, given)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count a request that is answered within; refuse where too many are.

        Raises:
            RefusedError: as many are under way as may be.
        """
        if not self._slots.acquire(blocking=False):
            wait = max(1, round(self._seconds))
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._spec.at_once} requests are under way, which is the most at once. Ask "
                f"again in about {wait} s.",
                "too_many_requests",
                headers={"Retry-After": str(wait)},
            )
        began = time.monotonic()
        self._count(requests=1, under_way=1)
        try:
            yield
        finally:
            self._seconds = 0.7 * self._seconds + 0.3 * (time.monotonic() - began)
            self._count(under_way=-1)
            self._slots.release()

    def begin(self, ask: Complete) -> Pending:
        """Ask the inference worker, which is there.

        Raises:
            RefusedError: it is not, since just now.
        """
        with self._lock:
            self.check_ready()
            return self._worker.begin(ask)

    def made(self, tokens: int) -> None:
        """Count tokens."""
        self._count(tokens=tokens)

    def _count(self, requests: int = 0, under_way: int = 0, tokens: int = 0) -> None:
        with self._lock:
            now = self._state
            self._state = now.model_copy(
                update={
                    "requests": now.requests + requests,
                    "under_way": now.under_way + under_way,
                    "tokens": now.tokens + tokens,
                    "last_request": time.time(),
                }
            )

    # --- the model ---------------------------------------------------------------------------

    def load(self) -> None:
        """Bring the model into memory, in a thread of its own."""
        with self._lock:
            if self._ended is not None:
                return
            self._change(state="loading", reason=None)
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def _load(self) -> None:
        spec = self._spec
        adapter = Path(spec.adapter) if spec.adapter else None
        reference = ModelReference(spec.name, Path(spec.model), adapter)
        _logger.info("loading %s", spec.label)
        began = time.monotonic()
        try:
            found = self._worker.load([reference])
        except UserError as error:
            # One that was unloaded meanwhile, or whose worker died, has been told already.
            if self._state.state == "loading":
                self.end(False, f"The model could not be loaded: {error}")
            return
        (model,) = found["models"]
        with self._lock:
            if self._state.state != "loading":
                return
            self._change(
                state="ready",
                chat=model["chat"],
                memory=found["memory_active"],
                worker=self._worker.state().pid,
            )
        _logger.info("ready after %.1f s", time.monotonic() - began)

    def unload(self, reason: str) -> None:
        """Take the model out of memory; what is under way breaks off, and says why."""
        with self._lock:
            if self._state.state == "unloaded" or self._ended is not None:
                return
            self._change(state="unloaded", reason=reason, memory=None, worker=None)
        self._worker.end(reason)
        _logger.info("unloaded: %s", reason)

    def _worker_ended(self, reason: str) -> None:
        """Called from a thread of the worker, before its requests are told."""
        with self._lock:
            wanted = self._state.state == "unloaded" or self._ended is not None
        if not wanted:
            self.end(False, f"The process that held the model has ended: {reason}")

    def _change(self, **changes: object) -> None:
        self._state = self._state.model_copy(update=changes)
        self._tell_at = 0.0

    # --- from start to end -------------------------------------------------------------------

    def end(self, stopped: bool, reason: str) -> None:
        """End with this reason, the first one of several."""
        with self._lock:
            if self._ended is None:
                self._ended = Exit(
                    start=self._spec.start, stopped=stopped, reason=reason, ended=time.time()
                )
        self._over.set()

    def serve(self) -> None:
        """Answer until the end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end(True, "Stopped."))
        try:
            front = self._listen()
        except UserError as error:
            self.end(False, str(error))
            self._note_end()
            return
        me = identify(os.getpid())
        assert me is not None
        server = Server(
            start=self._spec.start,
            pid=me.pid,
            started_at=me.start,
            boot=me.boot,
            port=front.port,
            started=time.time(),
        )
        self._tell()
        records.write(self._folder / records.SERVER, server)
        _logger.info("listening on http://%s:%d/v1", records.HOST, front.port)
        threading.Thread(target=front.serve_forever, name="front", daemon=True).start()
        self.load()
        control = _ControlReader(self._folder, self._spec.start)
        while not self._over.wait(_POLL_SECONDS):
            self._obey(control.news())
            if not self._folder.is_dir():
                self.end(True, "Its workspace was deleted or moved.")
            front.close_slow()
            self._tell()
        # Nobody comes in any more, and what is under way is told why.
        front.socket.close()
        assert self._ended is not None
        self._worker.end(self._ended.reason)
        self._await_answers()
        self._note_end()

    def _listen(self) -> Front:
        asked = self._spec.port
        ports = [asked] if asked is not None else range(FIRST_PORT, FIRST_PORT + _PORTS)
        for port in ports:
            try:
                return Front(port, self)
            except OSError as error:
                _logger.info("port %d: %s", port, error.strerror)
        if asked is not None:
            raise UserError(f"Port {asked} cannot be had: another program uses it. Choose another.")
        raise UserError(
            f"All ports from {FIRST_PORT} to {FIRST_PORT + _PORTS - 1} are in use. Choose another."
        )

    def _obey(self, control: Control | None) -> None:
        if control is None:
            return
        if control.wanted == "stop":
            self.end(True, control.reason or "Stopped.")
        elif control.wanted == "unload":
            self.unload(control.reason or "It was unloaded.")
        elif self._state.state == "unloaded":
            self.load()

    def _await_answers(self) -> None:
        """Wait a little until those who wait have been told."""
        until = time.monotonic() + 2.0
        while self._state.under_way and time.monotonic() < until:
            time.sleep(0.02)

    def _tell(self) -> None:
        """Write down what is done now, where it is something else than before."""
        with self._lock:
            state = self._state
            if state is self._told or time.monotonic() < self._tell_at:
                return
            self._told, self._tell_at = state, time.monotonic() + _TELL_SECONDS
        try:
            records.write(self._folder / records.STATE, state, lasting=False)
        except OSError as error:
            # A disk that is full is no reason to answer no more.
            _logger.warning("%s cannot be written: %s", records.STATE, error.strerror)

    def _note_end(self) -> None:
        assert self._ended is not None
        _logger.info("ended: %s", self._ended.reason)
        try:
            records.write(self._folder / records.EXIT, self._ended)
        except OSError as error:
            _logger.warning("%s cannot be written: %s", records.EXIT, error.strerror)


class _ControlReader:
    """Reads control.json when it has changed."""

    def __init__(self, folder: Path, start: str) -> None:
        self._path = folder / records.CONTROL
        self._start = start
        self._seen: str | None = None

    def news(self) -> Control | None:
        """What is wanted since the last look, or None."""
        mark = file_mark(self._path)
        if mark is None or mark == self._seen:
            return None
        self._seen = mark
        try:
            control = records.read(self._path, Control)
        except UnusableFileError as error:
            _logger.warning("%s", error)
            return None
        return control if control is not None and control.start == self._start else None


def _unavailable(message: str, code: str, again: bool = False) -> RefusedError:
    # The official client tries again by itself, which is of no use where it will not help.
    headers = {} if again else {"x-should-retry": "false"}
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, code, headers=headers)


def main(arguments: list[str]) -> int:
    """Run the endpoint; returns its exit status."""
    folder, lock_descriptor = Path(arguments[0]), int(arguments[1])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Inherited by this process on purpose, and by nothing else: it is the proof of life.
    fcntl.fcntl(lock_descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    handler = logging.handlers.RotatingFileHandler(
        folder / records.LOG, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        # <workspace>/.cpt-studio/endpoints/<id>
        check_format(folder.parent.parent.parent)
        spec = records.read(folder / records.SPEC, Spec)
    except UserError as error:
        _logger.error("%s", error)
        return 1
    if spec is None:
        _logger.error("There is no %s.", folder / records.SPEC)
        return 1
    Endpoint(folder, spec).serve()
    return 0


if __name__ == "__main__":
    # Threads that still answer hold nothing that matters.
    status = main(sys.argv[1:])
    logging.shutdown()
    os._exit(status)
