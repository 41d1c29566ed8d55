"""A real browser and a real server for the tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    sync_playwright,
)

from tests.training.small_workspace import make_workspace
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.browsers import browser_options, storage_of


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Playwright itself, of which a process can have one."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium: the machine's own, or the one that Playwright installed."""
    started = playwright.chromium.launch(**browser_options())
    yield started
    started.close()


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the file browser may show."""
    return tmp_path_factory.mktemp("documents")


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[RunningServer]:
    """The server on a workspace with a toy model and two corpora."""
    root = tmp_path_factory.mktemp("studio") / "workspace"
    make_workspace(root)
    options = ("--no-detect", "--allow-root", str(documents))
    with running_server(root, *options) as server:
        yield server


def signed_in(browser: Browser, server: RunningServer, **options: object) -> BrowserContext:
    """A browser session that may use the server."""
    context = browser.new_context(
        reduced_motion="reduce",
        storage_state=storage_of(server, server.sign_in()),
        **options,  # type: ignore[arg-type]
    )
    context.set_default_timeout(PATIENCE * 1000)
    return context


@pytest.fixture
def page(browser: Browser, studio: RunningServer) -> Iterator[Page]:
    """A signed-in page; a script's error or a refusal of the CSP fails the test."""
    context = signed_in(browser, studio, base_url=studio.origin)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            faults.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    yield opened
    context.close()
    assert not faults
