"""The page Runs shows training of other programs with its evidence, and the queue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.workspace import Workspace
from tests.runs.external import TRAIN, make_package, running
from tests.training.small_workspace import make_workspace, prepare
from tests.web.server_process import PATIENCE, RunningServer, running_server, wait_for
from tests.web.ui.accessibility import AXE, assert_accessible_in_all, violations
from tests.web.ui.conftest import signed_in

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("others") / "workspace")
    prepare(made, "first", length="100000 steps")
    prepare(made, "second")
    prepare(made, "third")
    return made


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[RunningServer]:
    with running_server(workspace.root) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    context = signed_in(browser, server, base_url=server.origin)
    yield context.new_page()
    context.close()


def test_a_process_of_others_is_watched_and_stopped_only_after_questions(
    page: Page, tmp_path: Path
) -> None:
    log = tmp_path / "their.log"
    packages = make_package(tmp_path / "packages")
    with log.open("wb") as output, running(TRAIN, tmp_path, packages, output) as process:
        page.goto("/runs")
        others = page.get_by_role("region", name="Other training on this machine")
        theirs = others.get_by_role("listitem").filter(has_text=f"process {process.pid}")
        expect(others).to_contain_text("External")
        expect(theirs).to_contain_text("--adapter-path out")
        expect(theirs).to_contain_text(str(log))

        theirs.get_by_role("button", name="Watch…").click()
        dialog = page.get_by_role("dialog", name=f"Watch process {process.pid}?")
        expect(dialog).to_contain_text("never changed")
        assert_accessible_in_all(page)
        if AXE.exists():
            assert violations(page) == []
        dialog.get_by_role("button", name="Watch", exact=True).click()
        expect(theirs.get_by_role("figure")).to_be_visible()

        theirs.get_by_role("button", name="Stop…").click()
        assert_accessible_in_all(page)
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("dialog", name="Are you sure?").get_by_role(
            "button", name="Cancel"
        ).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert process.poll() is None
        theirs.get_by_role("button", name="Stop…").click()
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name=f"Stop process {process.pid}").click()
        wait_for(lambda: process.poll() is not None, "the end of their process")


def start(page: Page, run: str, confirm: str) -> None:
    page.goto(f"/runs/{run}")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=confirm).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_runs_wait_in_the_queue_and_leave_it(page: Page) -> None:
    start(page, "first", "Start")
    state = page.get_by_role("main").locator(".state").first
    expect(state).to_have_text("Running")
    expect(page.get_by_role("group", name="Status")).to_contain_text("first")
    page.goto("/")
    expect(page.get_by_role("figure", name="Loss of first").locator("canvas")).to_be_visible()
    assert_accessible_in_all(page)
    for run in ("second", "third"):
        start(page, run, "Add to queue")
        expect(state).to_have_text(re.compile("Queued"))
    page.goto("/runs/first")
    page.get_by_role("button", name="Stop and save").click()
    choice = page.get_by_role("dialog").get_by_role("group", name="Queue")
    expect(choice.get_by_role("radio", name="Start the next run: second")).to_be_checked()
    expect(choice.get_by_role("radio", name="Pause the queue; “second” and 1 more")).to_be_visible()
    assert_accessible_in_all(page)
    page.keyboard.press("Escape")
    page.goto("/runs")
    queue = page.get_by_role("region", name=re.compile("^Queue"))
    items = queue.get_by_role("listitem")
    expect(items).to_have_text([re.compile("second"), re.compile("third")])
    page.get_by_role("button", name="Move third up").click()
    expect(items).to_have_text([re.compile("third"), re.compile("second")])
    # The focus goes with the run, so that it can be moved on.
    expect(page.get_by_role("button", name="Move third down")).to_be_focused()
    page.reload()
    expect(items).to_have_text([re.compile("third"), re.compile("second")])
    items.nth(0).drag_to(items.nth(1))
    expect(items).to_have_text([re.compile("second"), re.compile("third")])
    page.reload()
    expect(items).to_have_text([re.compile("second"), re.compile("third")])
    queue.get_by_role("button", name="Remove third from the queue").click()
    expect(items).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(items).to_have_text([re.compile("second"), re.compile("third")])
    queue.get_by_role("button", name="Remove third from the queue").click()
    expect(items).to_have_count(1)

    page.goto("/runs/first")
    page.get_by_role("button", name="Force stop").click()
    page.get_by_role("radio", name="Pause the queue; “second” keeps waiting").check()
    page.get_by_role("dialog").get_by_role("button", name="Force stop").click()
    expect(state).to_have_text("Force-stopped")
    page.goto("/runs/second")
    expect(state).to_have_text(re.compile("Queued"))
    page.goto("/runs")
    page.get_by_role("button", name="Resume queue").click()
    page.goto("/runs/second")
    expect(state).to_have_text("Completed")
    expect(page.get_by_role("button", name="Fork", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Resume", exact=True)).to_have_count(0)
