"""The whole application in this process: gate, pages, API, Socket.IO, on a real workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
import flask_socketio
from werkzeug.test import Client, TestResponse

from cptstudio.web.options import ServerOptions
from cptstudio.web.security.access import Access, make_access
from cptstudio.web.security.gate import Gate
from cptstudio.web.security.sessions import Session
from cptstudio.web.security.token import prepare_private_folder, read_or_make_token
from cptstudio.web.security.visit import SECRET_HEADER
from cptstudio.web.studio import Studio, make_studio
from cptstudio.web.web_training_interface import create_application

PORT = 8763
ORIGIN = f"http://127.0.0.1:{PORT}"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Web:
    """An application and a signed-in page of it.

    Attributes:
        session: the page's.
    """

    gate: Gate
    access: Access
    studio: Studio
    app: flask.Flask
    session: Session

    @property
    def cookie(self) -> str:
        return f"{self.access.cookie}={self.access.sessions.cookie_of(self.session)}"

    @property
    def secret(self) -> str:
        return self.access.sessions.secret_of(self.session)

    @property
    def headers(self) -> dict[str, str]:
        """What the signed-in page sends with every request."""
        return {**SAME_ORIGIN, "Cookie": self.cookie, SECRET_HEADER: self.secret}

    @property
    def socketio(self) -> flask_socketio.SocketIO:
        return self.app.extensions["socketio"]

    def raw(self, method: str, path: str, **arguments: Any) -> TestResponse:
        """A request with nothing that was not given, not even a cookie."""
        arguments.setdefault("base_url", ORIGIN)
        return Client(self.gate, use_cookies=False).open(path, method=method, **arguments)

    def request(self, method: str, path: str, **arguments: Any) -> TestResponse:
        """A request as the signed-in page sends it."""
        headers = {**self.headers, **arguments.pop("headers", {})}
        if method != "GET" and "data" not in arguments:
            arguments.setdefault("json", {})
        return self.raw(method, path, headers=headers, **arguments)

    def get(self, path: str, **query: Any) -> Any:
        """The parsed answer of a GET that has to succeed."""
        response = self.request("GET", path, query_string=query)
        assert response.status_code == 200, response.text
        return response.json

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """The parsed answer of a POST that has to give this status."""
        response = self.request("POST", path, json={} if body is None else body)
        assert response.status_code == status, response.text
        return response.json


def make_web(root: Path, **options: Any) -> Web:
    """The application of a workspace folder."""
    chosen = ServerOptions(workspace=root, **options)
    studio = make_studio(chosen)
    prepare_private_folder(studio.workspace.private)
    token = read_or_make_token(studio.workspace.private)
    access = make_access(chosen, studio.workspace.private, PORT, token)
    gate = create_application(lambda: studio, access)
    app = gate.warm_up()
    assert isinstance(app, flask.Flask)
    return Web(gate, access, studio, app, access.sessions.begin())
