"""The server over TLS: HTTP and WebSocket. The certificate is for the tests alone."""

from __future__ import annotations

import json
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import websocket

from cptstudio.web.serve.embedded_gunicorn import THREADS
from tests.web.server_process import PATIENCE, RunningServer, free_port, wait_for
from tests.web.silent_connections import assert_answers_beside

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parent / "fixtures"
CERTIFICATE, KEY = FIXTURES / "localhost.pem", FIXTURES / "localhost.key"


def knows_us(request: urllib.request.Request, context: ssl.SSLContext) -> bool:
    """Whether the session is answered."""
    with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
        return bool(json.load(answer)["session"])


def test_pages_and_live_updates_over_tls(tmp_path: Path) -> None:
    port = free_port()
    options = ("--certfile", str(CERTIFICATE), "--keyfile", str(KEY))
    server = RunningServer(tmp_path, port, *options)
    try:
        wait_for(lambda: f"CPT Studio is at https://127.0.0.1:{port}" in server.text, "the start")
        context = ssl.create_default_context(cafile=CERTIFICATE)
        origin = f"https://127.0.0.1:{port}"
        page = (tmp_path / ".cpt-studio" / "open.html").read_text()
        code = re.search(r'name="code" value="([^"]+)"', page)
        assert code and f'action="{origin}/enter"' in page
        form = urllib.parse.urlencode({"code": code[1]}).encode()
        with urllib.request.urlopen(f"{origin}/enter", form, PATIENCE, context=context) as answer:
            cookie = answer.headers["Set-Cookie"]
            secret = re.search(r'data-secret="([0-9a-f]+)"', answer.read().decode())
        assert secret
        assert "; Secure" in cookie
        cookie = cookie.partition(";")[0]
        headers = {"Cookie": cookie, "X-CPT-Studio-Session": secret[1]}
        request = urllib.request.Request(f"{origin}/api/session", headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
            assert json.load(answer)["session"] in cookie
        live = websocket.create_connection(
            f"wss://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket",
            timeout=PATIENCE,
            header=headers,
            origin=origin,
            sslopt={"context": context},
        )
        assert str(live.recv()).startswith("0{")
        live.send("40")
        assert str(live.recv()).startswith("40{")
        live.send('421["watch",{"run":"there-is-none","after":0}]')
        while not (received := str(live.recv())).startswith("431"):
            pass
        assert "error" in received
        live.close()
        # Half a handshake keeps no thread, either.
        assert_answers_beside(
            lambda: socket.create_connection(("127.0.0.1", port)),
            b"\x16\x03\x01",
            THREADS + 6,
            lambda: knows_us(request, context),
        )
        assert "Traceback" not in server.text
    finally:
        server.stop()
