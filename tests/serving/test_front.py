"""Who may ask an endpoint, before any model is there: a table over what a sender can do wrong."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cptstudio.cli.workspace_check import check_workspace
from cptstudio.serving import keys
from cptstudio.serving.endpoint import Endpoint
from cptstudio.serving.endpoints import Endpoints
from cptstudio.serving.exchange import BODY_LIMIT
from cptstudio.serving.front import Front
from cptstudio.serving.records import FOLDER, Spec
from cptstudio.workspace import Workspace

ROUTES = (
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("front") / ".cpt-studio"
    (root / FOLDER / "m").mkdir(parents=True)
    keys.make_key(root)
    return root


@pytest.fixture(scope="module")
def front(private: Path) -> Iterator[Front]:
    """An endpoint whose model is not loaded: nobody but who may ask gets to hear that."""
    spec = Spec(
        start="s",
        label="m",
        name="m",
        model="/nowhere",
        adapter=None,
        context=100,
        port=None,
        at_once=1,
        fast_blas=False,
        requested=time.time(),
    )
    server = Front(0, Endpoint(private / FOLDER / "m", spec))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(
    front: Front, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    sent = {"Host": f"127.0.0.1:{front.port}", "Content-Type": "application/json", **headers}
    if body is not None:
        sent.setdefault("Content-Length", str(len(body)))
    for name, value in sent.items():
        if value:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    if body:
        connection.send(body)
    answer = connection.getresponse()
    data = json.loads(answer.read() or b"{}")
    connection.close()
    return answer.status, dict(answer.headers), data


@pytest.fixture
def key(private: Path) -> str:
    found = keys.read_key(private)
    assert found is not None
    return f"Bearer {found}"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_who_may_not_ask_is_refused_on_every_route(
    front: Front, key: str, method: str, path: str
) -> None:
    body = b"{}" if method == "POST" else None
    wrong: list[tuple[int, dict[str, str]]] = [
        (401, {}),
        (401, {"Authorization": "Bearer nope"}),
        (401, {"Authorization": key.replace("Bearer", "Basic")}),
        (401, {"Authorization": f"{key}x"}),
        (403, {"Authorization": key, "Origin": "http://evil.example"}),
        (403, {"Authorization": key, "Origin": "null"}),
        (403, {"Authorization": key, "Origin": f"http://127.0.0.1:{front.port}"}),
        (403, {"Authorization": key, "Sec-Fetch-Site": "cross-site"}),
        (403, {"Authorization": key, "Host": f"evil.example:{front.port}"}),
        (403, {"Authorization": key, "Host": "127.0.0.1"}),
        (403, {"Authorization": key, "Host": ""}),
        (403, {"Authorization": key, "X-Forwarded-For": "10.0.0.1"}),
        (403, {"Authorization": key, "Forwarded": "for=10.0.0.1"}),
    ]
    for status, headers in wrong:
        found, told, said = ask(front, method, path, body, **headers)
        assert (found, headers) == (status, headers)
        assert set(said) == {"error"}
        assert not [name for name in told if name.lower().startswith("access-control")]


def test_who_may_ask_hears_what_is_there(front: Front, key: str) -> None:
    for host in (f"127.0.0.1:{front.port}", f"LOCALHOST:{front.port}"):
        status, _, said = ask(front, "GET", "/v1/models", Authorization=key, Host=host)
        assert status == 200
        assert [one["id"] for one in said["data"]] == ["m"]
    assert ask(front, "GET", "/v1/models/m", Authorization=key)[2]["id"] == "m"
    assert ask(front, "GET", "/v1/models/other", Authorization=key)[0] == 404
    status, _, said = ask(front, "GET", "/health")
    assert (status, said["error"]["code"]) == (503, "loading")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("OPTIONS", "/v1/completions", None, {}, 405, "method_not_allowed"),
        ("GET", "/v1/completions", None, {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", None, {}, 405, "method_not_allowed"),
        ("BREW", "/v1/embeddings", None, {}, 404, "not_found"),
        ("POST", "/v1/embeddings", b"{}", {}, 404, "not_found"),
        ("GET", "http://127.0.0.1/v1/models", None, {}, 400, "bad_path"),
        ("POST", "/v1/completions", b"{}", {"Content_Type": "text/plain"}, 415, None),
        ("POST", "/v1/completions", None, {}, 411, "length_required"),
        ("POST", "/v1/completions", b"0", {"Transfer_Encoding": "chunked"}, 411, None),
        ("POST", "/v1/completions", b"x" * (BODY_LIMIT + 1), {}, 413, "body_too_large"),
        ("POST", "/v1/completions", b"{", {}, 400, "invalid_json"),
        ("POST", "/v1/completions", b'{"model": NaN}', {}, 400, "invalid_json"),
        ("POST", "/v1/completions", b"[" * 100_000, {}, 400, "invalid_json"),
        ("POST", "/v1/completions", b"\xff", {}, 400, "invalid_json"),
        ("POST", "/v1/completions", b'{"model": "o", "prompt": ""}', {}, 404, "model_not_found"),
        ("POST", "/v1/completions", b'{"model": "m", "prompt": ""}', {}, 503, "loading"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openais_form(
    front: Front,
    key: str,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    if "Content_Type" in headers:
        headers = {"Content-Type": headers["Content_Type"]}
    found, told, said = ask(front, method, path, body, Authorization=key, **headers)
    assert found == status
    error = said["error"]
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    assert code in (None, error["code"])
    assert "Retry-After" in told or status != 503


def test_the_key_is_the_users_alone(private: Path) -> None:
    path = private / keys.KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    former = keys.read_key(private)
    assert former is not None
    assert keys.make_key(private) != former
    assert not keys.is_key(private, former)
    path.chmod(0o644)
    assert keys.read_key(private) is None
    keys.make_key(private)


def test_a_damaged_record_is_told_and_not_hidden(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    folder = place.make(place.private / FOLDER / "gone")
    (folder / "spec.json").write_text("{")
    endpoints = Endpoints(place)
    (found,) = endpoints.all()
    assert (found.id, found.state, found.alive) == ("gone", "failed", False)
    assert "spec.json" in str(found.reason)
    assert [one.where for one in check_workspace(place)] == [".cpt-studio/endpoints/gone"]
    endpoints.remove("gone")
    assert endpoints.all() == []
