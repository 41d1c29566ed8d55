"""What another user of the machine can capture of a session, and what it opens: nothing.

The stranger is a process of its own, of another user where the tests may have one. It listens on
another port, and on ours once our server was stopped, and tries later all that it got.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from examples.follow_run import RunFollower
from tests.web.in_process import make_web
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, train_row
from tests.web.server_process import PATIENCE, RunningServer, free_port, running_server, wait_for
from tests.web.test_gate import content_type_of, routes_of
from tests.web.ui.browsers import come_in

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)

STRANGER = Path(__file__).parents[1] / "stranger.py"
NOBODY = 65534
SECRET = "X-CPT-Studio-Session"


class Stranger:
    """The other user's process, and what it got."""

    def __init__(self, port: int, ours: int, *options: str) -> None:
        # Of another user, a program can be started only by a Python that others may read.
        python = next(path for path in ("/usr/bin/python3", "/usr/local/bin/python3", "python3")
                      if "/" not in path or os.access(path, os.X_OK))  # fmt: skip
        user = NOBODY if os.geteuid() == 0 and python.startswith("/usr") else None
        self.got: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [python, "-", f"{port}/{ours}", *options],
            stdin=STRANGER.open("rb"),
            stdout=subprocess.PIPE,
            user=user,
            text=True,
            cwd="/",
        )
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: self.got, "the stranger")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.got.append(json.loads(line))

    def requests(self, path: str = "/") -> list[dict[str, Any]]:
        return [one for one in self.got if one.get("path", "").startswith(path)]


@contextmanager
def stranger_on(port: int, ours: int, *options: str) -> Iterator[Stranger]:
    stranger = Stranger(port, ours, *options)
    try:
        yield stranger
    finally:
        stranger.process.kill()
        stranger.process.wait(PATIENCE)


def come_to(context: BrowserContext, server: RunningServer, path: str = "/") -> Page:
    page = come_in(context, server)
    if path != "/":
        page.goto(f"{server.origin}{path}")
    is_live(page)
    return page


def is_live(page: Page) -> None:
    expect(page.get_by_text("Live", exact=True)).to_be_visible()


def all_routes(folder: Path) -> list[tuple[str, str, str | None]]:
    """Every route and socket, with the type of content it takes."""
    folder.mkdir()
    web = make_web(folder)
    found = [(method, path, content_type_of(web, method, path)) for method, path in routes_of(web)]
    web.studio.news.close()
    web.studio.manager.close()
    return found


