"""The Settings page: preferences are kept, appearance follows, sessions end."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.runs.preferences import read_preferences
from cptstudio.workspace import Workspace
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.conftest import signed_in

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


def test_preferences_are_kept(page: Page, studio: RunningServer) -> None:
    private = Workspace(studio.workspace).private
    page.goto("/settings")
    awake = page.get_by_label("Prevent sleep while training")
    expect(awake).to_be_checked()
    awake.uncheck()
    expect(page.locator("[data-preference=prevent_sleep]")).to_contain_text("Saved")
    assert read_preferences(private).prevent_sleep is False
    page.reload()
    expect(awake).not_to_be_checked()
    awake.check()
    expect(page.locator("[data-preference=prevent_sleep]")).to_contain_text("Saved")
    assert read_preferences(private).prevent_sleep is True


def test_retention_is_where_a_new_run_begins(page: Page, studio: RunningServer) -> None:
    page.goto("/settings")
    keep = page.get_by_label("Checkpoints to keep", exact=True)
    keep.fill("1")
    keep.press("Tab")
    expect(keep).to_have_attribute("aria-invalid", "true")
    assert read_preferences(Workspace(studio.workspace).private).keep_last == 2
    keep.fill("5")
    keep.press("Tab")
    expect(page.locator("[data-preference=keep_last]")).to_contain_text("Saved")
    page.goto("/new?view=all")
    expect(page.locator(".group", has_text="Checkpoints").get_by_role("listitem")).to_contain_text(
        "5"
    )
    page.goto("/settings")
    keep.fill("2")
    keep.press("Tab")
    expect(page.locator("[data-preference=keep_last]")).to_contain_text("Saved")


def test_appearance_is_kept_in_the_browser(page: Page) -> None:
    page.goto("/settings")
    page.get_by_role("radio", name="Dark").check()
    expect(page.locator("html")).to_have_attribute("data-scheme", "dark")
    single = page.get_by_label("Single-key shortcuts")
    page.keyboard.press("Escape")
    page.locator("main").focus()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Data", level=1)).to_be_visible()
    page.goto("/settings")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    single.uncheck()
    page.locator("main").focus()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()


def test_about_tells_this_machine(page: Page, studio: RunningServer) -> None:
    page.goto("/settings")
    expect(page.get_by_role("region", name="Workspace")).to_contain_text(str(studio.workspace))
    about = page.get_by_role("region", name="About")
    for word in ("CPT Studio", "Memory", "available of", "Disk", "Python", "MLX"):
        expect(about).to_contain_text(word)


def test_all_sessions_end(browser: Browser, studio: RunningServer, tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    """On a server of its own: the other tests keep their session."""
    with running_server(tmp_path_factory.mktemp("ended"), "--no-detect") as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        page.goto("/settings")
        page.get_by_role("button", name="Sign out everywhere…").click()
        page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
        expect(page.get_by_role("alert")).to_contain_text("You've been signed out")
        expect(page.get_by_role("group", name="Status")).to_contain_text("Signed out")
        assert page.request.get("/api/system").status == 401
        context.close()
