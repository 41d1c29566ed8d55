"""The endpoint's HTTP side: who may ask, and what of OpenAI's API is answered.

Only this machine's programs that know the key may ask. Pages of browsers may not: whatever
carries an Origin is refused, and no answer names one, so that no page reads any; a Host header
other than the loopback address is refused, so that no foreign name leads here (DNS rebinding).
"""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any, Final, Protocol
from urllib.parse import unquote

from cptstudio.evaluation.inference import Pending
from cptstudio.evaluation.model_requests import Complete
from cptstudio.serving.answers import Answer, ChatAnswer, CompletionAnswer
from cptstudio.serving.bodies import AnyBody, ChatBody, CompletionBody, read_body
from cptstudio.serving.exchange import REQUEST_SECONDS, Exchange, watched
from cptstudio.serving.records import HOST
from cptstudio.serving.refusals import RefusedError, bad

_CONNECTIONS: Final = 64
_FORWARDED: Final = ("forwarded", "via")
_logger = logging.getLogger(__name__)


class Model(Protocol):
    """What is served, and what counts its requests."""

    name: str
    created: int
    context: int

    def check_ready(self) -> None:
        """Refuse while the model is not in memory."""

    def check_chat(self) -> None:
        """Refuse a chat where the model has no chat template."""

    def is_key(self, given: str) -> bool:
        """Whether this is the key."""

    def slot(self) -> Any:
        """Return a context in which one request is answered; refuse where too many are."""

    def begin(self, ask: Complete) -> Pending:
        """Ask the process that holds the model."""

    def made(self, tokens: int) -> None:
        """Count tokens."""


class Front(ThreadingHTTPServer):
    """Listens on the loopback address.

    Raises:
        OSError: the port cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, model: Model) -> None:
        self.model = model
        self._open = threading.BoundedSemaphore(_CONNECTIONS)
        self._lock = threading.Lock()
        self._coming: dict[socket.socket, float] = {}
        super().__init__((HOST, port), _Handler)
        self.port = self.server_address[1]
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}

    def server_bind(self) -> None:
        """Bind without asking anybody for the name of 127.0.0.1, as http.server would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; where too many are open, the next ones wait to be accepted."""
        self._open.acquire()
        with self._lock:
            self._coming[request] = time.monotonic() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_come(request)
            self._open.release()

    def has_come(self, request: socket.socket) -> None:
        """Note that a request was read to its end."""
        with self._lock:
            self._coming.pop(request, None)

    def close_slow(self) -> None:
        """Give up connections whose request does not come."""
        with self._lock:
            late = [one for one, until in self._coming.items() if time.monotonic() > until]
            for one in late:
                del self._coming[one]
        for one in late:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what a request met; who went away is no error."""
        _logger.debug("a connection ended", exc_info=True)


