"""The whole way of a user in a real browser: a folder becomes a corpus, a corpus a trained model.

Everything is real: the demo workspace, its base model, training processes, `kill -9`. What the
page draws is compared with the run's own files.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cptstudio import run_files
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import METRICS
from cptstudio.run_rows import current_rows
from cptstudio.workspace import Workspace
from tests.demo_workspace import copy_of_demo
from tests.toy_models import text_sample
from tests.web.server_process import PATIENCE, RunningServer, free_port, wait_for
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in
from tests.web.ui.test_data_page import choose_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
expect.set_options(timeout=PATIENCE * 1000)


class Journey:
    """A server that can be killed and started again, and a browser that stays."""

    def __init__(self, root: Path, browser: Browser) -> None:
        self.root, self.port = root / "demo", free_port()
        self.documents = root / "documents"
        self.browser = browser
        self.workspace = Workspace(self.root)
        self.server = self.start()
        self.context: BrowserContext = signed_in(
            browser, self.server, base_url=self.server.origin, accept_downloads=True
        )

    def start(self) -> RunningServer:
        allowed = ("--no-detect", "--allow-root", str(self.documents))
        server = RunningServer(self.root, self.port, *allowed)
        server.wait_until_up()
        return server

    def kill(self) -> None:
        """Kill -9 the server, master and worker."""
        family = [*self.server.workers(), psutil.Process(self.server.process.pid)]
        for process in family:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=PATIENCE)
        self.server.process.wait(PATIENCE)

    def rows(self, run: str) -> list[dict]:
        """The rows that hold, as the trainer wrote them."""
        return current_rows(list(read_json_lines(self.workspace.run(run) / METRICS).records))

    def alive(self, run: str) -> bool:
        """Whether a trainer of the run lives, by its own process."""
        directory = str(self.workspace.run(run))
        return any(
            directory in (process.info["cmdline"] or ())
            for process in psutil.process_iter(["cmdline"])
        )


@pytest.fixture
def journey(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Journey]:
    words = " ".join(text_sample()).split(" ")
    folder = tmp_path / "documents" / "manual"
    folder.mkdir(parents=True)
    for number in range(40):
        text = " ".join(words[number * 300 : number * 300 + 300])
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")
    copy_of_demo(tmp_path_factory, tmp_path / "demo")
    made = Journey(tmp_path, browser)
    yield made
    made.context.close()
    for process in psutil.process_iter(["cmdline"]):
        if any(str(made.root) in word for word in process.info["cmdline"] or ()):
            process.kill()
    made.server.stop()


def drawn(page: Page) -> dict[int, float]:
    """The loss of each step as the page has it, by the chart's own export."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Loss: table and export", exact=True).click()
        page.get_by_role("menuitem", name="Save as JSON").click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    column = saved["columns"].index("Training, each step")
    points = [(row[0], row[column]) for row in saved["rows"] if row[column] is not None]
    assert len({step for step, _ in points}) == len(points), "a point is doubled"
    return dict(points)


def last_seq(page: Page) -> int:
    place = page.get_by_role("region", name="Curves")
    return int(place.get_attribute("data-last-seq") or 0)


def expect_the_curve_of_the_file(journey: Journey, page: Page, run: str) -> None:
    """Every row up to the last drawn one is there once, with its own value."""
    points = drawn(page)
    written = {
        row["step"]: row["loss"]
        for row in journey.rows(run)
        if row["kind"] == "train" and row["step"] <= max(points)
    }
    assert points.keys() == written.keys()
    assert points == pytest.approx(written)


def wait_for_more_rows(page: Page, than: int) -> None:
    wait_for(lambda: last_seq(page) > than, "rows that come live")


def run_state(page: Page, words: str) -> None:
    expect(page.get_by_role("main").locator(".state").first).to_have_text(re.compile(words))


def build_the_corpus(journey: Journey, page: Page) -> None:
    page.goto("/data")
    page.get_by_role("link", name="Add a corpus").click()
    page.get_by_label("Name", exact=True).fill("manual")
    choose_folder(page, journey.documents, "manual")
    page.get_by_role("button", name="Build corpus").click()
    job = page.locator(".job", has_text="Building the corpus manual")
    job.get_by_role("link", name="View report").click()
    expect(page.get_by_role("heading", name="manual", level=1)).to_be_visible()


