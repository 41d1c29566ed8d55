"""Pages that are opened or reloaded while the server is away, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.web.server_process import PATIENCE, free_port, running_server
from tests.web.ui.conftest import signed_in

pytestmark = pytest.mark.slow

PAGES = {
    "Data": "No corpora yet",
    "Settings": "Detect other training",
    "New run": "Base model",
    "Evaluate": "Evaluate",
}


def test_pages_opened_while_the_server_is_away_recover_by_themselves(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "enormous.html").write_text("<body>" + 9000 * f"<p>{'Words. ' * 700}</p>\n")
    with running_server(tmp_path, "--no-detect", port=port) as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        # The code of all pages is there once the network is quiet; their data is not.
        page.goto("/", wait_until="networkidle")
        page.get_by_role("heading", level=1).first.wait_for()
        page.goto("/data?add=1")
        page.get_by_role("option", name="enormous.html").click()
        page.get_by_role("button", name="Build corpus").click()
        job = page.locator(".job")
        expect(job).to_contain_text("reading", timeout=PATIENCE * 1000)
    # The server is gone: pages are opened within the page that is there.
    for title in PAGES:
        page.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
        page.get_by_text("Can't reach the CPT Studio server").first.wait_for()
    page.get_by_role("navigation").get_by_role("link", name="Settings", exact=True).click()
    problems = page.get_by_role("main").get_by_text("Can't reach the CPT Studio server")
    expect(problems.first).to_be_visible()
    with running_server(tmp_path, "--no-detect", port=port):
        expect(problems).to_have_count(0, timeout=PATIENCE * 1000)
        expect(page.get_by_text(PAGES["Settings"]).first).to_be_visible(timeout=PATIENCE * 1000)
        page.get_by_role("navigation").get_by_role("link", name="Data", exact=True).click()
        # What was under way ended with the server, and says so until it is put away.
        expect(job).to_contain_text("The server stopped before this finished")
        job.get_by_role("button", name="Close").click()
        expect(job).to_have_count(0)
        for title in PAGES:
            page.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
            expect(
                page.get_by_role("main").get_by_text("Can't reach the CPT Studio server")
            ).to_have_count(0, timeout=PATIENCE * 1000)
    context.close()


def test_a_workspace_that_was_away_is_shown_again_by_itself(
    browser: Browser, tmp_path: Path
) -> None:
    root, aside = tmp_path / "workspace", tmp_path / "aside"
    root.mkdir()
    with running_server(root, "--no-detect") as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        page.goto("/settings")
        page.get_by_text(PAGES["Settings"]).first.wait_for()
        root.rename(aside)
        page.get_by_role("navigation").get_by_role("link", name="Runs", exact=True).click()
        problem = page.get_by_role("main").get_by_text("no longer exists")
        expect(problem.first).to_be_visible()
        assert not root.exists()
        aside.rename(root)
        expect(problem).to_have_count(0, timeout=PATIENCE * 1000)
        context.close()


def test_a_single_file_or_answer_that_got_lost_is_asked_for_again(
    browser: Browser, tmp_path: Path
) -> None:
    """All others come, and the page stays live: nothing else tells that it is time to try again."""
    with running_server(tmp_path, "--no-detect") as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        lost: list[str] = []

        def lose_once(route: Route) -> None:
            url = route.request.url
            if url in lost:
                route.continue_()
            else:
                lost.append(url)
                route.abort()

        page.route("**/pages/playground.js", lose_once)
        page.route("**/api/evaluation/models", lose_once)
        page.goto("/playground")
        expect(page.get_by_text("No models on this machine yet")).to_be_visible(
            timeout=PATIENCE * 1000
        )
        assert len(lost) == 2, lost
        context.close()
