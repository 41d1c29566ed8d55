"""Runs, Run, Compare and their dialogs hold to what axe-core knows of accessibility.

No page says what read like a translation (`tests/words.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio import run_files
from cptstudio.json_lines import JsonLinesWriter
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace, prepare
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible, needs_axe
from tests.web.ui.conftest import signed_in
from tests.web.ui.written_runs import write_run
from tests.words import LABELS, TEXTS

pytestmark = [pytest.mark.slow, needs_axe]
expect.set_options(timeout=PATIENCE * 1000)

PATHS = (
    "/",
    "/runs",
    "/runs/alpha",
    "/runs/alpha?tab=samples",
    "/runs/alpha?tab=story",
    "/runs/alpha?tab=configuration",
    "/runs/alpha?tab=log",
    "/runs/alpha?tab=notes",
    "/runs/ready",
    "/runs/not-there",
    "/compare",
    "/compare?runs=alpha,beta",
)

OTHERS = (
    "/data",
    "/data?add=1",
    "/data/domain",
    "/data/domain?tab=documents",
    "/models",
    "/new",
    "/new?from=alpha",
    "/playground",
    "/evaluate",
    *(f"/evaluate?view={view}" for view in ("table", "heat", "suites", "merge", "questions")),
    "/settings",
    "/nowhere",
)
"""Pages whose accessibility others look at."""
SHOWN = """() => {
  const names = ["aria-label", "title", "placeholder"];
  const named = [...document.querySelectorAll(names.map((name) => `[${name}]`).join())]
    .flatMap((one) => names.map((name) => one.getAttribute(name)).filter(Boolean));
  return document.body.innerText + "\\n" + named.join("\\n");
}"""
"""All that a page says to the eye and to the ear."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two runs with everything that can be shown, and a prepared one."""
    made = make_workspace(tmp_path_factory.mktemp("access") / "workspace")
    alpha = write_run(made, "alpha", 60, {30: {"loss": "NaN", "skipped": "a loss of NaN"}})
    write_run(made, "beta", 40, optimizer={"learning_rate": 1e-4})
    prepare(made, "ready")
    (alpha / run_files.LOG).write_text("one line\n" * 200, encoding="utf-8")
    samples = JsonLinesWriter(alpha / run_files.SAMPLES)
    sample = {"session": 0, "index": 0, "prompt": "def ", "completion": "read(path):\n    pass"}
    for step in (15, 30):
        samples.append({"time": 1.0, "step": step, **sample})
    return made


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[RunningServer]:
    with running_server(workspace.root, "--no-detect") as started:
        yield started


@pytest.fixture(params=[1366, 390], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, server: RunningServer) -> Iterator[Page]:
    """A page in one width."""
    size = {"width": request.param, "height": 900}
    context = signed_in(browser, server, base_url=server.origin, viewport=size)
    yield context.new_page()
    context.close()


def settled(page: Page) -> None:
    """Nothing loads any more."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    expect(page.get_by_text("Loading…", exact=True)).to_have_count(0)


def test_no_page_says_a_translated_word(browser: Browser, server: RunningServer) -> None:
    context = signed_in(browser, server, base_url=server.origin)
    page = context.new_page()
    for path in (*PATHS, *OTHERS):
        page.goto(path)
        settled(page)
        shown = page.evaluate(SHOWN)
        assert [text for text in TEXTS if text in shown] == [], path
        assert sorted(set(LABELS) & set(shown.split("\n"))) == [], path
    context.close()


def test_every_page(page: Page) -> None:
    for path in PATHS:
        page.goto(path)
        settled(page)
        assert_accessible(page)


def test_dialogs_menus_and_tables(page: Page, workspace: Workspace) -> None:
    page.goto("/runs/alpha")
    settled(page)
    page.get_by_role("button", name="Export", exact=True).click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Loss: table and export", exact=True).click()
    page.get_by_role("menuitem", name="View as table").click()
    assert_accessible(page)
    page.get_by_role("button", name="Delete").click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Resume", exact=True).click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.goto("/runs/ready")
    page.get_by_role("button", name="Start", exact=True).click()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.get_by_role("main").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    assert_accessible(page)


def test_by_keyboard_from_the_list_to_a_run(page: Page) -> None:
    page.goto("/runs")
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    page.keyboard.press("r")
    settled(page)
    link = page.get_by_role("table", name="All runs").get_by_role("link", name="alpha")
    for _ in range(60):
        page.keyboard.press("Tab")
        if link.evaluate("link => link === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="alpha", level=1)).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()


def test_what_cannot_be_read_in_the_dark_is_found(browser: Browser) -> None:
    dark = "@media (prefers-color-scheme: dark) { h1 { color: #888; background: #777; } }"
    page = browser.new_page()
    page.set_content(
        f"<html lang=en><head><title>T</title><style>{dark}</style></head>"
        "<body><main><h1>Words</h1></main></body></html>"
    )
    with pytest.raises(AssertionError, match="dark: color-contrast"):
        assert_accessible(page)
    page.close()
