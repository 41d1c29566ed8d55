"""A run whose memory ran out, in a real browser: what happened, and what to do, at one press."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.run_files import read_config, read_result
from cptstudio.workspace import Workspace
from tests.deaths import MESSAGES, environment
from tests.training.small_workspace import prepare
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.toy_workspace import make_toy_workspace
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
expect.set_options(timeout=PATIENCE * 1000)
TRAINING = 6 * PATIENCE * 1000


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = make_toy_workspace(tmp_path / "workspace")
    prepare(
        made,
        "died",
        length="8 steps",
        batch={"size": 4},
        schedule={"kind": "constant"},
        checkpoints={"every": "3 steps"},
        evaluation={"every": "8 steps", "max_tokens": 300},
    )
    return made


@pytest.fixture
def server(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningServer]:
    deaths = [{"step": 5, "how": "raise", "message": MESSAGES["Insufficient Memory"][1]}]
    with monkeypatch.context() as patched:
        for name, value in environment(tmp_path / "dying", deaths).items():
            patched.setenv(name, value)
        with running_server(workspace.root, "--no-detect") as started:
            yield started


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    context = signed_in(browser, server, base_url=server.origin)
    yield context.new_page()
    context.close()


def test_one_press_goes_on_with_half_the_batch_and_another_trains_longer(
    page: Page, workspace: Workspace
) -> None:
    directory = workspace.run("died")
    page.goto("/runs/died")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    notice = page.get_by_role("region", name="Suggested fixes")
    expect(notice).to_contain_text("Out of memory", timeout=TRAINING)
    expect(page.get_by_role("banner").or_(page.locator("header.run-head")).last).to_contain_text(
        "The GPU ran out of memory, in step 6"
    )
    expect(notice).to_contain_text("batch size 2 and 2 gradient accumulation steps")
    expect(notice.get_by_role("button")).to_have_text(
        ["Resume with half the batch size", "Resume with gradient checkpointing"]
    )
    expect(page.locator(".toast")).to_have_count(0)
    assert_accessible_in_all(page)

    notice.get_by_role("button", name="Resume with half the batch size").click()
    expect(page.locator(".run-head .state")).to_have_text("Completed", timeout=TRAINING)
    expect(notice).to_have_count(0)
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_role("tabpanel")).to_contain_text(
        "Resumed from step-00000003, step 3 of 8. In this session: Batch size 2, Gradient "
        "accumulation steps 2."
    )
    page.get_by_role("tab", name="Configuration").click()
    told = page.get_by_role("table", name="Settings of the last session")
    expect(told.get_by_role("row", name=re.compile("batch_size"))).to_contain_text("2")
    assert read_config(directory).settings.batch.size == 4

    # Its schedule is constant, so longer is a resume.
    page.get_by_role("button", name="Train longer").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("as if it had been longer from the start")
    dialog.get_by_label("Total training length").fill("11 steps")
    dialog.get_by_role("button", name="Resume from step-00000008").click()
    expect(page.locator(".facts")).to_contain_text("11 of 11", timeout=TRAINING)
    expect(page.locator(".run-head .state")).to_have_text("Completed", timeout=TRAINING)
    result = read_result(directory)
    assert result is not None and (result.step, result.cause) == (11, None)
    events = [json.loads(line) for line in (directory / "events.jsonl").open()]
    begun = [event for event in events if event["event"] in ("started", "resumed")]
    assert [event.get("overrides") for event in begun] == [
        None,
        {"batch_size": 2, "gradient_accumulation_steps": 2},
        {"length": "11 steps", "batch_size": 2, "gradient_accumulation_steps": 2},
    ]
