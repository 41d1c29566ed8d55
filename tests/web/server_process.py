"""The real server in a process of its own, and a client that speaks HTTP to it."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

PROGRAM = Path(__file__).parents[2] / "start_web_interface.py"
PATIENCE = 60.0
FORM = "application/x-www-form-urlencoded"


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class SignedIn:
    """A session: its cookie, and the secret without which the cookie opens nothing."""

    cookie: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Cookie": self.cookie, "X-CPT-Studio-Session": self.secret}

    @property
    def lines(self) -> str:
        """The same, as it is on the wire."""
        return "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())


class RunningServer:
    """A server process.

    Attributes:
        process: its master.
        output: what it printed so far, both streams.
    """

    def __init__(self, workspace: Path, port: int, *options: str) -> None:
        self.workspace, self.port = workspace, port
        self.output: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, str(PROGRAM), "-w", str(workspace), "--no-browser"),
                *("--port", str(port), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key != "DISPLAY"},
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)

    @property
    def text(self) -> str:
        return "".join(self.output)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_up(self) -> None:
        def up() -> bool:
            assert self.process.poll() is None, self.text
            # Until it has said so, it may be its predecessor that answers.
            if "CPT Studio is at" not in self.text:
                return False
            try:
                return self.request("GET", "/").status == 200
            except OSError:
                return False

        wait_for(up, "the first page")

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def sign_in(self) -> SignedIn:
        """Come in through the entry file, as a browser does."""
        page = (self.workspace / ".cpt-studio" / "open.html").read_text()
        code = re.search(r'name="code" value="([^"]+)"', page)
        assert code
        answer = self.request(
            "POST",
            "/enter",
            urlencode({"code": code[1]}).encode(),
            {"Content-Type": FORM, "Origin": "null", "Sec-Fetch-Site": "cross-site"},
        )
        assert answer.status == 200, answer.body
        secret = re.search(rb'data-secret="([0-9a-f]+)"', answer.body)
        assert secret
        return SignedIn(answer.headers["set-cookie"].partition(";")[0], secret[1].decode())

    def recover(self, session: SignedIn, key: str) -> SignedIn:
        """Go on with a session on this server, as an open page does: both sides prove themselves.

        Args:
            key: the session's, as /api/session says.
        """
        id, nonce = session.cookie.partition("=")[2].rpartition(".")[0], secrets.token_hex(16)

        def ask(path: str, body: dict[str, str]) -> Answer:
            headers = {
                "Cookie": session.cookie,
                "Origin": self.origin,
                "Content-Type": "application/json",
            }
            body = {"session": id, "nonce": nonce, **body}
            return self.request("POST", path, json.dumps(body).encode(), headers)

        theirs = ask("/enter/challenge", {}).json

        def proof(side: str) -> str:
            words = ("cpt-studio", side, self.origin, id, theirs["boot"], nonce)
            message = "\n".join((*words, theirs["challenge"])).encode()
            return hmac.digest(base64.b64decode(key), message, "sha256").hex()

        assert proof("server") == theirs["proof"], "the server cannot prove itself"
        mine = {"challenge": theirs["challenge"], "proof": proof("client")}
        answer = ask("/enter/answer", mine)
        assert answer.status == 200, answer.body
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return SignedIn(cookie, answer.json["secret"])

    def api(self, session: SignedIn, method: str, path: str, body: Any = None) -> Answer:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {**session.headers, "Origin": self.origin, "Content-Type": "application/json"}
        return self.request(method, path, data, headers)

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)


@contextmanager
def running_server(
    workspace: Path, *options: str, port: int | None = None
) -> Iterator[RunningServer]:
    """A server that answers; it is gone with the block, and its worker too."""
    server = RunningServer(workspace, port or free_port(), *options)
    family: list[psutil.Process] = []
    try:
        server.wait_until_up()
        family = server.workers()
        yield server
    finally:
        if server.process.poll() is None:
            family = server.workers()
            server.stop()
        psutil.wait_procs(family, timeout=PATIENCE)
