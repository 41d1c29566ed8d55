"""Who comes in: a table of all routes and sockets against everything that must be refused.

The table is made from the application's own routes and events, so a new one is covered by
being there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import MethodNotAllowed

from cptstudio.web.security.boot import Boot
from cptstudio.web.security.gate import Gate
from cptstudio.web.security.headers import CONTENT_SECURITY_POLICY
from cptstudio.web.security.sessions import Sessions
from cptstudio.web.security.visit import SECRET_HEADER, SESSION_KEY
from tests.web.in_process import ORIGIN, PORT, Web, make_web

JSON = "application/json"
UNSAFE = {"POST", "PUT", "DELETE"}
SOCKETS = [("GET", "/socket.io/?EIO=4&transport=polling"), ("POST", "/socket.io/?EIO=4&sid=x")]


def routes_of(web: Web) -> list[tuple[str, str]]:
    """Method and path of everything that can be asked for, with a sample for each id."""
    found = [*SOCKETS]
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
        assert environ[SESSION_KEY].still_holds
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


def without_secret(given: dict[str, str], web: Web) -> None:
    del given[SECRET_HEADER]


def with_secret(make: Callable[[Web], str]) -> Change:
    def change(given: dict[str, str], web: Web) -> None:
        given[SECRET_HEADER] = make(web)

    return change


def of_the_former_boot(web: Web) -> str:
    """What this session's secret was before a restart."""
    private = web.studio.workspace.private
    former = Sessions((private / "token").read_text().strip(), private, Boot())
    assert former.identify(web.cookie.partition("=")[2]) == web.session
    return former.secret_of(web.session)


def of_another_session(web: Web) -> str:
    return web.access.sessions.secret_of(web.access.sessions.begin())


def with_former_cookie(given: dict[str, str], web: Web) -> None:
    """A cookie as older versions made it, which knew no secrets."""
    import hmac
    import time

    token = (web.studio.workspace.private / "token").read_text().strip().encode()
    begun, part = int(time.time()), "0" * 32
    proof = hmac.digest(token, f"session {begun} {part}".encode(), "sha256").hex()
    given["Cookie"] = f"{web.access.cookie}={begun}.{part}.{proof}"


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
    "cookie without secret": (without_secret, {401}),
    "secret without cookie": (without_cookie, {401}),
    "empty secret": (with_secret(lambda web: ""), {401}),
    "secret of the former boot": (with_secret(of_the_former_boot), {401}),
    "secret of another session": (with_secret(of_another_session), {401}),
    "secret of another length": (with_secret(lambda web: web.secret[:-1]), {401}),
    "the token as secret": (
        with_secret(lambda web: (web.studio.workspace.private / "token").read_text().strip()),
        {401},
    ),
    "cookie of an older version": (with_former_cookie, {401}),
    "empty cookie": (with_cookie(lambda web: f"{web.access.cookie}="), {401}),
    "wrong cookie": (with_cookie(changed_last), {401}),
    "prolonged session": (with_cookie(made_older), {401}),
    "cookie of another port": (
        with_cookie(lambda web: web.cookie.replace(str(PORT), "9999", 1)), {401}
    ),
    "another loopback name": (put(Host=f"localhost:{PORT}"), {403}),
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
    headers = web.headers
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
            headers = {**web.headers, **overrides}
            try:
                reached = adapter.match(path, safe)
            except MethodNotAllowed:
                assert ("GET", path) not in readable
                response = web.raw(safe, path + "?_method=POST", headers=headers)
                assert response.status_code == 405, (safe, path)
            else:
                assert reached != adapter.match(path, method)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get"])
def test_other_methods_are_unknown(spied: tuple[Web, Spy], method: str) -> None:
    web, spy = spied
    for _, path in routes_of(web):
        headers = web.headers
        environ = {"REQUEST_METHOD": method}
        response = web.raw("GET", path, headers=headers, environ_overrides=environ)
        assert response.status_code == 405
    assert spy.seen == []


