"""A real server that answers as endpoints of others may: slowly, wrongly, never, with malice.

What it does is chosen by the model that a request names, so that one server does for all tests.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


def said(text: Any = "Fine.", finish: str = "stop", **more: Any) -> dict[str, Any]:
    """Return an answer as an endpoint should give it."""
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
        **more,
    }


@dataclass
class OddServer:
    """What it was asked, by model; `elsewhere` counts requests to its other port."""

    port: int = 0
    key: str = "sk-not-a-real-key-0123456789"
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, connection: socket.socket) -> None:
        # A connection ends from either side.
        with connection, suppress(OSError):
            while (request := _read(connection)) is not None:
                headers, body = request
                self.keys.append(headers.get("authorization", ""))
                self.bodies.append(body)
                model = str(body["model"])
                self.asked[model] += 1
                try:
                    if not self._do(connection, model, self.asked[model], body):
                        return
                except OSError:
                    self.left.set()
                    return

    def send_json(self, to: socket.socket, answer: object) -> bool:
        """Answer with status 200; the connection stays."""
        return _send(to, 200, json.dumps(answer).encode())

    def _do(self, to: socket.socket, model: str, count: int, body: dict[str, Any]) -> bool:
        """Answer as the model's name says; returns whether the connection stays."""
        if model == "hangs":
            while to.recv(4096):
                pass
            self.left.set()
            return False
        if model == "drips":
            to.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
            # The other end leaves when its time is over.
            while not select.select([to], [], [], 0.02)[0]:
                to.sendall(b"a")
            self.left.set()
            return False
        if model == "headers":
            to.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Bomb: " + b"a" * 4_000_000)
            return False
        if model == "huge":
            to.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                to.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        if model == "compressed":
            return _send(to, 200, b"\x1f\x8b\x08", ("Content-Encoding", "gzip"))
        if model == "cut":
            to.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
            return False
        if model == "no-http":
            to.sendall(b"220 mail.example.com ESMTP\r\n")
            return False
        if model == "redirects":
            return _send(to, 307, b"", ("Location", f"http://localhost:{self.port}/v1/elsewhere"))
        if model == "limited" and count < 3:
            return _send(to, 429, _error("slow down"), ("Retry-After", "0"))
        if model == "limited-long":
            return _send(to, 429, _error("quota"), ("Retry-After", "86400"))
        if model == "busy-once" and count == 1:
            return _send(to, 503, b"<html>busy</html>")
        if model == "strict":
            for name in ("max_tokens", "seed"):
                if name in body:
                    other = "; use max_completion_tokens" if name == "max_tokens" else ""
                    return _send(to, 400, _error(f"Unsupported parameter: '{name}'{other}."))
        status, answer = _WRONG.get(
            model, (200, said(f"You said {body['messages'][-1]['content']}"))
        )
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return _send(to, status, text.replace(b"@KEY@", self.key.encode()))


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error"}}).encode()


_WRONG: dict[str, tuple[int, Any]] = {
    "no-json": (200, b"<html>Welcome to the hotel</html>"),
    "deep": (200, b"[" * 100_000),
    "nothing": (200, {"choices": []}),
    "number": (200, said(17)),
    "list": (200, [1, 2]),
    "no-usage": (200, {**said("Hm."), "usage": {"prompt_tokens": -5, "completion_tokens": "7"}}),
    "surrogate": (200, b'{"choices":[{"message":{"content":"a\\ud800\\u0000b"}}]}'),
    "filtered": (200, said(None, "content_filter")),
    "cut-off": (200, said("and so", "length")),
    "echo": (200, said("Your key is @KEY@, thanks.")),
    "echo-error": (500, _error("bad key @KEY@ \x1b[31m at http://x/?k=@KEY@")),
    "unknown-key": (401, _error("Incorrect API key provided: @KEY@")),
    "unknown-model": (404, _error("no such model")),
    "too-long": (400, _error("This model's maximum context is 8 tokens")),
}


def _send(to: socket.socket, status: int, body: bytes, *headers: tuple[str, str]) -> bool:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Set-Cookie: a=b; Path=/"]
    lines += [f"{name}: {value}" for name, value in headers]
    to.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return True


def _read(connection: socket.socket) -> tuple[dict[str, str], dict[str, Any]] | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    headers = {}
    for line in head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    assert "cookie" not in headers
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return headers, json.loads(body)


@contextmanager
def odd_server(server: OddServer | None = None) -> Iterator[OddServer]:
    """Run one until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = server or OddServer()
    server.port = listening.getsockname()[1]
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=server.answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        # Shut down first: a thread that waits in accept would keep the port.
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for one in connections:
            one.close()
