"""The token, the entry file and the cookie."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from cptstudio.errors import UserError
from cptstudio.web.security.boot import Boot
from cptstudio.web.security.sessions import Sessions
from cptstudio.web.security.token import prepare_private_folder, read_or_make_token
from tests.web.in_process import ORIGIN, PORT, Web, make_web

FORM = "application/x-www-form-urlencoded"


def enter(web: Web, headers: dict[str, str] | None = None, **form: str) -> TestResponse:
    """The form of the entry file."""
    given = {"Content-Type": FORM, **(headers or {})}
    return web.raw("POST", "/enter", data=urlencode(form).encode(), headers=given)


def send_token(web: Web, token: str, **headers: str) -> TestResponse:
    return web.raw("POST", "/enter", json={"token": token}, headers={"Origin": ORIGIN, **headers})


def token_of(root: Path) -> str:
    return (root / ".cpt-studio" / "token").read_text().strip()


def test_token_is_exchanged_for_a_strict_cookie_and_a_secret(web: Web, tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) == 43  # 256 bits in base64
    response = send_token(web, f" {token}\n")
    assert response.status_code == 200
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"cpt-studio-{PORT}=")
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert attribute in cookie
    assert "Secure" not in cookie and token not in cookie and token not in response.text
    assert response.headers["Cache-Control"] == "no-store"
    headers = {"Cookie": cookie.partition(";")[0]}
    assert web.raw("GET", "/api/session", headers=headers).status_code == 401
    headers["X-CPT-Studio-Session"] = response.json["secret"]
    assert web.raw("GET", "/api/session", headers=headers).status_code == 200


def test_cookie_is_secure_under_tls(tmp_path: Path) -> None:
    web = make_web(tmp_path, certfile=Path("cert.pem"), keyfile=Path("key.pem"))
    origin = f"https://127.0.0.1:{PORT}"
    response = web.raw(
        *("POST", "/enter"),
        json={"token": token_of(tmp_path)},
        headers={"Origin": origin},
        base_url=origin,
    )
    assert "; Secure" in response.headers["Set-Cookie"]


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 43, "\x00", "\udce9"])
def test_wrong_token(web: Web, token: str) -> None:
    response = send_token(web, token)
    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'{"token": 1}', b"{", b"\xff", b"[" * 4000])
@pytest.mark.parametrize("path", ["/enter", "/enter/challenge", "/enter/answer"])
def test_what_is_no_sign_in_is_refused(web: Web, path: str, body: bytes) -> None:
    headers = {"Origin": ORIGIN, "Content-Type": "application/json"}
    response = web.raw("POST", path, data=body, headers=headers)
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


def test_entry_code_is_good_for_one_entry(web: Web, tmp_path: Path) -> None:
    entry = web.access.entry
    assert enter(web, code="").status_code == 403
    entry.renew()
    assert stat.S_IMODE(entry.path.stat().st_mode) == 0o600
    page = entry.path.read_text()
    code = page.partition('value="')[2].partition('"')[0]
    assert token_of(tmp_path) not in page and f'action="{ORIGIN}/enter"' in page
    refused = enter(web, code=code + "x")
    assert refused.status_code == 403 and "Set-Cookie" not in refused.headers
    headers = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
    response = enter(web, headers, code=code)
    assert response.status_code == 200
    # The secret is in no address, and what hands it over is no file that could lie in a cache.
    secret = response.text.partition('data-secret="')[2].partition('"')[0]
    script = response.text.partition('<script src="')[2].partition('"')[0]
    assert "Location" not in response.headers and secret not in script
    assert web.access.boot.id in script and web.raw("GET", script).status_code == 200
    session = {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}
    session["X-CPT-Studio-Session"] = secret
    assert web.raw("GET", "/api/session", headers=session).status_code == 200
    assert enter(web, headers, code=code).status_code == 403
    assert entry.path.read_text() != page


def test_the_file_clears_what_the_browser_keeps_and_no_other_page_can(web: Web) -> None:
    web.access.entry.renew()
    address = web.access.entry.path.read_text().partition('data-clear="')[2].partition('"')[0]
    answer = web.raw("GET", address.removeprefix(ORIGIN), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert answer.headers.getlist("Cross-Origin-Resource-Policy") == ["cross-origin"]
    for path in (f"{address.removeprefix(ORIGIN)}x", "/enter/clear/", "/enter/clear"):
        assert "Clear-Site-Data" not in web.raw("GET", path).headers


def test_sign_in_from_another_page_is_refused_even_with_the_token(web: Web, tmp_path: Path) -> None:
    token = token_of(tmp_path)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{PORT + 1}"},
        {"Origin": "null"},
        {"Host": f"evil.example:{PORT}"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"Content-Type": "text/plain"},
        {"Content-Type": FORM},
    ):
        response = send_token(web, token, **headers)
        assert response.status_code in (400, 403, 415), headers
        assert "Set-Cookie" not in response.headers
    assert enter(web, token=token).status_code == 403
    assert send_token(web, token + "x" * 5000).status_code == 413
    for method in ("PUT", "DELETE"):
        assert web.raw(method, "/enter", headers={"Origin": ORIGIN}).status_code == 405
    response = web.raw("GET", f"/enter?token={token}")
    assert "Set-Cookie" not in response.headers and token not in response.text
    assert response.headers["Location"] == "/"


def test_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    prepare_private_folder(tmp_path)
    token = read_or_make_token(tmp_path)
    assert read_or_make_token(tmp_path) == token
    assert read_or_make_token(tmp_path, renew=True) != token
    file = tmp_path / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for spoil in (
        lambda: file.chmod(0o644),
        lambda: file.write_text("short"),
        lambda: file.write_bytes(b"\xff" * 43),
    ):
        before = read_or_make_token(tmp_path)
        spoil()
        assert read_or_make_token(tmp_path) != before
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    outside = tmp_path / "outside"
    outside.write_text(token)
    file.unlink()
    file.symlink_to(outside)
    assert read_or_make_token(tmp_path) != token
    assert not file.is_symlink() and outside.read_text() == token


def test_private_folder_is_closed_to_others(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o755)
    prepare_private_folder(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    link = tmp_path / "link"
    link.symlink_to(private)
    with pytest.raises(UserError, match="is a link"):
        prepare_private_folder(link)


def test_ended_sessions_that_cannot_be_read_let_nobody_in(web: Web, tmp_path: Path) -> None:
    file = tmp_path / ".cpt-studio" / "ended_sessions.json"
    file.write_text("{torn")
    with pytest.raises(UserError, match="--new-token"):
        Sessions(token_of(tmp_path), tmp_path / ".cpt-studio", Boot())


def test_ended_sessions_of_an_older_version_are_understood(web: Web, tmp_path: Path) -> None:
    file = tmp_path / ".cpt-studio" / "ended_sessions.json"
    file.write_text(json.dumps({web.session.part: time.time()}))
    sessions = Sessions(token_of(tmp_path), tmp_path / ".cpt-studio", Boot())
    assert not sessions.holds(web.session) and sessions.holds(sessions.begin())