def test_only_the_web_socket_of_socket_io_may_upgrade(spied: tuple[Web, Spy]) -> None:
    web, spy = spied
    good = {
        "Cookie": web.cookie,
        "Sec-WebSocket-Protocol": f"cpt-studio, {web.secret}",
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
        *(
            {"Sec-WebSocket-Protocol": text}
            for text in ("", "cpt-studio", f"cpt-studio, {'0' * 64}")
        ),
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
    headers = {**web.headers, "Origin": ORIGIN}
    upgrade = {**headers, "Connection": "Upgrade", "Upgrade": "websocket"}
    for path, given in (
        ("/socket.io/?EIO=4&transport=websocket&sid=a", upgrade),
        ("/socket.io/?EIO=4&transport=polling&sid=a", headers),
    ):
        response = web.raw("GET", path, headers=given)
        assert response.status_code == 503
        assert "Close some" in response.json["detail"]
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
        ("/nothing", {}),
        ("/ui/nothing.js", {}),
        ("/download/nothing", web.headers),
        ("/api/nothing", web.headers),
        ("/api/session", web.headers),
        ("/enter", {}),
        ("/enter.css", {}),
        ("/socket.io/?EIO=4&transport=polling", {**web.headers, "Origin": ORIGIN}),
        ("/socket.io/?EIO=3&transport=nonsense", web.headers),
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


def test_pages_are_the_same_for_everybody(web: Web) -> None:
    """A page is there without a session, and holds nothing of the user with one."""
    for path in ("/", "/runs/a-run", "/settings", "/ui/app.js", "/nothing"):
        without = web.raw("GET", path)
        assert without.data == web.raw("GET", path, headers=web.headers).data, path
        assert "Set-Cookie" not in without.headers
    visit = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert web.raw("GET", '/runs/a-run?x="><script>', headers=visit).status_code == 200
    for changed in (
        *({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}, {"Origin": "null"}),
    ):
        assert web.raw("GET", "/", headers={**visit, **changed}).status_code == 403
    assert web.raw("GET", "/api/session", headers={**web.headers, **visit}).status_code == 403
    assert web.raw("GET", "/ui/app.js", headers=visit).status_code == 403
    assert web.raw("POST", "/", headers=visit).status_code == 403


def test_another_loopback_name_leads_to_the_address_that_is_ours(web: Web) -> None:
    """Where we listen on 127.0.0.1, another user's program can listen on ::1, and is localhost."""
    for name in ("localhost", "[::1]", "LOCALHOST"):
        answer = web.raw("GET", "/runs/a-run?view=%22b", headers={"Host": f"{name}:{PORT}"})
        assert answer.status_code == 307
        assert answer.headers["Location"] == f"{ORIGIN}/runs/a-run?view=%22b"
        for method, path in (("GET", "/api/session"), ("POST", "/enter"), ("GET", "/ui/app.js")):
            headers = {**web.headers, "Host": f"{name}:{PORT}", "Origin": f"http://{name}:{PORT}"}
            refused = web.raw(method, path, headers=headers)
            assert refused.status_code == 403 and ORIGIN in refused.json["detail"]


def test_a_tossed_cookie_locks_nobody_out(web: Web) -> None:
    """A page on another port can set cookies of our name, which come first or last."""
    name = web.access.cookie
    old = web.access.sessions.cookie_of(web.access.sessions.begin())
    for tossed in ("x", "", old, web.cookie.partition("=")[2][:-1] + "g"):
        for cookies in (f"{name}={tossed}; {web.cookie}", f"{web.cookie}; {name}={tossed}"):
            headers = {**web.headers, "Cookie": cookies}
            assert web.raw("GET", "/api/session", headers=headers).status_code == 200, cookies


def test_who_asks_for_a_service_worker_is_told_to_do_without(web: Web) -> None:
    for path in ("/sw.js", "/", "/api/session", "/enter"):
        answer = web.raw("GET", path, headers={"Service-Worker": "script"})
        assert answer.status_code == 200 and "unregister()" in answer.text
        assert answer.content_type == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"


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
    assert web.get("/api/session")["session"] == web.session.id
    other = web.access.sessions.begin()
    assert web.request("POST", "/api/session/end").status_code == 204
    assert web.request("GET", "/api/session").status_code == 401
    after_restart = make_web(tmp_path).access.sessions
    assert not after_restart.holds(web.session) and after_restart.holds(other)
    cookie = after_restart.cookie_of(other)
    assert after_restart.identify(cookie) == other
    stranger = Sessions("another token", tmp_path / ".cpt-studio", Boot())
    assert stranger.identify(cookie) is None


def test_all_sessions_end_and_new_ones_begin(web: Web, tmp_path: Path) -> None:
    sessions = web.access.sessions
    others = [sessions.begin() for _ in range(3)]
    assert web.request("POST", "/api/session/end-all").status_code == 204
    assert web.request("GET", "/api/session").status_code == 401
    for known in (sessions, make_web(tmp_path).access.sessions):
        assert not any(known.holds(one) for one in [*others, web.session])
        assert known.holds(known.begin())


def test_a_link_downloads_once_for_its_session_alone(web: Web) -> None:
    path = "/api/playground/history/export"
    cookie = {"Cookie": web.cookie, "Sec-Fetch-Site": "same-origin"}
    url = web.post("/api/session/link", {"path": path})["url"]
    other = web.access.sessions.cookie_of(web.access.sessions.begin())
    for headers in ({}, {"Cookie": f"{web.access.cookie}={other}"}):
        assert web.raw("GET", url, headers=headers).status_code == 404
    assert web.raw("POST", url, headers=web.headers, json={}).status_code == 404
    assert web.raw("GET", url, headers={**cookie, "Sec-Fetch-Site": "same-site"}).status_code == 403
    answer = web.raw("GET", url, headers=cookie)
    assert answer.status_code == 200
    assert answer.data == web.request("GET", path).data
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert web.raw("GET", url, headers=cookie).status_code == 404
    ended = web.post("/api/session/link", {"path": path})["url"]
    assert web.request("POST", "/api/session/end").status_code == 204
    assert web.raw("GET", ended, headers=cookie).status_code == 404


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "//evil", "http://x/api/a", "/api/a b", ""])
def test_a_link_leads_to_the_api_alone(web: Web, path: str) -> None:
    web.post("/api/session/link", {"path": path}, status=422)


