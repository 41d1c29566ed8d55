"""A browser that comes through a tunnel to another port, or through a proxy with TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.web.server_process import PATIENCE, RunningServer, free_port, running_server

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)
FIXTURES = Path(__file__).parents[1] / "fixtures"


def pipe(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(one, socket.SHUT_RDWR)


@contextmanager
def forwarder(
    to: int, begin: Callable[[socket.socket], socket.socket], head: bytes
) -> Iterator[int]:
    """Listens on a port of its own, and passes connections on to another one.

    Args:
        to: the port.
        begin: what is done with a connection first.
        head: put into the first request of each connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            near = begin(connection)
            far = socket.create_connection(("127.0.0.1", to))
            line = b""
            while head and not line.endswith(b"\n") and (byte := near.recv(1)):
                line += byte
            far.sendall(line + head)
            threading.Thread(target=pipe, args=(far, near), daemon=True).start()
            pipe(near, far)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=pass_on, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def sign_in_and_go_on(browser: Browser, server: RunningServer, origin: str) -> str:
    """The whole way in by the token; returns the cookie's attributes that were set."""
    context = browser.new_context(reduced_motion="reduce", ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{origin}/settings")
    page.get_by_label("Token", exact=True).fill(
        (server.workspace / ".cpt-studio/token").read_text()
    )
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()
    page.get_by_role("link", name="Data", exact=True).click()
    expect(page.get_by_text("No corpus yet")).to_be_visible()
    cookie = next(one for one in context.cookies() if one["name"] == f"cpt-studio-{server.port}")
    context.close()
    return f"{cookie['sameSite']} {'secure' if cookie['secure'] else 'plain'}"


def test_a_tunnel_and_a_proxy(browser: Browser, tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(FIXTURES / "localhost.pem", FIXTURES / "localhost.key")
    port = free_port()
    said = b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: evil\r\n"
    with (
        forwarder(port, lambda connection: connection, b"") as tunnel,
        forwarder(
            port, lambda connection: tls.wrap_socket(connection, server_side=True), said
        ) as proxy,
    ):
        options = (
            "--allow-host",
            f"127.0.0.1:{tunnel}",
            "--public-url",
            f"https://localhost:{proxy}/",
        )
        with running_server(tmp_path, "--no-detect", *options, port=port) as server:
            through_tunnel = sign_in_and_go_on(browser, server, f"http://127.0.0.1:{tunnel}")
            assert through_tunnel == "Strict plain"
            through_proxy = sign_in_and_go_on(browser, server, f"https://localhost:{proxy}")
            assert through_proxy == "Strict secure"
            # What a proxy says counts for its own address alone.
            forwarded = {"X-Forwarded-Proto": "https"}
            assert server.request("GET", "/", headers=forwarded).status == 400
            unencrypted = {"Host": f"localhost:{proxy}", "X-Forwarded-Proto": "http"}
            assert server.request("GET", "/", headers=unencrypted).status == 403
        # Without the options, the refusals say which of them are needed.
        with running_server(tmp_path, "--no-detect", port=port) as server:
            named = {"Host": f"127.0.0.1:{tunnel}"}
            refused = server.request("GET", "/", headers=named)
            assert refused.status == 403 and "--allow-host NAME:PORT" in refused.json["detail"]
            refused = server.request("GET", "/", headers=forwarded)
            assert refused.status == 400 and "--public-url" in refused.json["detail"]
