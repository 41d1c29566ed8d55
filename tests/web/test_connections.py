"""The server's 64 threads under many, slow and odd connections; Socket.IO's limits."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from cptstudio.web.security.refusals import SOCKET_LIMIT
from cptstudio.web.serve.embedded_gunicorn import THREADS
from cptstudio.web.serve.patient_worker import MOST_ARRIVING
from tests.web.server_process import (
    FORM,
    PATIENCE,
    Answer,
    RunningServer,
    SignedIn,
    running_server,
    wait_for,
)
from tests.web.silent_connections import assert_answers_beside, is_open

pytestmark = pytest.mark.slow

SOCKETS = 44
PATH = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("workspace")) as running:
        # The API is made with the first request for it.
        assert running.api(running.sign_in(), "GET", "/api/session").status == 200
        yield running


@pytest.fixture
def cookie(server: RunningServer) -> SignedIn:
    return server.sign_in()


class Page:
    """A WebSocket that speaks as much Socket.IO as is needed."""

    def __init__(self, server: RunningServer, cookie: SignedIn, origin: str | None = None) -> None:
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{server.port}{PATH}",
            timeout=PATIENCE,
            header=cookie.headers,
            origin=origin or server.origin,
        )
        assert self.receive().startswith("0{")
        self.socket.send("40")
        self.asked = 0

    def receive(self) -> str:
        received = self.socket.recv()
        if not received:
            raise websocket.WebSocketConnectionClosedException
        return str(received)

    def connected(self) -> bool:
        return self.until("40").startswith("40{")

    def until(self, start: str) -> str:
        while not (received := self.receive()).startswith(start):
            if received == "2":
                self.socket.send("3")
        return received

    def ask(self, event: str, data: Any) -> Any:
        """Send an event and wait for its acknowledgement."""
        self.asked += 1
        self.socket.send(f"42{self.asked}" + json.dumps([event, data]))
        return json.loads(self.until(f"43{self.asked}").removeprefix(f"43{self.asked}"))[0]

    def close(self) -> None:
        self.socket.close()


def connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def exchange(server: RunningServer, data: bytes) -> bytes:
    """Send bytes and read until the server closes the connection."""
    with connect(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def is_alive(server: RunningServer, cookie: SignedIn) -> bool:
    return server.api(cookie, "GET", "/api/session").status == 200


@pytest.mark.parametrize("end", ["end", "end-all"])
def test_sockets_and_polls_of_an_ended_session_are_cut(server: RunningServer, end: str) -> None:
    ending, other = server.sign_in(), server.sign_in()
    page, others = Page(server, ending), Page(server, other)
    assert page.connected() and others.connected()
    assert "error" in page.ask("watch", {"run": "there-is-none", "after": 0})
    polling = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads(server.api(ending, "GET", polling).body[1:])["sid"]
    with connect(server) as poll:
        host = f"Host: 127.0.0.1:{server.port}"
        head = f"GET {polling}&sid={sid} HTTP/1.1\r\n{host}\r\n{ending.lines}\r\n"
        poll.sendall(head.encode())
        assert server.api(ending, "POST", f"/api/session/{end}").status == 204
        # Both end at once, and not only with the next ping.
        with pytest.raises((websocket.WebSocketException, OSError)):
            while True:
                page.receive()
        # On a busy machine it may not have been read before.
        assert poll.recv(1000)[:12] in (b"", b"HTTP/1.1 401")
    assert server.api(ending, "GET", f"{polling}&sid={sid}").status == 401
    with pytest.raises(websocket.WebSocketBadStatusException):
        Page(server, ending)
    if end == "end":
        assert "error" in others.ask("watch", {"run": "there-is-none", "after": 0})
        others.close()
    else:
        with pytest.raises((websocket.WebSocketException, OSError)):
            while True:
                others.receive()


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://127.0.0.1:1"])
def test_web_socket_of_another_page(server: RunningServer, cookie: SignedIn, origin: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException):
        Page(server, cookie, origin)


def test_hostile_messages_end_at_most_their_own_socket(
    server: RunningServer, cookie: SignedIn
) -> None:
    deep = "[" * 5000
    for message in (
        *("4", "40", "9", "", "42", "42[", '42["watch"]', '42["watch",null]', "45-", "451-[]"),
        *(f"42{deep}", '42["watch",{"run":"../../etc/passwd"}]', '42["connect"]', "\x00"),
        *('42["watch",{"run":{"a":1}}]', '42["watch",{"run":"\\ud800"}]', '42["disconnect"]'),
        *('42["watch",{"run":"a","after":1e999}]', '42["watch",[1,2,3],4,5]', '4299999999999["x"]'),
        *("42" + "x" * (SOCKET_LIMIT + 10), "4" * 200, '42/other,["watch",{}]', "b4AAAA"),
    ):
        page = Page(server, cookie)
        assert page.connected()
        with contextlib.suppress(OSError, websocket.WebSocketException):
            page.socket.send(message)
        page.close()
        assert is_alive(server, cookie), message[:40]
    assert "Traceback" not in server.text


def test_a_message_that_is_too_large_closes_its_socket(
    server: RunningServer, cookie: SignedIn
) -> None:
    page = Page(server, cookie)
    assert page.connected()
    page.socket.send('42["watch",{"run":"' + "x" * SOCKET_LIMIT + '"}]')
    with pytest.raises((OSError, websocket.WebSocketException)):
        while True:
            page.receive()


def test_pages_beyond_the_limit_are_told_and_fall_back_to_polling(
    server: RunningServer, cookie: SignedIn
) -> None:
    pages: list[Page] = []

    def opened_one_more() -> bool:
        try:
            pages.append(Page(server, cookie))
        except websocket.WebSocketBadStatusException:
            # A socket of the test before is just being closed.
            return False
        return True

    headers = {
        **cookie.headers,
        "Origin": server.origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    try:
        # On a slow machine the first ones may be given up as dead while the last are opened.
        for _ in range(SOCKETS):
            wait_for(opened_one_more, "a place")

        def refused() -> Answer | None:
            answer = server.request("GET", PATH, headers=headers)
            if answer.status != 503:
                opened_one_more()
                return None
            return answer

        assert "Close some" in wait_for(refused, "the limit").json["detail"]
        polling = "/socket.io/?EIO=4&transport=polling"
        opened = server.api(cookie, "GET", polling)
        assert opened.status == 200
        sid = json.loads(opened.body[1:])["sid"]
        poll = {**cookie.headers, "Origin": server.origin, "Content-Type": "text/plain"}
        said = server.request("POST", f"{polling}&sid={sid}", b"40", poll)
        assert said.status == 200
        assert server.api(cookie, "GET", f"{polling}&sid={sid}").body.startswith(b"40{")
        assert is_alive(server, cookie)
    finally:
        for page in pages:
            page.close()

    wait_for(opened_one_more, "a place of a closed socket")
    pages[-1].close()


def test_pipelined_requests_are_all_answered_in_order(
    server: RunningServer, cookie: SignedIn
) -> None:
    request = (
        f"GET /api/session HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{cookie.lines}\r\n"
    ).encode()
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answers = exchange(server, request * 49 + last)
    assert answers.count(b"HTTP/1.1 200 OK") == 50
    assert answers.count(b'"boot":"') == 50


def test_requests_at_once_over_kept_connections(server: RunningServer, cookie: SignedIn) -> None:
    import http.client

    problems: list[object] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        try:
            for _ in range(5):
                connection.request("GET", "/api/session", headers=cookie.headers)
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    problems.append(response.status)
        except OSError as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2 * THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


HALVES = {
    "nothing": "",
    "half-a-line": "GET / HT",
    "half-the-headers": "GET / HTTP/1.1\r\nHost: {host}\r\n",
    "half-a-body": "POST /enter HTTP/1.1\r\nHost: {host}\r\nContent-Length: 90\r\n"
    f"Content-Type: {FORM}\r\n\r\ncode=",
    "a-second-half": "GET / HTTP/1.1\r\nHost: {host}\r\n\r\nGET / HTTP/1.1\r\n",
}


@pytest.mark.parametrize("kind", HALVES)
def test_connections_that_fall_silent_keep_no_thread(
    server: RunningServer, cookie: SignedIn, kind: str
) -> None:
    half = HALVES[kind].format(host=f"127.0.0.1:{server.port}").encode()
    assert_answers_beside(
        lambda: connect(server),
        half,
        THREADS + 6,
        lambda: all(is_alive(server, cookie) for _ in range(5)),
    )


def test_many_silent_connections_give_way_to_the_owner(
    server: RunningServer, cookie: SignedIn
) -> None:
    kept: list[int] = []

    def some_are_kept(silent: list[socket.socket]) -> bool:
        kept[:] = [number for number, one in enumerate(silent) if is_open(one)]
        return bool(kept)

    assert_answers_beside(
        lambda: connect(server),
        b"",
        600,
        lambda: all(is_alive(server, cookie) for _ in range(5)),
        some_are_kept,
    )
    # The newest wait for their requests, the oldest have made room.
    assert len(kept) <= MOST_ARRIVING
    assert kept == list(range(600 - len(kept), 600))


def test_clients_that_do_not_hang_up_hold_nobody_up(
    server: RunningServer, cookie: SignedIn
) -> None:
    last = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n"
    clients = [connect(server) for _ in range(THREADS)]
    try:
        for connection in clients:
            connection.sendall(last.encode())
        assert is_alive(server, cookie)
        for connection in clients:
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        for connection in clients:
            connection.close()


@pytest.mark.parametrize(
    "chunks",
    [
        "-1\r\nx\r\n",
        "-1",
        "zz\r\n",
        "\r\n",
        "0x5\r\nhello",
        "5\r\nhel",
        "5;" + "a" * 9000,
        "5\nhello",
    ],
)
@pytest.mark.parametrize("path", ["/api/preferences", "/api/uploads?name=a.txt"])
def test_hostile_chunks_are_refused(
    server: RunningServer, cookie: SignedIn, path: str, chunks: str
) -> None:
    method, content = ("POST", "octet-stream") if "uploads" in path else ("PUT", "json")
    answer = exchange(
        server,
        (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{cookie.lines}"
            f"Origin: {server.origin}\r\nContent-Type: application/{content}\r\n"
            f"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}"
        ).encode(),
    )
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert server.api(cookie, "GET", "/api/uploads").json["uploads"] == []
    staged = server.workspace / ".cpt-studio" / "uploads"
    assert not staged.exists() or not list(staged.iterdir())
    assert "Traceback" not in server.text


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}", 200),
        ("GET /api/session HTTP/1.1", "Host: 127.0.0.1:{port}", 401),
        ("GET / HTTP/1.1", "Host: evil.example:{port}", 403),
        ("GET http://127.0.0.1:{port}/ HTTP/1.1", "Host: 127.0.0.1:{port}", 400),
        ("GET http://evil.example/ HTTP/1.1", "Host: 127.0.0.1:{port}", 400),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nHost: evil.example", 400),
        ("GET / HTTP/1.1", "X-Nothing: 1", 403),
        ("GET / HTTP/1.0", "X-Nothing: 1", 403),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nX-Forwarded-For: 1", 400),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nX_Forwarded_For: 1", 400),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nx-forwarded-proto: https", 400),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nUpgrade: h2c\r\nConnection: upgrade", 400),
        ("OPTIONS * HTTP/1.1", "Host: 127.0.0.1:{port}", 400),
        ("CONNECT evil.example:80 HTTP/1.1", "Host: 127.0.0.1:{port}", 400),
        ("TRACE / HTTP/1.1", "Host: 127.0.0.1:{port}", 405),
        ("GET // HTTP/1.1", "Host: 127.0.0.1:{port}", 404),
        ("GET /%00 HTTP/1.1", "Host: 127.0.0.1:{port}", 404),
        ("GET /%ff%fe HTTP/1.1", "Host: 127.0.0.1:{port}", 404),
        ("POST / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nContent-Length: -1", 400),
        (
            "POST / HTTP/1.1",
            "Host: 127.0.0.1:{port}\r\nContent-Length: 1\r\nContent-Length: 2",
            400,
        ),
        (
            "POST / HTTP/1.1",
            "Host: 127.0.0.1:{port}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("GET /" + "a" * 9000 + " HTTP/1.1", "Host: 127.0.0.1:{port}", 414),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\n" + "X-A: 1\r\n" * 100, 431),
        ("GET / HTTP/1.1", "Host: 127.0.0.1:{port}\r\nX-A: " + "a" * 9000, 431),
        ("nonsense", "", 400),
    ],
)  # fmt: skip
def test_odd_requests_on_the_wire(
    server: RunningServer, request_line: str, headers: str, status: int
) -> None:
    text = f"{request_line}\r\n{headers}\r\nConnection: close\r\n\r\n"
    answer = exchange(server, text.replace("{port}", str(server.port)).encode())
    assert answer.partition(b" ")[2].startswith(b"%d " % status), answer[:200]
    assert "Traceback" not in server.text
