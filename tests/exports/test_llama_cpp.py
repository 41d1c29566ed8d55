"""What is done where llama.cpp's server closes a connection, and where it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.exports.llama_cpp import LlamaServer


class _ClosesIdleConnections(BaseHTTPRequestHandler):
    """Answers, and closes the connection without saying so, as after an idle time."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"tokens": [1, 2]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    started = subprocess.Popen(waits, stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.wait()


def test_a_closed_connection_is_opened_again_and_an_ended_server_is_told(
    process: subprocess.Popen[bytes],
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _ClosesIdleConnections) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        asked = LlamaServer(port, "key", process, ["its last line"], Path("mine.gguf"))
        for _ in range(3):
            assert asked.tokens_of("x", special=True) == [1, 2]
        server.shutdown()
    with pytest.raises(UserError, match=r"did not answer about mine\.gguf"):
        asked.tokens_of("x", special=True)
    process.kill()
    process.wait()
    with pytest.raises(UserError, match=r"ended while it worked with mine\.gguf\. its last line"):
        asked.tokens_of("x", special=True)