def assert_opens_nothing(
    server: RunningServer,
    routes: list[tuple[str, str, str | None]],
    cookies: set[str],
    secrets: set[str],
) -> None:
    """Every route, with every pair of what was captured, as a program can send it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "A" * 22 + "=="
    socket_path = "/socket.io/?EIO=4&transport=websocket"
    for cookie, secret in itertools.product(cookies, secrets):
        headers = {"Cookie": cookie, SECRET: secret, "Origin": server.origin}
        headers["Sec-Fetch-Site"] = "same-origin"
        for method, path, content in routes:
            more = {"Content-Type": content} if content else {}
            body = b"{}" if content else None
            connection.request(method, path, body, {**headers, **more})
            answer = connection.getresponse()
            assert answer.read() and answer.status == 401, (method, path, answer.status)
        offered = {"Sec-WebSocket-Protocol": f"cpt-studio, {secret or 'x'}"}
        connection.request("GET", socket_path, headers={**headers, **upgrade, **offered})
        answer = connection.getresponse()
        assert answer.read() and answer.status == 401
    connection.close()


def captured(*strangers: Stranger) -> tuple[set[str], set[str]]:
    """All cookies and all values that could be secrets."""
    cookies, values = {""}, {""}
    for stranger in strangers:
        for request in stranger.requests():
            cookies.add(request["headers"].get("Cookie", ""))
            values.add(request["headers"].get(SECRET, ""))
            if request["path"] == "/held" and request["body"].startswith("{"):
                held = json.loads(request["body"])["held"]
                values |= {*held["local"].values(), *held["session"].values()}
    return cookies, values


def test_what_a_stranger_captures_opens_nothing(browser: Browser, tmp_path: Path) -> None:
    root, port, elsewhere = tmp_path / "workspace", free_port(), free_port()
    root.mkdir()
    routes = all_routes(tmp_path / "another")
    assert len(routes) > 80
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE * 1000)
    second_port = free_port()
    with running_server(root, "--no-detect", port=port) as server:
        working = come_to(context, server, "/settings")
        reloaded = context.new_page()
        reloaded.goto(f"{server.origin}/data")
        is_live(reloaded)

        # 1. Another port, which the user visits: it gets the cookie, and can set one.
        with stranger_on(elsewhere, port) as beside:
            visit = context.new_page()
            visit.goto(f"http://127.0.0.1:{elsewhere}/toss-beside")
            # Cookies of our name beside ours are no harm.
            reloaded.reload()
            is_live(reloaded)
            # In the place of ours: an open page proves itself, and has it back.
            visit.goto(f"http://127.0.0.1:{elsewhere}/toss")
            working.get_by_role("link", name="Data", exact=True).click()
            expect(working.get_by_text("No corpus yet")).to_be_visible()
            reloaded.reload()
            is_live(reloaded)
            visit.close()
        cookies, secrets = captured(beside)
        assert any(f"cpt-studio-{port}=" in cookie for cookie in cookies)
        assert secrets == {""}
        assert_opens_nothing(server, routes, cookies, secrets)

    # 2. Our very port, with no click: the open page finds the stranger, and tells it nothing.
    with stranger_on(port, port) as instead:
        told = working.get_by_role("alert").filter(has_text="A different program is running")
        expect(told).to_be_visible()
        working.get_by_role("link", name="Playground", exact=True).click()
        working.get_by_role("link", name="New run", exact=True).click()
        expect(working.get_by_role("heading", name="New run", level=1)).to_be_visible()
        asked = len(instead.requests("/enter/challenge"))
        wait_for(lambda: len(instead.requests("/enter/challenge")) > asked, "another try")
        paths = {request["path"] for request in instead.requests()}
        assert paths == {"/enter/challenge"}, paths
        bodies = [json.loads(request["body"]) for request in instead.requests()]
        assert all(set(body) == {"session", "nonce"} for body in bodies)
        assert not any("Cookie" in request["headers"] for request in instead.requests())
        # 3. The user visits it: it is the same origin, reads all that is stored, and stays.
        reloaded.reload()
        expect(reloaded).to_have_title("stranger is ready")
        held = json.loads(instead.requests("/held")[0]["body"])["held"]
        assert held["session"]["cpt-studio.secret"] and not held["databases"]

        answers = "fetch('/data').then((answer) => answer.text())"
        assert "stranger is ready" in reloaded.evaluate(answers)

        # 4. It passes words on to our server, which meanwhile runs on another port.
        instead.process.kill()
        instead.process.wait(PATIENCE)
        with running_server(root, "--no-detect", port=second_port) as moved:
            passing_on = Stranger(port, port, f"127.0.0.1:{moved.port}")
            wait_for(lambda: [o for o in passing_on.got if "passed_on" in o], "words passed on")
            asked = len(passing_on.requests("/enter/challenge"))
            wait_for(lambda: len(passing_on.requests("/enter/challenge")) > asked, "another try")
            expect(told).to_be_visible()
            assert not passing_on.requests("/enter/answer")
            cookies, secrets = captured(beside, instead, passing_on)
            moved_cookies = {cookie.replace(f"-{port}=", f"-{moved.port}=") for cookie in cookies}
            assert_opens_nothing(moved, routes, cookies | moved_cookies, secrets)
            passing_on.process.kill()
            passing_on.process.wait(PATIENCE)

    # 5. Our server is back: the open page goes on where it was, without a visit.
    with running_server(root, "--no-detect", port=port) as server:
        is_live(working)
        expect(told).to_have_count(0)
        expect(working.get_by_role("heading", name="New run", level=1)).to_be_visible()
        # Its page, which the browser was to keep for a day, is not kept any longer.
        fresh = context.new_page()
        fresh.goto(f"{server.origin}/data")
        expect(fresh.get_by_role("heading", name="Sign in to CPT Studio")).to_be_visible()
        working.get_by_role("link", name="Data", exact=True).click()
        expect(working.get_by_text("No corpus yet")).to_be_visible()
        cookies, secrets = captured(beside, instead, passing_on)
        assert len(cookies) > 1 and len(secrets) > 1
        assert_opens_nothing(server, routes, cookies, secrets)
        for request in (*instead.requests("/enter"), *passing_on.requests("/enter")):
            for path in ("/enter/answer", "/enter"):
                headers = {"Origin": server.origin, "Content-Type": "application/json"}
                body = {**json.loads(request["body"]), "challenge": "x", "proof": "0" * 64}
                again = server.request("POST", path, json.dumps(body).encode(), headers)
                assert again.status in (400, 403), again.body
    context.close()


def test_a_worker_that_a_stranger_left_sees_nothing_and_is_removed(
    browser: Browser, tmp_path: Path
) -> None:
    """It takes control of our open page, of those to come, and of all that they fetch."""
    root, port = tmp_path / "workspace", free_port()
    root.mkdir()
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE * 1000)
    with running_server(root, "--no-detect", port=port) as server:
        working = come_to(context, server, "/settings")
        # The code of all pages is there: none of it is loaded from a stranger later.
        working.wait_for_load_state("networkidle")
    sent: list[str] = []
    with stranger_on(port, port):
        visited = context.new_page()
        visited.goto(f"{server.origin}/worker")
        expect(visited).to_have_title("stranger is ready")
        told = working.get_by_role("alert").filter(has_text="is intercepting this page")
        expect(told).to_be_visible()
        working.on("request", lambda request: sent.append(request.url))
    with running_server(root, "--no-detect", port=port) as server:
        working.get_by_role("link", name="Data", exact=True).click()
        expect(working.get_by_role("alert").filter(has_text="prove").first).to_be_visible()
        assert not [url for url in sent if "/ui/" not in url]
        visited.close()
        # The file clears what it left, so no sign-in goes through its hands.
        fresh = come_to(context, server, "/data")
        assert fresh.evaluate("navigator.serviceWorker.controller") is None
        working.reload()
        is_live(working)
        expect(told).to_have_count(0)
    context.close()


def test_restart_reload_second_browser_and_end(browser: Browser, tmp_path: Path) -> None:
    """What the owner has to do, and what not."""
    root, port = tmp_path / "workspace", free_port()
    root.mkdir()
    make_run_with_rows(root)
    first, second = (browser.new_context(reduced_motion="reduce") for _ in range(2))
    with running_server(root, "--no-detect", port=port) as server:
        open_page = come_to(first, server, "/runs/one")
        reloaded = first.new_page()
        # A new page of the same browser needs no sign-in.
        reloaded.goto(f"{server.origin}/runs/one?view=table")
        is_live(reloaded)
        other = come_to(second, server)
    with running_server(root, "--no-detect", port=port) as server:
        is_live(open_page)
        is_live(other)
        # Two pages of one browser do not take the session from each other.
        is_live(reloaded)
        open_page.reload()
        is_live(open_page)
        stored = "Object.values(localStorage).includes(sessionStorage['cpt-studio.secret'])"
        assert not open_page.evaluate(stored)
        fresh = first.new_page()
        fresh.goto(f"{server.origin}/runs/one?view=table")
        fresh.get_by_label("Token", exact=True).fill((root / ".cpt-studio" / "token").read_text())
        fresh.get_by_role("button", name="Sign in").click()
        is_live(fresh)
        assert fresh.url == f"{server.origin}/runs/one?view=table"
        expect(fresh.get_by_role("heading", name="one", level=1)).to_be_visible()
        for page in (open_page, reloaded, other):
            page.goto(f"{server.origin}/settings")
            is_live(page)
        other.get_by_role("button", name="Sign out everywhere…").click()
        other.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        for page in (other, fresh, open_page, reloaded):
            expect(page.get_by_role("alert").first).to_contain_text("You've been signed out")
        fresh.get_by_label("Token", exact=True).fill((root / ".cpt-studio" / "token").read_text())
        fresh.get_by_role("button", name="Sign in").click()
        is_live(fresh)
    first.close()
    second.close()


def test_a_program_that_goes_on_after_a_restart_tells_a_stranger_nothing(tmp_path: Path) -> None:
    """The example of the documentation; it signs in by itself, whoever may be listening."""
    root, port = tmp_path / "workspace", free_port()
    root.mkdir()
    make_run_with_rows(root)
    rows: list[int] = []

    def tell(kind: str, value: Any) -> None:
        if kind == "row":
            rows.append(value["seq"])

    with running_server(root, "--no-detect", port=port) as server:
        token = (root / ".cpt-studio" / "token").read_text().strip()
        follower = RunFollower(server.origin, token, "one", tell)
        follower.start()
        wait_for(lambda: rows == [1], "the first row")
    with stranger_on(port, port) as instead:
        wait_for(lambda: len(instead.requests("/enter/challenge")) > 1, "a few tries")
        assert {request["path"] for request in instead.requests()} == {"/enter/challenge"}
        assert token not in json.dumps(instead.got)
        assert not [one for one in instead.requests() if {SECRET, "Cookie"} & set(one["headers"])]
    with running_server(root, "--no-detect", port=port):
        append(root / "models" / "cpt" / "one" / "metrics.jsonl", train_row(2, 2))
        wait_for(lambda: rows[-1] == 2, "the row after the restart")
        follower.close()


def make_run_with_rows(root: Path) -> None:
    from cptstudio.workspace import Workspace

    append(make_run(Workspace(root), "one"), train_row(1, 1))