def start_the_run(page: Page) -> None:
    page.get_by_role("link", name="Train").click()
    page.get_by_role("radio", name=re.compile("demo-base")).check()
    page.get_by_role("radio", name="Single page").check()
    page.get_by_role("button", name="Import YAML…").click()
    settings = (
        "model: {path: demo-base}\n"
        "data: {corpora: [{name: manual}, {name: python-documentation, role: replay}], "
        "sequence_length: 32}\n"
        "length: 20000 steps\n"
        "batch: {size: 1}\n"
        "evaluation: {every: 400 steps, max_tokens: 300}\n"
        "checkpoints: {every: 5000 steps}\n"
    )
    page.get_by_role("textbox", name="YAML").fill(settings)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".plan-fact", has_text="Steps").first).to_contain_text("20,000")
    page.get_by_label("Run name").fill("journey")
    expect(page.get_by_label("Run name")).to_have_value("journey")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/runs/journey")


def look_at_the_dialogs_of_a_living_run(page: Page) -> None:
    for name in ("Force stop", "Stop and save"):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert_accessible_in_all(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def stop_and_save(page: Page) -> None:
    page.get_by_role("button", name="Stop and save").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop and save").click()
    run_state(page, "Stopped")


@pytest.mark.bench
def test_from_a_folder_to_a_deleted_fork(journey: Journey) -> None:
    page = journey.context.new_page()
    build_the_corpus(journey, page)
    start_the_run(page)
    run_state(page, "Running")
    wait_for_more_rows(page, 5)
    wait_for_more_rows(page, last_seq(page))
    look_at_the_dialogs_of_a_living_run(page)
    expect_the_curve_of_the_file(journey, page, "journey")

    page.reload()
    wait_for_more_rows(page, 5)
    expect_the_curve_of_the_file(journey, page, "journey")
    second = journey.context.new_page()
    second.goto("/runs/journey")
    wait_for_more_rows(second, last_seq(page))
    expect_the_curve_of_the_file(journey, second, "journey")
    second.close()

    before = last_seq(page)
    journey.kill()
    expect(page.get_by_role("group", name="Status")).to_contain_text(
        re.compile("Reconnecting|Disconnected")
    )
    written = len(journey.rows("journey"))
    wait_for(lambda: len(journey.rows("journey")) > written + 2, "training without the server")
    journey.server = journey.start()
    expect(page.get_by_role("group", name="Status")).to_contain_text("Live")
    wait_for_more_rows(page, max(before, written))
    expect_the_curve_of_the_file(journey, page, "journey")

    stop_and_save(page)
    directory = journey.workspace.run("journey")
    [checkpoint] = run_files.checkpoints_of(directory)
    assert not journey.alive("journey")
    page.get_by_role("button", name="Resume", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(checkpoint.name)
    stopped_at = len(journey.rows("journey"))
    dialog.get_by_role("button", name=f"Resume from {checkpoint.name}").click()
    run_state(page, "Running")
    wait_for(lambda: len(journey.rows("journey")) > stopped_at + 2, "rows after the resume")
    wait_for_more_rows(page, stopped_at + 1)
    expect_the_curve_of_the_file(journey, page, "journey")
    stop_and_save(page)

    fork_compare_and_delete(journey, page)


def fork_compare_and_delete(journey: Journey, page: Page) -> None:
    page.get_by_role("button", name="Fork", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("New run name").fill("second")
    dialog.get_by_label("Learning rate").fill("1e-5")
    dialog.get_by_role("button", name="Start fork").click()
    page.wait_for_url("**/runs/second")
    run_state(page, "Running")
    wait_for_more_rows(page, 3)
    stop_and_save(page)

    page.goto("/compare?runs=journey,second")
    expect(page.get_by_role("table", name="Metrics by run")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("learning_rate")
    expect(page.locator("figure[data-points]").first).not_to_have_attribute("data-points", "0")

    page.goto("/runs/second")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    directory = journey.workspace.run("second")
    expect(dialog).to_contain_text(str(directory))
    dialog.get_by_role("button", name="Delete run").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    wait_for(lambda: not directory.exists(), "the folder's end")
    journey.kill()
    journey.server = journey.start()
    expect(page.get_by_role("group", name="Status")).to_contain_text("Live")
    expect(page.get_by_role("link", name="journey").first).to_be_visible()
    expect(page.get_by_role("link", name="second", exact=True)).to_have_count(0)
    assert not directory.exists()
    assert not (journey.workspace.private / "runs" / "second").exists()