def test_a_page_and_a_server_recognise_each_other_after_a_restart(web: Web, tmp_path: Path) -> None:
    from tests.web.proving import Prover

    key = web.get("/api/session")["key"]
    second = make_web(tmp_path)
    page = Prover(second, web.session.id, key)
    assert page.server_proves_itself()
    answer = page.answers()
    assert answer.status_code == 200
    assert answer.json["secret"] == second.access.sessions.secret_of(web.session)
    # What was said once is good for nothing more, nor elsewhere, nor with anything exchanged.
    assert page.sends_again().status_code == 403
    for wrong in ("origin", "boot", "nonce", "challenge", "session", "proof"):
        page = Prover(second, web.session.id, key)
        assert page.server_proves_itself()
        assert page.answers(wrong=wrong).status_code in (400, 403), wrong
    # A server on another port is not the one that the page means, whoever passes on its words.
    elsewhere = Prover(second, web.session.id, key, believed_origin=f"http://127.0.0.1:{PORT + 1}")
    assert not elsewhere.server_proves_itself()
    assert elsewhere.answers().status_code == 403
    assert Prover(second, None, (tmp_path / ".cpt-studio/token").read_text().strip()).come_in()
    assert not Prover(second, None, "x" * 43).server_proves_itself()


def test_that_a_session_is_over_is_proven_too(web: Web) -> None:
    from tests.web.proving import Prover

    key = web.get("/api/session")["key"]
    web.request("POST", "/api/session/end-all")
    page = Prover(web, web.session.id, key)
    assert not page.server_proves_itself() and page.session_is_over()
    assert page.answers().status_code == 403


def test_pages_of_one_browser_share_the_session_of_its_cookie(web: Web) -> None:
    from tests.web.proving import Prover

    first = web.access.sessions.begin()
    key = base64.b64encode(web.access.sessions.proof_key_of(first)).decode()
    page = Prover(web, first.id, key, cookie=web.cookie)
    assert page.come_in()["session"] == web.session.id
    alone = Prover(web, first.id, key)
    assert alone.come_in()["session"] == first.id
