"""Runs, Run and Compare in a real browser, against the files that they show."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from cptstudio import run_files
from cptstudio.json_lines import read_json_lines
from cptstudio.run_files import METRICS
from cptstudio.run_phases import PHASE, read_phase
from cptstudio.run_rows import current_rows
from cptstudio.training.console_progress import ProgressReporter
from cptstudio.training.phases import Phases
from cptstudio.training.run_lock import RunLock
from cptstudio.training.stop_requests import StopRequest
from cptstudio.training.training_metrics_logger import TrainingMetricsLogger
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace, prepare
from tests.web.server_process import PATIENCE, RunningServer, running_server, wait_for
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in
from tests.web.ui.written_runs import train_row, write_run

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two finished runs and one that is prepared."""
    made = make_workspace(tmp_path_factory.mktemp("runs") / "workspace")
    write_run(made, "alpha", 200)
    write_run(made, "beta", 120, optimizer={"learning_rate": 1e-4})
    prepare(made, "waiting", evaluation={"every": "6 steps", "max_tokens": 300})
    return made


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[RunningServer]:
    with running_server(workspace.root, "--no-detect") as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    context = signed_in(browser, server, base_url=server.origin, accept_downloads=True)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(error.stack or str(error)))
    yield opened
    context.close()
    assert not faults


def chart(page: Page, title: str) -> Locator:
    return page.get_by_role("figure", name=title, exact=True)


def saved(page: Page, title: str, form: str) -> Path:
    """A chart's export."""
    figure = chart(page, title)
    with page.expect_download() as download:
        figure.get_by_role("button", name=f"{title}: table and export").click()
        figure.get_by_role("menuitem", name=f"Save as {form}").click()
    return Path(download.value.path())


def table(page: Page, title: str) -> tuple[list[str], list[list[Any]]]:
    content = json.loads(saved(page, title, "JSON").read_text(encoding="utf-8"))
    return content["columns"], content["rows"]


def drawn(page: Page) -> dict[int, float]:
    columns, rows = table(page, "Loss")
    column = columns.index("Training, each step")
    points = [(row[0], row[column]) for row in rows if row[column] is not None]
    assert len({step for step, _ in points}) == len(points)
    return dict(points)


def written(workspace: Workspace, run: str) -> dict[int, float]:
    rows = current_rows(list(read_json_lines(workspace.run(run) / METRICS).records))
    return {row["step"]: row["loss"] for row in rows if row["kind"] == "train"}


def wait_for_seq(page: Page, seq: int) -> None:
    curves = page.get_by_role("region", name="Curves")
    wait_for(lambda: int(curves.get_attribute("data-last-seq") or 0) >= seq, f"row {seq}")


def test_the_list_is_filtered_sorted_and_pinned_by_the_url(page: Page) -> None:
    page.goto("/?sort=updated")
    expect(page).to_have_url(re.compile(r"/runs\?sort=updated$"))  # An address of before.
    rows = page.get_by_role("table", name="All runs").locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("searchbox", name="Filter runs").fill("alp")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"filter=alp"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("searchbox", name="Filter runs").fill("")

    page.get_by_role("button", name="Step", exact=True).click()
    expect(page).to_have_url(re.compile("sort=step"))
    expect(rows.first).to_contain_text("alpha")
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page).to_have_url(re.compile("up=1"))
    expect(rows.last).to_contain_text("alpha")

    page.get_by_role("button", name="Baseline: beta").click()
    expect(page.get_by_role("row", name=re.compile("beta"))).to_contain_text("baseline")
    page.reload()
    expect(page.get_by_role("row", name=re.compile("beta"))).to_contain_text("baseline")

    page.get_by_label("Select alpha").check()
    page.get_by_label("Select beta").check()
    page.get_by_role("link", name="Compare 2 runs").click()
    expect(page).to_have_url(re.compile("/compare"))
    expect(chart(page, "Training loss")).to_contain_text("beta (baseline)")
    differing = page.get_by_role("table", name="Different settings")
    expect(differing.get_by_role("row", name=re.compile("optimizer.learning_rate"))).to_be_visible()
    expect(page.get_by_role("table", name="Metrics by run")).to_contain_text(
        "Domain validation, best"
    )