class _Handler(Exchange):
    server: Front

    def __getattr__(self, name: str) -> Any:
        """Return what the standard library calls for a method, such as `do_POST`: any of them."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    # --- who may ask -------------------------------------------------------------------------

    def _answer(self) -> None:
        try:
            self._check_sender()
            path = self.path.partition("?")[0]
            if path != "/health":
                self._check_key()
            self._route(path)()
        except RefusedError as refused:
            self.refuse(refused)

    def _route(self, path: str) -> Callable[[], None]:
        known: dict[str, tuple[str, Callable[[], None]]] = {
            "/health": ("GET", self._health),
            "/v1/models": ("GET", self._models),
            "/v1/completions": ("POST", lambda: self._generate(CompletionBody)),
            "/v1/chat/completions": ("POST", lambda: self._generate(ChatBody)),
        }
        if path.startswith("/v1/models/"):
            name = unquote(path.removeprefix("/v1/models/"))
            known[path] = ("GET", lambda: self._one_model(name))
        if path not in known:
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"There is nothing at this path. There are: {', '.join(known)}.",
                "not_found",
            )
        method, answer = known[path]
        if self.command != method:
            raise RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"Use {method} for {path}.",
                "method_not_allowed",
                headers={"Allow": method},
            )
        return answer

    def _check_sender(self) -> None:
        self.unread = self.body_length() or 0
        if not self.path.startswith("/"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The path has to begin with /.", "bad_path")
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].strip().lower() not in self.server.hosts:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"This endpoint is http://{HOST}:{self.server.port} and has no other name: use "
                "that address.",
                "wrong_host",
            )
        for name in self.headers:
            if name.lower().startswith("x-forwarded") or name.lower() in _FORWARDED:
                raise RefusedError(
                    HTTPStatus.FORBIDDEN,
                    f"The request came through a proxy ({name}): ask the endpoint itself.",
                    "proxied",
                )
        fetched = self.headers.get("Sec-Fetch-Site", "none")
        if self.headers.get("Origin") is not None or fetched != "none":
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "Pages of a browser may not ask this endpoint. Ask from a program.",
                "browser_page",
            )

    def _check_key(self) -> None:
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and self.server.model.is_key(given.strip()):
            return
        what = "The key is wrong" if given else "A key is needed"
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            f"{what}: send the header `Authorization: Bearer KEY`. `cpt-studio endpoints key` "
            "prints it, and the page Models shows it.",
            "invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    # --- what is asked -----------------------------------------------------------------------

    def _health(self) -> None:
        self.server.model.check_ready()
        self.answer_with(HTTPStatus.OK, {"status": "ok"})

    def _models(self) -> None:
        self.answer_with(HTTPStatus.OK, {"object": "list", "data": [self._model()]})

    def _one_model(self, name: str) -> None:
        self._check_model(name)
        self.answer_with(HTTPStatus.OK, self._model())

    def _model(self) -> dict[str, Any]:
        model = self.server.model
        return {
            "id": model.name,
            "object": "model",
            "created": model.created,
            "owned_by": "cpt-studio",
            "context_length": model.context,
        }

    def _check_model(self, name: str) -> None:
        if name != self.server.model.name:
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"This endpoint serves {self.server.model.name!r} and not {name!r}. Name that "
                "one, or start an endpoint of the other.",
                "model_not_found",
                "model",
            )

    def _generate(self, kind: type[AnyBody]) -> None:
        model = self.server.model
        given = self.read_json()
        self.server.has_come(self.connection)
        body = read_body(kind, given)
        self._check_model(body.model)
        ask = body.complete(model.name, model.context)
        model.check_ready()
        likeliest: int | None
        answer: Answer
        if isinstance(body, ChatBody):
            model.check_chat()
            likeliest = (body.top_logprobs or 0) if body.logprobs else None
            answer = ChatAnswer(model.name, likeliest)
        else:
            assert isinstance(body, CompletionBody)
            answer = CompletionAnswer(model.name, body.logprobs)
        with model.slot():
            pending = model.begin(ask)
            try:
                with watched(self.connection, pending.cancel):
                    if body.stream:
                        told = body.stream_options is not None and body.stream_options.include_usage
                        self._stream(pending, answer, told)
                    else:
                        self._whole(pending, answer)
            finally:
                pending.close()

    def _whole(self, pending: Pending, answer: Answer) -> None:
        for said in pending.answers():
            if "error" in said:
                raise self._refusal_of(said["error"])
            if "piece" in said:
                answer.take(said["piece"])
            if "result" in said and "texts" in said["result"]:
                ends = said["result"]["texts"]
                self._count(ends)
                self.answer_with(HTTPStatus.OK, answer.complete(ends), self._speed(ends))

    def _stream(self, pending: Pending, answer: Answer, tell_usage: bool) -> None:
        for said in pending.answers():
            if "error" in said:
                refused = self._refusal_of(said["error"])
                if not self.answered:
                    raise refused
                # Clients of OpenAI's API raise this as an error of theirs.
                self.event(refused.body)
                self.log_request_end(HTTPStatus.OK, f"broke off: {refused.code}")
            if "texts" in said:
                self.begin_stream()
                for chunk in answer.beginning(len(said["texts"])):
                    self.event(chunk)
            if "piece" in said:
                for chunk in answer.chunks(said["piece"]):
                    self.event(chunk)
            if "result" in said and "texts" in said["result"]:
                ends = said["result"]["texts"]
                self._count(ends)
                if tell_usage:
                    self.event(answer.counted(ends))
                self.write_chunk(b"data: [DONE]\n\n")
                self.write_chunk(b"")
                self.log_request_end(HTTPStatus.OK, self._speed(ends))

    def _refusal_of(self, error: dict[str, Any]) -> RefusedError:
        """Return what the process that holds the model says, or why it is gone, as a refusal."""
        try:
            self.server.model.check_ready()
        except RefusedError as refused:
            return refused
        message = str(error.get("message"))
        fields = [one.get("field") for one in error.get("findings") or () if isinstance(one, dict)]
        if "context" in fields:
            return bad(message, code="context_length_exceeded")
        return bad(message, code="model_refused")

    def _count(self, ends: list[dict[str, Any]]) -> None:
        self.server.model.made(sum(one["tokens"] for one in ends))

    def _speed(self, ends: list[dict[str, Any]]) -> str:
        prompt, made = (sum(one[key] for one in ends) for key in ("prompt_tokens", "tokens"))
        return f"{prompt:,} prompt tokens, {made:,} made"
