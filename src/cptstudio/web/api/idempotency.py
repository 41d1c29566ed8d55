"""A command that is sent twice is done once: `Idempotency-Key`.

The page sends a key of its own with every command. When the answer was lost on the way and the
page asks again with the same key, it gets the first answer again.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import flask

from cptstudio.web.api.http import read_bytes
from cptstudio.web.problems import Conflict, Problem

KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"[A-Za-z0-9_-]{8,128}"
_KEPT_ANSWERS = 1000
_KEPT_SECONDS = 24 * 3600.0
_KEPT_BYTES = 256 * 1024
EXTENSION = "cptstudio-idempotency"


@dataclass
class _Entry:
    fingerprint: str
    begun: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: tuple[bytes, int, list[tuple[str, str]]] | None = None


class Answers:
    """The latest answers to commands, by key, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str, str], _Entry] = OrderedDict()

    def entry(self, key: tuple[str, str, str], fingerprint: str) -> _Entry:
        """The entry of a key; the oldest ones make room."""
        now = time.monotonic()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or now - entry.begun > _KEPT_SECONDS:
                entry = _Entry(fingerprint, now)
                self._entries[key] = entry
                while len(self._entries) > _KEPT_ANSWERS:
                    self._entries.popitem(last=False)
            return entry


def remembered_answer(work: Callable[[], flask.Response], body_limit: int | None) -> flask.Response:
    """Do a command, or give the answer that it gave the first time under this key.

    A second request under a key that is still being worked on waits for the first one. Answers
    of our own faults (5xx) are not kept.

    Args:
        body_limit: greatest size of the body in bytes; None when it is raw bytes, which the
            handler reads, so that two uploads are told apart by their keys alone.

    Raises:
        Problem: the key is malformed, or was used for another command.
    """
    request = flask.request
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return work()
    if re.fullmatch(KEY_PATTERN, key) is None:
        raise Problem(
            f"The header {KEY_HEADER} has to be 8 to 128 letters, digits, '_' or '-'.",
            status=HTTPStatus.BAD_REQUEST,
        )
    answers: Answers = flask.current_app.extensions[EXTENSION]
    digest = hashlib.sha256(request.query_string)
    if body_limit is not None:
        digest.update(read_bytes(body_limit))
    entry = answers.entry((key, request.method, request.path), digest.hexdigest())
    if entry.fingerprint != digest.hexdigest():
        raise Conflict(f"The {KEY_HEADER} {key} was used for another request; use a new one.")
    with entry.lock:
        if entry.answer is not None:
            body, status, headers = entry.answer
            return flask.Response(body, status, headers)
        response = flask.current_app.make_response(_answer_of(work))
        if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and not response.is_streamed:
            body = response.get_data()
            if len(body) <= _KEPT_BYTES:
                entry.answer = (body, response.status_code, list(response.headers.items()))
        return response


def _answer_of(work: Callable[[], flask.Response]) -> flask.Response:
    try:
        return work()
    except Exception as error:
        return flask.current_app.ensure_sync(flask.current_app.handle_user_exception)(error)  # type: ignore[no-any-return]