def test_several_runs_are_tagged_deleted_and_brought_back(page: Page, workspace: Workspace) -> None:
    for name in ("one", "two"):
        write_run(workspace, name, 4)
    page.goto("/runs")
    table = page.get_by_role("table", name="All runs")
    rows = table.locator("tbody tr:not(.table-group)")
    columns = page.get_by_role("group", name="Columns")
    page.get_by_role("button", name="Columns").click()
    columns.get_by_label("Corpora").check()
    columns.get_by_label("Verdict").uncheck()
    page.keyboard.press("Escape")
    expect(columns).to_have_count(0)
    for name in ("one", "two"):
        page.get_by_label(f"Select {name}", exact=True).check()
    bulk = page.get_by_role("group", name="Selected runs")
    bulk.get_by_role("button", name="Tag…").click()
    page.get_by_label("Add tags").fill("pair, <b>bold</b>")
    assert_accessible_in_all(page)
    page.get_by_role("button", name="Save tags").click()
    page.get_by_role("combobox", name="Tag").select_option("pair")
    expect(rows).to_have_count(2)
    page.get_by_role("combobox", name="Group").select_option("tag")
    group = table.get_by_role("rowheader", name="<b>bold</b>, pair")
    expect(group).to_contain_text("2")
    page.reload()
    # The address has what is shown, this browser which columns.
    expect(table.get_by_role("columnheader", name="Corpora")).to_be_visible()
    expect(table.get_by_role("columnheader", name="Verdict")).to_have_count(0)
    expect(rows).to_have_count(2)
    expect(bulk).to_contain_text("2 runs selected")
    assert_accessible_in_all(page)

    bulk.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog", name="Delete 2 runs?").get_by_role("button", name="Delete").click()
    notes = page.locator(".toasts")
    expect(notes).to_contain_text("2 runs deleted.")
    expect(table).to_contain_text("No runs match the filters")
    assert not workspace.run("one").exists()
    page.get_by_role("button", name="Undo").click()
    expect(notes).to_contain_text("2 runs restored.")
    expect(rows).to_have_count(2)
    assert (workspace.run("one") / METRICS).is_file()
    # By the keyboard, also after another page was looked at.
    page.get_by_label("Select two", exact=True).check()
    bulk.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete run").click()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Data").click()
    expect(page.get_by_role("heading", name="Data", level=1)).to_be_visible()
    page.keyboard.press("Control+z")
    expect(notes).to_contain_text("Run “two” restored.")
    page.goto("/runs?tag=pair")
    expect(rows).to_have_count(2)
    page.set_viewport_size({"width": 390, "height": 844})
    # A card each, with its figures in view.
    expect(rows.first).to_contain_text("4 of 4")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = rows.first.get_by_text("4 of 4").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    shutil.rmtree(workspace.run("one"))
    shutil.rmtree(workspace.run("two"))


def test_the_curves_are_the_file(page: Page, workspace: Workspace) -> None:
    page.goto("/runs/alpha")
    wait_for_seq(page, 204)
    assert drawn(page) == pytest.approx(written(workspace, "alpha"))
    for axis, last in (("Tokens", 12_800), ("Time", 10.0)):
        page.get_by_role("radio", name=axis).check()
        expect(page).to_have_url(re.compile(f"x={axis.lower()}"))
        wait_for(lambda last=last: table(page, "Loss")[1][-1][0] == last, f"the axis {axis}")
    page.get_by_label("Log-scale loss").check()
    page.get_by_label("Clip outliers").check()
    expect(page).to_have_url(re.compile("log=1&clip=1"))

    lines = list(csv.reader(saved(page, "Loss", "CSV").open(encoding="utf-8")))
    assert len(lines) == 201
    assert saved(page, "Loss", "PNG").read_bytes().startswith(b"\x89PNG")


