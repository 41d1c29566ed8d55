"""Coming in with a real browser, and what pages of others can do from within it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.browsers import browser_options, come_in

pytestmark = pytest.mark.slow

# A page of others tries all that a page can try, and says what it could read.
ATTACK = """
async (target) => {
  const results = {};
  const attempt = async (name, work) => {
    try { results[name] = await work(); } catch (error) { results[name] = "refused"; }
  };
  const json = { "Content-Type": "application/json" };
  const url = target + "/api/session";
  await attempt("read", async () => (await fetch(url, { credentials: "include" })).status);
  await attempt("blind", async () =>
    (await fetch(url, { credentials: "include", mode: "no-cors" })).type);
  await attempt("json", async () => (await fetch(target + "/api/session/end",
    { method: "POST", credentials: "include", headers: json, body: "{}" })).status);
  await attempt("simple", async () => (await fetch(target + "/api/session/end",
    { method: "POST", credentials: "include", mode: "no-cors",
      headers: { "Content-Type": "text/plain" }, body: "{}" })).type);
  await attempt("beacon", async () => navigator.sendBeacon(target + "/api/session/end", "{}"));
  await attempt("script", () => new Promise((resolve) => {
    const element = document.createElement("script");
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("refused");
    element.src = target + "/ui/app.js";
    document.body.append(element);
  }));
  await attempt("image", () => new Promise((resolve) => {
    const element = new Image();
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("refused");
    element.src = target + "/ui/icon.svg";
  }));
  await attempt("socket", () => new Promise((resolve) => {
    const address = target.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket";
    const socket = new WebSocket(address);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  }));
  await attempt("polling", async () => (await fetch(
    target + "/socket.io/?EIO=4&transport=polling", { credentials: "include" })).status);
  return results;
}
"""


@pytest.fixture(scope="module")
def rebinding_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser for which other names lead to this machine, as an attacker's DNS says."""
    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    started = playwright.chromium.launch(**browser_options(rules))
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("workspace"), "--no-detect") as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of another program's web server on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>elsewhere</title><body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    yield other.server_address[1]
    other.shutdown()


@pytest.fixture
def context(rebinding_browser: Browser) -> Iterator[BrowserContext]:
    made = rebinding_browser.new_context()
    made.set_default_timeout(PATIENCE * 1000)
    yield made
    made.close()


def entry_file(server: RunningServer) -> Path:
    return server.workspace / ".cpt-studio" / "open.html"


def cookie_name(server: RunningServer) -> str:
    return f"cpt-studio-{server.port}"


# What a page's own scripts do; the cookie alone opens nothing.
STATUS = """
async () => {
  const secret = sessionStorage.getItem("cpt-studio.secret") ?? "";
  return (await fetch("/api/session", { headers: { "X-CPT-Studio-Session": secret } })).status;
}
"""


def is_signed_in(page: Page) -> bool:
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    return bool(page.evaluate(STATUS) == 200)


def test_the_file_leads_in_and_leaves_no_secret_behind(
    context: BrowserContext, server: RunningServer
) -> None:
    code = entry_file(server).read_text().partition('value="')[2].partition('"')[0]
    token = (server.workspace / ".cpt-studio" / "token").read_text().strip()
    addresses: list[str] = []
    context.on("request", lambda request: addresses.append(f"{request.url} {request.headers}"))
    page = come_in(context, server)
    assert is_signed_in(page)
    assert cookie_name(server) not in page.evaluate("document.cookie")
    seen = "\n".join([*addresses, page.url, page.content(), server.text])
    assert code not in seen and token not in seen
    cookie = next(one for one in context.cookies() if one["name"] == cookie_name(server))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    # Nothing is there to go back to that would sign in once more or ask to send a form again.
    went_back = page.go_back()
    assert went_back is None and page.url == "about:blank"


def test_the_token_can_be_pasted(context: BrowserContext, server: RunningServer) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.post_data}"))
    page.goto(f"{server.origin}/settings?from=a-link")
    page.get_by_label("Token").fill("nonsense")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    token = (server.workspace / ".cpt-studio" / "token").read_text()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    # The page that was asked for, without another visit.
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()
    assert page.url == f"{server.origin}/settings?from=a-link"
    assert page.evaluate("history.length") == 2
    assert is_signed_in(page)
    sent = "\n".join(asked)
    assert "/enter/answer" in sent and token.strip() not in sent


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_of_others_gets_nothing(
    context: BrowserContext, server: RunningServer, elsewhere: int, name: str
) -> None:
    ours = come_in(context, server)
    page = context.new_page()
    page.goto(f"http://{name}:{elsewhere}/")
    results = page.evaluate(ATTACK, server.origin)
    assert set(results.values()) <= {"refused", "opaque", True, False}, results
    assert results["socket"] == results["script"] == results["image"] == "refused"
    assert is_signed_in(ours)


def test_a_name_that_was_bound_to_this_machine_gets_nothing(
    context: BrowserContext, server: RunningServer
) -> None:
    come_in(context, server)
    page = context.new_page()
    response = page.goto(f"http://rebound.example:{server.port}/")
    assert response is not None and response.status == 403
    status = page.evaluate("async () => (await fetch('/api/session')).status")
    assert status == 403


def test_a_page_of_others_cannot_frame_ours(
    context: BrowserContext, server: RunningServer, elsewhere: int
) -> None:
    come_in(context, server)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    page.evaluate(
        """(address) => {
          const frame = document.createElement("iframe");
          frame.src = address;
          document.body.append(frame);
          return new Promise((resolve) => { frame.onload = resolve; });
        }""",
        f"{server.origin}/",
    )
    assert "CPT Studio" not in page.frames[1].content()


@pytest.mark.parametrize("name", ["127.0.0.1", "evil.example"])
def test_a_link_to_ours_on_a_page_of_others_works(
    context: BrowserContext, server: RunningServer, elsewhere: int, name: str
) -> None:
    come_in(context, server)
    page = context.new_page()
    page.goto(f"http://{name}:{elsewhere}/")
    page.evaluate(
        """(address) => {
          const link = document.createElement("a");
          link.href = address;
          link.textContent = "go";
          document.body.append(link);
        }""",
        f"{server.origin}/settings",
    )
    page.get_by_text("go").click()
    page.wait_for_url(f"{server.origin}/settings")
    page.wait_for_selector("script[type=module]", state="attached")
    assert is_signed_in(page)
