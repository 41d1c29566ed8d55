"""Asks axe-core (https://github.com/dequelabs/axe-core) what it finds in a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).parents[3] / "node_modules/axe-core/axe.min.js"
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: run `npm install --no-package-lock`"
)
_RUN = """rules => axe.run(document, {resultTypes: ["violations"],
        ...(rules.length > 0 ? {runOnly: {type: "rule", values: rules}} : {})}).then(found =>
    found.violations.map(one => `${one.id}: ${one.help}: ` +
        one.nodes.map(node => node.target.join(" ") + " " + node.failureSummary).join(" | ")))"""
# What may differ between light and dark. Both come from the style sheet, so that one page can be
# asked in both.
_OF_COLOURS = ["color-contrast", "link-in-text-block"]


def violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds, by rule with the elements; all rules where none is named.

    It is injected by the debugging protocol, which the page's security policy allows.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_RUN, list(rules))
    return found


def assert_accessible(page: Page) -> None:
    """No violation in light or dark, nothing wider than the window; once the page is there."""
    page.locator("h1").first.wait_for(state="attached")
    found = [f"light: {one}" for one in violations(page)]
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in violations(page, _OF_COLOURS)]
    page.emulate_media(color_scheme="light")
    assert not found, f"{page.url}: " + "\n".join(found)
    widths = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], f"{page.url} is {widths[0]} px wide in {widths[1]} px"


def assert_accessible_in_all(page: Page) -> None:
    """The same wide and narrow, with what is open now."""
    if not AXE.exists():
        return  # The tests that are about accessibility say that it is missing.
    size = page.viewport_size
    assert size is not None
    for width in (1366, 390):
        page.set_viewport_size({"width": width, "height": 900})
        # The charts follow the window's width a frame later.
        page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
        assert_accessible(page)
    page.set_viewport_size(size)


def picture(page: Page, name: str) -> None:
    """Keep pictures of it where somebody wants to look at them: CPT_STUDIO_PICTURES."""
    folder = os.environ.get("CPT_STUDIO_PICTURES")
    if folder is None:
        return
    for scheme in ("light", "dark"):
        for width in (1366, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1366, "height": 900})
