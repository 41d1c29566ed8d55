"""How the tests start a browser, and what one keeps that has signed in."""

from __future__ import annotations

import os
import shutil
from typing import Any

from playwright.sync_api import BrowserContext, Page, StorageState

from tests.web.server_process import RunningServer, SignedIn

# Chromium's own toolbar consists of pages too, which each new window renders, seen or not: two
# thirds of the processor time of a test's empty window.
_WITHOUT_ITS_OWN_PAGES = (
    "--disable-features=WebUIOmniboxPopup,WebUIReloadButton,WebUIOmniboxAimPopup"
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The machine's own Chromium or Chrome, or None."""
    given = os.environ.get("CPT_STUDIO_CHROMIUM")
    return given or next((path for name in _NAMES if (path := shutil.which(name))), None)


def browser_options(*arguments: str) -> dict[str, Any]:
    """What Playwright is told to start Chromium: the machine's own, or Playwright's."""
    # Chromium refuses its sandbox to root, which continuous integration often is.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {
        "executable_path": find_browser(),
        "args": [*sandbox, _WITHOUT_ITS_OWN_PAGES, *arguments],
    }


def storage_of(server: RunningServer, session: SignedIn) -> StorageState:
    """What a browser keeps that has signed in."""
    name, _, value = session.cookie.partition("=")
    return {
        "cookies": [
            {
                "name": name, "value": value, "domain": "127.0.0.1", "path": "/", "expires": -1,
                "httpOnly": True, "secure": False, "sameSite": "Strict",
            }
        ],
        "origins": [
            {
                "origin": server.origin,
                "localStorage": [{"name": "cpt-studio.secret", "value": session.secret}],
            }
        ],
    }  # fmt: skip


def come_in(context: BrowserContext, server: RunningServer) -> Page:
    """A page that signed in by the entry file, as a user does; also after a restart."""
    page = context.new_page()
    page.goto((server.workspace / ".cpt-studio" / "open.html").as_uri())
    page.wait_for_url(f"{server.origin}/")
    return page
