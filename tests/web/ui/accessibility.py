"""Asks axe-core (https://github.com/dequelabs/axe-core) what it finds in a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).parents[3] / "node_modules/axe-core/axe.min.js"
needs_axe = pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not installed: run `npm install --no-package-lock`"
)
_RUN = """() => axe.run(document, {resultTypes: ["violations"]}).then(found =>
    found.violations.map(one => `${one.id}: ${one.help}: ` +
        one.nodes.map(node => node.target.join(" ") + " " + node.failureSummary).join(" | ")))"""


def violations(page: Page) -> list[str]:
    """What axe-core finds, by rule with the elements.

    It is injected by the debugging protocol, which the page's security policy allows.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_RUN)
    return found


def assert_accessible(page: Page) -> None:
    """No violation, nothing wider than the window."""
    found = violations(page)
    assert not found, f"{page.url}: " + "\n".join(found)
    widths = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1], f"{page.url} is {widths[0]} px wide in {widths[1]} px"


def assert_accessible_in_all(page: Page) -> None:
    """The same in light and dark, wide and narrow, with what is open now."""
    if not AXE.exists():
        return  # The tests that are about accessibility say that it is missing.
    size = page.viewport_size
    assert size is not None
    for scheme in ("light", "dark"):
        for width in (1366, 390):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.set_viewport_size({"width": width, "height": 900})
            # The charts follow the window's width a frame later.
            page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
            assert_accessible(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(size)
