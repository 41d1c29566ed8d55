"""New run, Data and Settings with their dialogs hold to what axe-core knows of accessibility."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from tests.training.small_workspace import small_settings
from tests.web.server_process import PATIENCE, RunningServer
from tests.web.ui.accessibility import assert_accessible, needs_axe
from tests.web.ui.conftest import signed_in

pytestmark = [pytest.mark.slow, needs_axe]
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(params=[1366, 390], ids=str)
def view(request: pytest.FixtureRequest, browser: Browser, studio: RunningServer) -> Iterator[Page]:
    """A page in one width."""
    size = {"width": request.param, "height": 900}
    context = signed_in(browser, studio, base_url=studio.origin, viewport=size)
    yield context.new_page()
    context.close()


def test_new_run(view: Page) -> None:
    view.goto("/new?view=all")
    expect(view.get_by_role("radio", name=re.compile("^toy"))).to_be_visible()
    assert_accessible(view)
    view.get_by_role("button", name="Start", exact=True).click()
    expect(view.get_by_role("region", name="Fix these before starting")).to_be_visible()
    assert_accessible(view)
    view.get_by_role("button", name="Import YAML…").click()
    view.get_by_role("textbox", name="YAML").fill("nonsense: 1")
    view.get_by_role("button", name="Import", exact=True).click()
    expect(view.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    assert_accessible(view)
    view.get_by_role("textbox", name="YAML").fill(yaml.safe_dump(small_settings()))
    view.get_by_role("button", name="Import", exact=True).click()
    expect(view.locator(".plan-share").first).to_be_visible()
    for group in view.locator(".group-toggle").all():
        group.click()
    for place in view.locator("main details > summary").all():
        place.click()
    assert_accessible(view)


def test_the_steps_of_a_new_run(view: Page) -> None:
    view.goto("/new?model=toy&corpus=domain&step=data")
    for step in ("Data", "Training", "Review"):
        expect(view.get_by_role("heading", name=step, level=2)).to_be_visible()
        expect(view.locator(".short-plan")).to_contain_text("Memory")
        # The plan in a line and Start are in view, whatever the step.
        expect(view.locator(".short-fact").first).to_be_in_viewport()
        expect(view.get_by_role("button", name="Start", exact=True)).to_be_in_viewport()
        assert_accessible(view)
        if step == "Training":
            view.get_by_role("button", name="About Training length").click()
            expect(view.get_by_text("An epoch is one pass over the domain corpora")).to_be_visible()
            assert_accessible(view)
            view.keyboard.press("Escape")
        if step != "Review":
            view.get_by_role("button", name="Next").click()


def test_data(view: Page) -> None:
    view.goto("/data")
    expect(view.get_by_role("link", name="domain", exact=True)).to_be_visible()
    assert_accessible(view)
    view.get_by_role("link", name="Add a corpus").click()
    view.locator(".entry").first.wait_for()
    view.get_by_role("listbox").focus()
    view.keyboard.press("Space")
    # Without the suggested name nothing is built: the form says what is missing.
    view.get_by_label("Name", exact=True).fill("")
    view.get_by_role("button", name="Build corpus").click()
    assert_accessible(view)
    view.get_by_label("Add a folder…").fill("/usr")
    view.get_by_role("button", name="Add…").click()
    expect(view.get_by_role("dialog")).to_be_visible()
    assert_accessible(view)


def test_corpus(view: Page) -> None:
    view.goto("/data/domain")
    expect(view.get_by_role("heading", name="Document sizes")).to_be_visible()
    assert_accessible(view)
    view.get_by_role("tab", name="Training sequences").click()
    # Long rows have documents that scroll, short ones do not.
    for context in ("2048", "128"):
        view.get_by_label("Sequence length", exact=True).select_option(context)
        expect(view.locator(".rows-view")).to_have_attribute("aria-busy", "false")
        expect(view.get_by_role("article").first).to_be_visible()
        assert_accessible(view)
    for tab in ("Problems", "Documents"):
        view.get_by_role("tab", name=re.compile(tab)).click()
        expect(view.get_by_role("tabpanel")).not_to_contain_text("Loading")
        assert_accessible(view)
    view.locator(".document-line").first.click()
    expect(view.locator(".document-opened .preview-text")).to_be_visible()
    assert_accessible(view)
    for button in ("Tokenize for a model…", "Delete…"):
        view.get_by_role("button", name=button).click()
        expect(view.get_by_role("dialog")).to_be_visible()
        assert_accessible(view)
        view.keyboard.press("Escape")
        expect(view.get_by_role("dialog")).to_have_count(0)
        expect(view.get_by_role("button", name=button)).to_be_focused()
    view.goto("/data/domain?rebuild=1")
    view.locator(".entry").first.wait_for()
    assert_accessible(view)


def test_settings(view: Page) -> None:
    view.goto("/settings")
    expect(view.get_by_role("region", name="About")).to_contain_text("available of")
    assert_accessible(view)
    view.get_by_role("button", name="Sign out everywhere…").click()
    expect(view.get_by_role("dialog")).to_be_visible()
    assert_accessible(view)
