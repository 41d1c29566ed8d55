"""Who comes in: a table of all routes and sockets against everything that must be refused.

The table is made from the application's own routes and events, so a new one is covered by
being there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cptstudio.web.security.gate import SESSION_KEY, Gate
from cptstudio.web.security.headers import CONTENT_SECURITY_POLICY
from tests.web.in_process import ORIGIN, PORT, Web

JSON = "application/json"
UNSAFE = {"POST", "PUT", "DELETE"}
SOCKETS = [("GET", "/socket.io/?EIO=4&transport=polling"), ("POST", "/socket.io/?EIO=4&sid=x")]


def routes_of(web: Web) -> list[tuple[str, str]]:
    """Method and path of everything that can be asked for, with a sample for each id."""
    found = [("GET", "/"), ("GET", "/runs/a-run"), ("GET", "/ui/app.js"), *SOCKETS]
    for rule in web.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "a-sample", rule.rule)
        found += [(method, path) for method in rule.methods - {"OPTIONS", "HEAD"}]
    return sorted(found)


def content_type_of(web: Web, method: str, path: str) -> str | None:
    if method not in UNSAFE:
        return None
    if path.startswith("/socket.io/"):
        return "text/plain"
    endpoint, _ = web.app.url_map.bind("").match(path.partition("?")[0], method)
    description = getattr(web.app.view_functions[endpoint], "description", None)
    octets = description is not None and description.octet_stream
    return "application/octet-stream" if octets else JSON


@dataclass
class Spy:
    """Stands where the application is, and notes who got that far."""

    seen: list[str] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert environ[SESSION_KEY]
        self.seen.append(environ["PATH_INFO"])
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Access-Control-Allow-Origin", "*")]
        )
        return [b"inside"]


@pytest.fixture
def spied(web: Web) -> tuple[Web, Spy]:
    spy = Spy()
    web.gate = Gate(spy, web.access)
    return web, spy


Change = Callable[[dict[str, str], Web], None]


def put(**headers: str) -> Change:
    def change(given: dict[str, str], web: Web) -> None:
        given.update({name.replace("_", "-"): value for name, value in headers.items()})

    return change


def without_cookie(given: dict[str, str], web: Web) -> None:
    del given["Cookie"]


def with_cookie(make: Callable[[Web], str]) -> Change:
    def change(given: dict[str, str], web: Web) -> None:
        given["Cookie"] = make(web)

    return change


def changed_last(web: Web) -> str:
    return web.cookie[:-1] + ("0" if web.cookie[-1] != "0" else "1")


def made_older(web: Web) -> str:
    name, _, value = web.cookie.partition("=")
    begun, rest = value.split(".", 1)
    return f"{name}={int(begun) + 1}.{rest}"


REFUSED: dict[str, tuple[Change, set[int]]] = {
    "no token": (without_cookie, {401}),
    "empty token": (with_cookie(lambda web: f"{web.access.cookie}="), {401}),
    "wrong token": (with_cookie(changed_last), {401}),
    "prolonged session": (with_cookie(made_older), {401}),
    "cookie of another port": (
        with_cookie(lambda web: web.cookie.replace(str(PORT), "9999", 1)), {401}
    ),
    "two cookies": (with_cookie(lambda web: f"{web.cookie}; {web.access.cookie}=x"), {401}),
    "wrong Host": (put(Host=f"evil.example:{PORT}"), {403}),
    "wrong port in Host": (put(Host="127.0.0.1:9999"), {403}),
    "no port in Host": (put(Host="127.0.0.1"), {403}),
    "other loopback Host": (put(Host=f"127.0.0.2:{PORT}"), {403}),
    "Host that begins well": (put(Host=f"127.0.0.1:{PORT}.evil.example"), {403}),
    "two names in Host": (put(Host=f"127.0.0.1:{PORT},evil.example"), {403}),
    "wrong Origin": (put(Origin="http://evil.example"), {403}),
    "Origin of another port": (put(Origin="http://127.0.0.1:9999"), {403}),
    "Origin of another scheme": (put(Origin=f"https://127.0.0.1:{PORT}"), {403}),
    "Origin that begins well": (put(Origin=f"{ORIGIN}.evil.example"), {403}),
    "null Origin": (put(Origin="null"), {403}),
    "empty Origin": (put(Origin=""), {403}),
    "same-site": (put(Sec_Fetch_Site="same-site"), {403}),
    "cross-site": (put(Sec_Fetch_Site="cross-site"), {403}),
    "unknown site": (put(Sec_Fetch_Site="galaxy"), {403}),
    "cross-site with a good Origin": (put(Sec_Fetch_Site="cross-site", Origin=ORIGIN), {403}),
    "X-Forwarded-For": (put(X_Forwarded_For="127.0.0.1"), {400}),
    "X-Forwarded-Host": (put(X_Forwarded_Host=f"127.0.0.1:{PORT}"), {400}),
    "X-Forwarded-Proto": (put(X_Forwarded_Proto="https"), {400}),
    "Forwarded": (put(Forwarded="for=127.0.0.1"), {400}),
}  # fmt: skip
REFUSED_TYPES = [
    *("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
    *("application/jsonp", "text/json", "application/json+evil", "*/*"),
]


def asked(web: Web, method: str, path: str, headers: dict[str, str]) -> Any:
    arguments: dict[str, Any] = {"headers": headers}
    if method in UNSAFE:
        arguments["data"] = b"{}"
    return web.raw(method, path, **arguments)


def good_headers(web: Web, method: str, path: str) -> dict[str, str]:
    headers = {"Cookie": web.cookie, "Sec-Fetch-Site": "same-origin"}
    content_type = content_type_of(web, method, path)
    if content_type:
        headers["Content-Type"] = content_type
    return headers


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_every_route_refuses(spied: tuple[Web, Spy], case: str) -> None:
    web, spy = spied
    change, statuses = REFUSED[case]
    for method, path in routes_of(web):
        headers = good_headers(web, method, path)
        change(headers, web)
        response = asked(web, method, path, headers)
        assert response.status_code in statuses, (method, path)
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert spy.seen == []


def test_every_route_lets_the_signed_in_page_in(spied: tuple[Web, Spy]) -> None:
    web, spy = spied
    routes = routes_of(web)
    assert len(routes) > 10
    for method, path in routes:
        response = asked(web, method, path, good_headers(web, method, path))
        assert response.status_code == 200, (method, path, response.text)
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
    assert len(spy.seen) == len(routes)


def test_every_change_needs_word_of_where_it_comes_from(spied: tuple[Web, Spy]) -> None:
    web, spy = spied
    for method, path in routes_of(web):
        if method in UNSAFE:
            headers = good_headers(web, method, path)
            del headers["Sec-Fetch-Site"]
            assert asked(web, method, path, headers).status_code == 403, (method, path)
            headers["Sec-Fetch-Site"] = "none"
            assert asked(web, method, path, headers).status_code == 403, (method, path)
            assert spy.seen == []
            del headers["Sec-Fetch-Site"]
            assert asked(web, method, path, {**headers, "Origin": ORIGIN}).status_code == 200
            spy.seen.clear()


@pytest.mark.parametrize("content_type", REFUSED_TYPES)
def test_every_change_refuses_other_content_types(web: Web, content_type: str) -> None:
    for method, path in routes_of(web):
        if method not in UNSAFE or (content_type == "text/plain" and "socket.io" in path):
            continue
        headers = {**good_headers(web, method, path), "Content-Type": content_type}
        assert asked(web, method, path, headers).status_code == 415, (method, path)


def test_raw_bytes_are_taken_only_where_declared(web: Web) -> None:
    for method, path in routes_of(web):
        taken = content_type_of(web, method, path)
        if taken == JSON:
            headers = {
                **good_headers(web, method, path),
                "Content-Type": "application/octet-stream",
            }
            assert asked(web, method, path, headers).status_code == 415, (method, path)


def test_no_get_reaches_what_changes_something(web: Web) -> None:
    adapter = web.app.url_map.bind("")
    overrides = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "DELETE"}
    readable = set(routes_of(web))
    for method, path in routes_of(web):
        if method not in UNSAFE or path.startswith("/socket.io/"):
            continue
        for safe in ("GET", "HEAD"):
            headers = {"Cookie": web.cookie, **overrides}
            if ("GET", path) in readable:
                assert adapter.match(path, safe) != adapter.match(path, method)
            else:
                response = web.raw(safe, path + "?_method=POST", headers=headers)
                assert response.status_code == 405, (safe, path)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get"])
def test_other_methods_are_unknown(spied: tuple[Web, Spy], method: str) -> None:
    web, spy = spied
    for _, path in routes_of(web):
        headers = {"Cookie": web.cookie, "Sec-Fetch-Site": "same-origin"}
        environ = {"REQUEST_METHOD": method}
        response = web.raw("GET", path, headers=headers, environ_overrides=environ)
        assert response.status_code == 405
    assert spy.seen == []


def test_only_the_web_socket_of_socket_io_may_upgrade(spied: tuple[Web, Spy]) -> None:
    web, spy = spied
    good = {
        "Cookie": web.cookie,
        "Origin": ORIGIN,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    path = "/socket.io/?EIO=4&transport=websocket"
    for changed in (
        *({"Origin": "null"}, {"Origin": "http://evil.example"}, {"Cookie": ""}),
        *({"Host": f"evil.example:{PORT}"}, {"Upgrade": "h2c"}, {"X-Forwarded-For": "::1"}),
        *({"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}),
    ):
        assert web.raw("GET", path, headers={**good, **changed}).status_code in (400, 401, 403)
    without_origin = {name: value for name, value in good.items() if name != "Origin"}
    assert web.raw("GET", path, headers=without_origin).status_code == 403
    for other in ("/", "/api/session", "/socket.io", "/socket.io/x"):
        assert web.raw("GET", other, headers=good).status_code == 400, other
    assert web.raw("POST", path, headers=good).status_code == 400
    assert web.raw("GET", path + "&j=1", headers=good).status_code == 400
    assert spy.seen == []
    assert web.raw("GET", path, headers=good).status_code == 200


def test_so_many_sockets_and_no_more(web: Web) -> None:
    web.gate = Gate(Spy(), _with_places(web, sockets=0, waiting_polls=0))
    headers = {"Cookie": web.cookie, "Origin": ORIGIN}
    upgrade = {**headers, "Connection": "Upgrade", "Upgrade": "websocket"}
    for path, given in (
        ("/socket.io/?EIO=4&transport=websocket&sid=a", upgrade),
        ("/socket.io/?EIO=4&transport=polling&sid=a", headers),
    ):
        response = web.raw("GET", path, headers=given)
        assert response.status_code == 503
        assert "close some" in response.json["detail"]
        assert response.headers["Retry-After"] == "5"
    # A poll without waiting is how every socket begins; it is let in.
    assert web.raw("GET", "/socket.io/?EIO=4&transport=polling", headers=headers).status_code == 200


def _with_places(web: Web, **places: int) -> Any:
    import dataclasses

    values = {
        item.name: getattr(web.access, item.name)
        for item in dataclasses.fields(web.access)
        if item.init
    }
    return type(web.access)(**{**values, **places})


def test_every_answer_carries_the_headers(web: Web) -> None:
    for path, headers in (
        ("/", {}),
        ("/", {"Cookie": web.cookie}),
        ("/nothing", {"Cookie": web.cookie}),
        ("/ui/nothing.js", {"Cookie": web.cookie}),
        ("/api/nothing", {"Cookie": web.cookie}),
        ("/api/session", {"Cookie": web.cookie}),
        ("/enter", {}),
        ("/enter.css", {}),
        ("/socket.io/?EIO=4&transport=polling", {"Cookie": web.cookie, "Origin": ORIGIN}),
        ("/socket.io/?EIO=3&transport=nonsense", {"Cookie": web.cookie}),
    ):
        found = web.raw("GET", path, headers=headers).headers
        assert found["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, path
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["Referrer-Policy"] == "no-referrer"
        assert not [name for name, _ in found.items() if name.startswith("Access-Control-")]
    assert CONTENT_SECURITY_POLICY.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def test_visit_from_elsewhere_goes_on_by_itself(web: Web) -> None:
    visit = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    response = web.raw("GET", '/runs/a-run?x="><script>', headers=visit)
    assert response.status_code == 200
    assert "url=/runs/a-run?x=" in response.text and "<script>" not in response.text
    for changed in (
        *({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}, {"Origin": "null"}),
    ):
        assert web.raw("GET", "/", headers={**visit, **changed}).status_code == 403
    assert web.raw("GET", "/api/session", headers=visit).status_code == 403
    assert web.raw("POST", "/", headers=visit).status_code == 403


def test_csp_report_is_logged_and_nothing_else(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    report = {"csp-report": {"violated-directive": "script-src", "blocked-uri": "inline\n\x1b"}}
    headers = {
        "Cookie": web.cookie,
        "Sec-Fetch-Site": "same-origin",
        "Origin": "null",
        "Content-Type": "application/csp-report",
    }
    import json

    body = json.dumps(report).encode()
    assert web.raw("POST", "/csp-report", data=body, headers=headers).status_code == 204
    assert "script-src" in caplog.text and "\x1b" not in caplog.text
    for data in (b"[" * 10_000, b"\xff", b"{}", b"null"):
        assert web.raw("POST", "/csp-report", data=data, headers=headers).status_code == 204
    assert web.raw("POST", "/csp-report", data=b" " * 20_000, headers=headers).status_code == 413
    assert web.raw("GET", "/csp-report", headers=headers).status_code == 405
    del headers["Cookie"]
    assert web.raw("POST", "/csp-report", data=body, headers=headers).status_code == 401


def test_session_ends_and_stays_ended(web: Web, tmp_path: Path) -> None:
    from cptstudio.web.security.sessions import Sessions

    assert web.request("GET", "/api/session").json == {"ok": True}
    other = web.access.sessions.issue()
    assert web.request("POST", "/api/session/end").status_code == 204
    assert web.request("GET", "/api/session").status_code == 401
    token = (tmp_path / ".cpt-studio" / "token").read_text().strip()
    after_restart = Sessions(token, tmp_path / ".cpt-studio")
    assert after_restart.identify(web.session) is None
    assert after_restart.identify(other) is not None
    assert Sessions("another token", tmp_path / ".cpt-studio").identify(other) is None
