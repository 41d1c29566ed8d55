"""A newcomer's two ways, by the mouse alone: the demo's, and that of a folder of one's own.

Everything is real: the workspace is empty, the demo is made, runs are trained, texts generated. The
browser counts what is pressed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.demo import install_model
from cptstudio.workspace import Workspace
from tests.toy_models import text_sample
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible
from tests.web.ui.conftest import signed_in
from tests.web.ui.test_data_page import choose_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
expect.set_options(timeout=PATIENCE * 1000)

LONG = 1_200_000.0
_COUNT = """
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, (event) => {
    if (event.isTrusted) sessionStorage[kind] = Number(sessionStorage[kind] ?? 0) + 1;
  }, true);
}
"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the newcomer's own, with forty files in it."""
    folder = tmp_path_factory.mktemp("own") / "manual"
    folder.mkdir()
    words = " ".join(text_sample()).split(" ")
    for number in range(40):
        text = " ".join(words[number * 300 : number * 300 + 300])
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")
    return folder.parent


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[RunningServer]:
    """A server on a workspace with nothing in it."""
    root = tmp_path_factory.mktemp("newcomer") / "workspace"
    root.mkdir()
    with running_server(root, "--no-detect", "--allow-root", str(documents)) as server:
        yield server


@pytest.fixture
def page(browser: Browser, studio: RunningServer) -> Iterator[Page]:
    context = signed_in(browser, studio, base_url=studio.origin)
    context.add_init_script(_COUNT)
    yield context.new_page()
    context.close()


def pressed(page: Page, kind: str) -> int:
    """How often the mouse ("pointerdown") or a key ("keydown") was pressed."""
    return int(page.evaluate("kind => sessionStorage[kind] ?? 0", kind))


def test_from_an_empty_workspace_to_a_text_of_the_first_run(
    page: Page, studio: RunningServer
) -> None:
    page.goto("/")
    expect(page.get_by_role("list", name="Recommended base models")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Create demo workspace").click()
    page.get_by_role("link", name="Try the demo run").click(timeout=LONG)
    page.get_by_role("radio", name=re.compile("^Quick try")).check()
    start(page)
    verdict = page.get_by_role("region", name="Verdict")
    expect(verdict).to_contain_text(re.compile("domain|general", re.IGNORECASE), timeout=LONG)
    # A run that goes on deletes the checkpoint that is the newest now.
    expect(page.get_by_text("Completed 50 steps.").first).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("Playground: ")).click()
    page.get_by_role("button", name="Generate", exact=True).click(timeout=LONG)
    expect(page.locator(".made-text")).to_have_count(2, timeout=LONG)
    for made in page.locator(".made-text").all():
        expect(made.locator(".lane .token").first).to_be_visible(timeout=LONG)
    assert pressed(page, "keydown") == 0 and pressed(page, "pointerdown") < 12
    workspace = Workspace(studio.workspace)
    assert workspace.base_model_names() == ["demo-base"] and len(workspace.run_names()) == 1


def test_from_a_folder_of_one_s_own_to_a_run(
    page: Page, studio: RunningServer, documents: Path
) -> None:
    install_model(Workspace(studio.workspace))
    page.goto("/")
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name="Add a corpus").click()
    choose_folder(page, documents, "manual")
    expect(page.get_by_label("Name", exact=True)).to_have_value("manual")
    page.get_by_role("button", name="Build corpus").click()
    page.locator(".job").get_by_role("link", name="View report").click()
    page.get_by_role("link", name="Train").click()
    page.get_by_role("radio", name=re.compile("demo-base")).check(timeout=LONG)
    start(page)
    # The menu of folders is no button that is pressed down; the folder's two keys are.
    assert pressed(page, "pointerdown") + pressed(page, "keydown") + 1 < 20


def start(page: Page) -> None:
    """Start the run of the form, and see it train."""
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile("/runs/"), timeout=LONG)