def test_a_chart_is_used_by_keyboard_and_read_as_a_table(page: Page) -> None:
    page.goto("/runs/alpha")
    cursor = page.get_by_role("slider", name="Loss, cursor", exact=True)
    cursor.focus()
    page.keyboard.press("End")
    expect(cursor).to_have_attribute("aria-valuetext", re.compile("^Step 200: Training, each step"))
    page.keyboard.press("ArrowLeft")
    expect(cursor).to_have_attribute("aria-valuetext", re.compile("^Step 199:"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(cursor).to_have_attribute("aria-valuetext", re.compile("^Step 189:"))
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    wait_for(lambda: len(drawn(page)) < 200, "the zoomed curve")
    page.go_back()
    wait_for(lambda: len(drawn(page)) == 200, "the whole curve")

    figure = chart(page, "Loss")
    figure.get_by_role("button", name="Loss: table and export", exact=True).click()
    expect(page.get_by_role("menuitem", name="View as table")).to_be_focused()
    page.keyboard.press("Enter")
    expect(figure.get_by_role("table").locator("tbody tr")).to_have_count(200)


def test_dragging_zooms_into_the_url(page: Page) -> None:
    page.goto("/runs/alpha")
    place = chart(page, "Loss").locator(".u-over")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    wait_for(lambda: 40 <= len(drawn(page)) <= 60, "a quarter of the steps")
    page.get_by_role("button", name="Reset zoom").first.click()
    wait_for(lambda: len(drawn(page)) == 200, "the whole curve")


def test_a_spike_of_one_row_is_seen_at_every_zoom(page: Page, workspace: Workspace) -> None:
    write_run(workspace, "spiky", 40_000, {12_345: {"loss": 97.5}, 20_000: {"loss": "NaN"}})
    for query in ("", "?from=10000&to=20000", "?from=12000&to=13000", "?from=12340&to=12350"):
        page.goto(f"/runs/spiky{query}")
        wait_for_seq(page, 40_004)
        expect(page.get_by_text("still reading the full file")).to_have_count(0)
        columns, rows = table(page, "Loss")
        top = "Training, each step max"
        column = columns.index(top if top in columns else "Training, each step")
        assert max(row[column] for row in rows if row[column] is not None) == 97.5, query
    page.goto("/runs/spiky")
    expect(page.get_by_role("alert")).to_contain_text("loss was NaN at step 20,000")


def test_no_row_is_lost_or_doubled_over_forced_disconnects(
    page: Page, workspace: Workspace
) -> None:
    directory = write_run(workspace, "steady", 4)
    sockets: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.append(route)

    page.route_web_socket(re.compile("/socket.io/"), through)
    page.goto("/runs/steady")
    wait_for_seq(page, 8)
    writer = TrainingMetricsLogger(directory, session=0)
    done = threading.Event()

    def write() -> None:
        for step in range(5, 105):
            writer.row("train", step, **train_row(step))
            done.wait(0.1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in (1, 2):
            wait_for_seq(page, 8 + 20 * number)
            sockets[-1].close()
            status = page.get_by_role("group", name="Status")
            wait_for(lambda number=number: page.title() and len(sockets) > number, "a new socket")
            expect(status).to_contain_text("Live")
        wait_for_seq(page, 108)
    finally:
        done.set()
        thread.join()
    assert drawn(page) == pytest.approx(written(workspace, "steady"))
    assert len(drawn(page)) == 104


def test_a_lost_connection_is_spoken_and_a_first_one_is_not(page: Page) -> None:
    sockets: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.append(route)

    page.route_web_socket(re.compile("/socket.io/"), through)
    page.add_init_script("""
        window.said = [];
        new MutationObserver(() => {
          const text = document.querySelector("[role=status]")?.textContent;
          if (text && text !== window.said.at(-1)) {
            window.said.push(text);
          }
        }).observe(document, { subtree: true, childList: true, characterData: true });
    """)
    page.goto("/runs/beta")
    status = page.get_by_role("group", name="Status")
    expect(status).to_contain_text("Live")
    wait_for_seq(page, 124)
    assert page.evaluate("() => window.said") == []
    sockets[-1].close()
    page.wait_for_function("() => window.said.length > 1")
    assert page.evaluate("() => window.said") == [
        "Connection lost. Reconnecting…",
        "Reconnected.",
    ]
    expect(status).to_contain_text("Live")


def test_tabs_notes_and_the_log(page: Page, workspace: Workspace) -> None:
    log = workspace.run("alpha") / run_files.LOG
    log.write_text("a line\n<img src=x onerror=\"document.title='owned'\">\n", encoding="utf-8")
    page.goto("/runs/alpha")
    page.get_by_role("tab", name="Checkpoints").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Notes")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(re.compile("tab=notes"))
    page.get_by_label("Tags").fill("kept, <b>bold</b>")
    page.get_by_label("Note", exact=True).fill("the reference")
    page.get_by_role("button", name="Save").click()
    page.reload()
    expect(page.get_by_label("Tags")).to_have_value("kept, <b>bold</b>")
    expect(page.get_by_label("Note", exact=True)).to_have_value("the reference")

    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_label("train.log")).to_contain_text("<img src=x")
    assert "owned" not in page.title()
    page.get_by_label("Search the log").fill("A LINE")
    search = page.get_by_role("search", name="Log")
    expect(search.get_by_role("status")).to_have_text("1 line")
    search.get_by_role("button", name="Next match").click()
    expect(page.locator(".log-here mark")).to_have_text("a line")
    search.get_by_role("button", name="Only matching lines").click()
    expect(page.get_by_role("list", name="Matching lines").get_by_role("listitem")).to_have_count(1)
    with page.expect_download() as taken:
        search.get_by_role("button", name="Download").click()
    assert Path(taken.value.path()).read_bytes() == log.read_bytes()
    page.get_by_role("tab", name="Configuration").click()
    expect(page.get_by_role("table", name="Settings", exact=True)).to_contain_text("batch.size")
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_text("All steps are done.").last).to_be_visible()
    page.goto("/runs")
    expect(page.get_by_role("group", name="All runs").get_by_text("<b>bold</b>")).to_be_visible()


def test_a_run_is_started_forked_and_deleted(page: Page, workspace: Workspace) -> None:
    # The browser's own notifications are seen by nobody here: what it is given is kept.
    page.add_init_script(
        "window.told = []; window.Notification = class extends Notification {"
        " constructor(title, more) { super(title, more); window.told.push([title, more.body]); } }"
    )
    page.context.grant_permissions(["notifications"])
    page.goto("/runs/waiting")
    page.get_by_role("button", name="Notify me when a run ends").click()
    expect(page.get_by_role("button", name="Don't notify me when a run ends")).to_be_visible()
    state = page.get_by_role("main").locator(".state").first
    expect(state).to_have_text("Not started")
    page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog", name="Start the run “waiting”?")
    expect(dialog).to_contain_text("12 steps")
    dialog.get_by_role("button", name="Start").click()
    expect(state).to_have_text("Completed")
    told = wait_for(lambda: page.evaluate("window.told"), "the notification")
    assert told == [["waiting: finished", "Completed 12 steps."]]
    expect(page.locator("link[rel=icon]")).to_have_attribute("type", "image/svg+xml")
    wait_for(lambda: len(drawn(page)) == 12, "all steps")
    assert drawn(page) == pytest.approx(written(workspace, "waiting"))
    expect(page.get_by_role("table", name="Checkpoints")).to_contain_text("step-00000012")

    page.get_by_role("button", name="Fork", exact=True).click()
    dialog = page.get_by_role("dialog", name="Fork the run “waiting”")
    assert_accessible_in_all(page)
    dialog.get_by_label("New run name").fill("waiting")
    dialog.get_by_role("button", name="Start fork").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("New run name").fill("branch")
    rate = dialog.get_by_label("Learning rate")
    rate.fill("1,000")
    dialog.get_by_role("button", name="Start fork").click()
    expect(rate).to_have_accessible_description(re.compile("could mean 1000 or 1"))
    rate.fill("0,0005")
    dialog.get_by_role("button", name="Start fork").click()
    expect(page).to_have_url(re.compile("/runs/branch$"))
    assert run_files.read_config(workspace.run("branch")).settings.optimizer.learning_rate == 0.0005
    expect(state).to_have_text("Completed")
    page.get_by_role("tab", name="Configuration").click()
    changed = page.get_by_role("table", name="Settings that differ from the parent")
    expect(changed).to_contain_text("optimizer.learning_rate")

    directory = workspace.run("branch")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete the run “branch”?")
    expect(dialog).to_contain_text(str(directory))
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    assert directory.is_dir()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete run").click()
    expect(page).to_have_url(re.compile("/runs$"))
    expect(page.get_by_role("table", name="All runs")).not_to_contain_text("branch")
    assert not directory.exists()
    page.goto("/runs/branch")
    expect(page.get_by_text("Run not found")).to_be_visible()


def test_a_second_visit_fetches_no_file_of_the_pages(page: Page) -> None:
    fetched = """() => performance.getEntriesByType("resource")
        .filter(one => one.name.includes("/ui/") && one.transferSize > 0).map(one => one.name)"""
    page.goto("/runs/beta")
    wait_for_seq(page, 124)
    # The code of the other pages comes right after the first one.
    page.wait_for_load_state("networkidle")
    assert len(page.evaluate(fetched)) > 20
    page.goto("/runs/alpha")
    expect(page.get_by_role("heading", name="alpha", level=1)).to_be_visible()
    assert page.evaluate(fetched) == []


def test_an_idle_page_is_nearly_silent(page: Page) -> None:
    page.goto("/runs/beta")
    wait_for_seq(page, 124)
    expect(chart(page, "Memory").locator("canvas")).to_be_visible()
    expect(page.get_by_role("group", name="Status")).to_contain_text("Live")
    # The code of the other pages comes right after the first one.
    page.wait_for_load_state("networkidle")
    amount = [0]

    def count(event: dict[str, Any]) -> None:
        response = event.get("response", {})
        amount[0] += event.get("encodedDataLength", 0) + len(response.get("payloadData", ""))

    protocol = page.context.new_cdp_session(page)
    for name in ("dataReceived", "webSocketFrameReceived", "webSocketFrameSent"):
        protocol.on(f"Network.{name}", count)
    protocol.send("Network.enable")
    page.wait_for_timeout(10_000)  # The span in which the traffic is counted.
    assert amount[0] <= 2048


def test_the_page_says_what_a_trainer_does_before_its_first_step(
    page: Page, workspace: Workspace
) -> None:
    directory = prepare(workspace, "beginning")
    lock = RunLock(directory)
    phases = Phases(lock, 0, StopRequest(), ProgressReporter(output=io.StringIO()))
    phases.begin("checking", detail="the base model", unit="bytes")
    record = read_phase(directory)
    assert record is not None
    told = record.model_copy(
        update={"done": 4_000_000_000, "total": 16_000_000_000, "rate": 8e8, "remaining": 15.0}
    )
    run_files.write_record(directory / PHASE, told)
    page.goto("/runs/beginning")
    bar = page.get_by_role("progressbar", name="Checking files: the base model")
    expect(bar).to_have_attribute("value", "4000000000")
    expect(bar).to_have_attribute("aria-valuetext", "4.0 GB of 16.0 GB · 800 MB/s · 15 s left")
    now = page.get_by_role("group", name="Phase")
    phases.begin("loading")
    expect(now.locator("strong")).to_have_text("Loading the model")
    expect(now.locator(".run-way-done")).to_contain_text("Checking files")
    phases.begin("training")
    expect(now).to_contain_text("Waiting for the first step")
    lock.close()
    expect(now).to_have_count(0)
    shutil.rmtree(directory)
