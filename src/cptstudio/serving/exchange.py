"""One request and its answer on the wire: read with bounds, written in OpenAI's form, logged."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from cptstudio.durable import MEBIBYTE, dump_json, parse_json
from cptstudio.serving.refusals import RefusedError, bad

BODY_LIMIT: Final = 4 * MEBIBYTE
REQUEST_SECONDS: Final = 30.0
"""Within which a request has to have come, and a client has to take what it is sent."""
_LINGER_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = "5"
_logger = logging.getLogger(__name__)


class Exchange(BaseHTTPRequestHandler):
    """Answers one request of a connection, which is closed then.

    Attributes:
        answered: the answer has begun.
        unread: bytes of the body that were not read.
    """

    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS

    def handle_one_request(self) -> None:
        """Answer, unless the client goes away."""
        self.close_connection = True
        self._began = time.monotonic()
        self.answered = False
        self.unread = 0
        try:
            super().handle_one_request()
        except OSError as error:
            _logger.info("%s: the client went away", type(error).__name__)
        self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the parser of requests refuses."""
        status = HTTPStatus(code)
        self.request_version = "HTTP/1.1"
        self.refuse(RefusedError(status, f"{message or status.phrase}.", "invalid_request"))

    def log_message(self, format: str, *args: Any) -> None:
        """Tell nothing but what `log_request_end` does: a request's line may hold anything."""

    def body_length(self) -> int | None:
        """Bytes of the body as the request says; None where it does not."""
        given = self.headers.get_all("Content-Length") or []
        if len(given) == 1 and given[0].isascii() and given[0].isdigit() and len(given[0]) < 16:
            return int(given[0])
        return None

    def read_json(self) -> Any:
        """Return the body.

        Raises:
            RefusedError: it is none, or too large.
        """
        content = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if content != "application/json":
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "The Content-Type has to be application/json.",
                "unsupported_media_type",
            )
        size = self.body_length()
        if size is None or self.headers.get("Transfer-Encoding") is not None:
            raise RefusedError(
                HTTPStatus.LENGTH_REQUIRED,
                "Say how long the body is, by one Content-Length, and send it in one piece.",
                "length_required",
            )
        if size > BODY_LIMIT:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has {size:,} bytes. Send at most {BODY_LIMIT:,}.",
                "body_too_large",
            )
        data = self.rfile.read(size)
        self.unread = 0
        if len(data) < size:
            raise ConnectionAbortedError
        try:
            return parse_json(data)
        except ValueError:
            raise bad("The body is not JSON in UTF-8.", code="invalid_json") from None

    def answer_with(self, status: HTTPStatus, value: Any, note: str = "", **headers: str) -> None:
        """Send one object."""
        data = dump_json(value).encode()
        self._head(status, "application/json", {"Content-Length": str(len(data)), **headers})
        if self.command != "HEAD":
            self.wfile.write(data)
        self.log_request_end(status, note)

    def refuse(self, refused: RefusedError) -> None:
        """Send a refusal, unless the answer has begun."""
        if self.answered:
            return
        headers = dict(refused.headers)
        if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.setdefault("Retry-After", _RETRY_SECONDS)
        self.answer_with(refused.status, refused.body, refused.code, **headers)
        self._linger()

    def begin_stream(self) -> None:
        """Send the head of server-sent events (WHATWG HTML, section 9.2)."""
        headers = {"Transfer-Encoding": "chunked", "X-Accel-Buffering": "no"}
        self._head(HTTPStatus.OK, "text/event-stream; charset=utf-8", headers)

    def _head(self, status: HTTPStatus, content: str, headers: dict[str, str]) -> None:
        self.answered = True
        self.send_response_only(status)
        usual = {
            "Content-Type": content,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
        }
        for name, value in {**usual, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def event(self, value: Any) -> None:
        """Send one event."""
        self.write_chunk(b"data: " + dump_json(value).encode() + b"\n\n")

    def write_chunk(self, data: bytes) -> None:
        """Write one chunk (RFC 9112, section 7.1); an empty one is the last."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _linger(self) -> None:
        """Take what of a refused request is still on its way, so that its answer arrives."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            left = min(self.unread, 2 * BODY_LIMIT)
            until = time.monotonic() + _LINGER_SECONDS
            while left > 0 and time.monotonic() < until:
                data = self.connection.recv(min(left, 65536))
                if not data:
                    return
                left -= len(data)

    def log_request_end(self, status: HTTPStatus, note: str = "") -> None:
        """Note a request: never its prompt, its text or its key."""
        path = self.path.partition("?")[0][:100] if getattr(self, "path", None) else "-"
        seconds = time.monotonic() - self._began
        _logger.info(
            "%s %r %d, %.2f s%s",
            self.command or "-",
            path,
            status,
            seconds,
            f", {note}" if note else "",
        )


@contextmanager
def watched(connection: socket.socket, gone: Callable[[], None]) -> Iterator[None]:
    """Have something done when the client goes away within."""
    over = threading.Event()

    def watch() -> None:
        waiting = select.poll()
        waiting.register(connection, select.POLLIN)
        while not over.is_set():
            try:
                if not waiting.poll(_WATCH_SECONDS * 1000):
                    continue
                if connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    return  # It has sent more than its request: it is there, and not waited for.
            except BlockingIOError:
                continue
            except OSError:
                pass
            gone()
            return

    thread = threading.Thread(target=watch, name="client", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
