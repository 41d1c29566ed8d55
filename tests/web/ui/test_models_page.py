"""Models: the list, one model with its lineage and texts, deletion with undo; looked at by axe."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.models.model_workspace import make_models
from tests.models.test_library import demo_model
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible, assert_accessible_in_all
from tests.web.ui.conftest import signed_in

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    workspace = make_models(tmp_path_factory.mktemp("models") / "workspace")
    demo_model(workspace.base_model("unknown"), model_type="brand-new")
    with running_server(workspace.root, "--no-detect") as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    size = {"width": 1366, "height": 900}
    context = signed_in(browser, server, base_url=server.origin, viewport=size)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def names(page: Page) -> list[str]:
    found: list[str] = (
        page.get_by_role("table", name="Models").locator("tbody th a").all_inner_texts()
    )
    return found


def test_models_are_found_and_followed_both_ways(page: Page) -> None:
    page.goto("/models")
    expect(page.get_by_role("table", name="Models")).to_contain_text("Can't be used")
    assert set(names(page)) == {"base", "half", "out", "unknown"}
    checkpoints = page.get_by_role("table", name="Checkpoints")
    expect(checkpoints.get_by_role("link", name="Step 5")).to_have_count(2)
    assert_accessible_in_all(page)
    # Sorted by a head, turned by the next click; found by words; both are in the address.
    page.get_by_role("button", name="Model", exact=True).click()
    assert names(page) == ["base", "half", "out", "unknown"]
    page.get_by_role("button", name="Model", exact=True).click()
    assert names(page) == ["unknown", "out", "half", "base"]
    page.get_by_label("Filter models").fill("q8_0 apache")
    expect(page.get_by_role("table", name="Models").locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Filter models")).to_have_value("q8_0 apache")
    page.get_by_label("Filter models").fill("nothing of this name")
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Kind").select_option(label="Merged (1)")
    expect(checkpoints).to_have_count(0)
    page.get_by_role("link", name="half").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("half")
    above = page.get_by_role("region", name="Made from")
    expect(above.get_by_role("link", name="first@step-00000010")).to_be_visible()
    assert_accessible_in_all(page)
    page.get_by_role("region", name="Made into").get_by_role("link", name="out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("out")
    above.get_by_role("link", name="half").click()
    above.get_by_role("link", name="base").first.click()
    expect(page.get_by_role("region", name="Made into")).to_contain_text("lora 2 checkpoints")
    page.get_by_role("button", name="Copy path").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.endswith("/models/base/base")
    page.get_by_role("tab", name="Card and license").click()
    expect(page.get_by_role("group", name="Text of README.md")).to_have_text("# Small")
    page.get_by_label("Text", exact=True).select_option("LICENSE")
    expect(page.get_by_role("group", name="Text of LICENSE")).to_have_text("The license's text.")
    assert_accessible_in_all(page)
    page.goto("/models?model=nothing")
    expect(page.get_by_role("alert")).to_contain_text("There is no model 'nothing'")
    page.goto("/models?get=1")
    expect(page.get_by_role("list", name="Recommended base models")).to_be_visible()
    assert_accessible_in_all(page)


def test_a_model_is_deleted_after_what_depends_on_it_was_said_and_comes_back(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/models")
    page.get_by_role("button", name="Actions for base").click()
    assert_accessible(page)
    page.get_by_role("menuitem", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The adapters of fork and lora can't be loaded without it.")
    assert_accessible_in_all(page)
    dialog.get_by_role("button", name="Delete model").click()
    # The runs that were trained from it still name it.
    row = page.get_by_role("row", name=re.compile("^base"))
    expect(row).to_contain_text("Missing")
    expect(page.get_by_role("table", name="Checkpoints")).to_contain_text("Can't be used")
    page.get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("apache-2.0")
    # From its own view one comes back to the list; undone, it is shown again.
    page.get_by_role("link", name="Step 10").last.click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete checkpoint").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("@step-00000010")
