"""The frame of the pages: the sidebar, a phone's bar, paper, and an address that leads nowhere."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import AXE, assert_accessible

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


def looked_at(page: Page) -> None:
    if AXE.exists():
        assert_accessible(page)


def test_the_sidebar_folds_and_that_is_remembered(page: Page) -> None:
    page.goto("/settings")
    fold = page.get_by_role("button", name="Sidebar labels")
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("group", name="Status")).to_contain_text("Memory")
    fold.click()
    page.reload()
    expect(fold).to_have_attribute("aria-expanded", "false")
    looked_at(page)
    # Without words in view the links have their names all the same.
    page.get_by_role("navigation").get_by_role("link", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    fold.click()
    expect(fold).to_have_attribute("aria-expanded", "true")


def test_a_phone_has_a_bar_with_a_menu(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/settings")
    menu = page.get_by_role("button", name="Menu", exact=True)
    runs = page.get_by_role("link", name="Runs", exact=True)
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(runs).to_have_count(0)
    menu.click()
    expect(runs).to_be_visible()
    looked_at(page)
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(runs).to_have_count(0)
    menu.click()
    runs.click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "false")


def test_paper_has_neither_navigation_nor_buttons(page: Page) -> None:
    page.goto("/data/domain")
    expect(page.get_by_role("link", name="Train")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", name="Document sizes")).to_be_visible()
    for hidden in (page.get_by_role("navigation"), page.get_by_role("link", name="Train")):
        expect(hidden).to_have_count(0)
    assert page.locator("button:visible").count() == 0


def test_an_address_that_leads_nowhere_has_a_page(page: Page) -> None:
    answer = page.goto("/nowhere/at/all")
    assert answer is not None and answer.status == 404
    expect(page.get_by_role("heading", name=re.compile("Page not found"))).to_be_visible()
    looked_at(page)
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
