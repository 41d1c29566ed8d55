"""Every state of every page as a picture: empty, busy, ended in every way, long names, 200 runs.

    python -m scripts.page_states FOLDER [--only WORD]

Light and dark, 1366 and 390 px wide, and 1366 px at 200 %, to be looked at before a change of the
pages is landed. Runs are written by the trainer's own writer or really trained on the tests' toy
model, so the pages show what they show of real ones.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from cptstudio import run_files
from cptstudio.json_lines import JsonLinesWriter
from cptstudio.run_files import Outcome, RunResult
from cptstudio.web import pages
from tests.training.small_workspace import make_workspace, prepare
from tests.web.server_process import RunningServer, SignedIn, running_server
from tests.web.ui.browsers import browser_options, storage_of
from tests.web.ui.written_runs import write_run

MANY = 200
MANY_FILES = 20_000
LONG = "a-very-long-name-of-a-run-that-tells-all-settings-lr3e-4-seed-07"
PATIENCE_MS = 60_000
Prepare = Callable[[Page], None]


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    name: str
    width: int
    height: int
    dark: bool = False
    zoom: int = 1


LOOKS = (
    Look("light", 1366, 900),
    Look("dark", 1366, 900, dark=True),
    Look("phone", 390, 844),
    Look("phone-dark", 390, 844, dark=True),
    # What a window of 1366 px shows at 200 %.
    Look("zoomed", 683, 450, zoom=2),
)


@dataclass(frozen=True)
class State:
    """A state of a page: where it is seen, and what is done there first."""

    name: str
    path: str
    prepare: Prepare = lambda page: None


def _clicks(*buttons: str) -> Prepare:
    def prepare(page: Page) -> None:
        for button in buttons:
            page.get_by_role("button", name=button, exact=True).first.click()

    return prepare


def _presses(*keys: str) -> Prepare:
    def prepare(page: Page) -> None:
        page.get_by_role("main").focus()
        for key in keys:
            page.keyboard.press(key)

    return prepare


def _menu(page: Page) -> None:
    menu = page.get_by_role("button", name="Menu", exact=True)
    (menu if menu.is_visible() else page.get_by_role("button", name="Sidebar labels")).click()


def _of_pages(run: str) -> list[State]:
    """Each page as it is opened."""
    return [
        State(title.lower().replace(" ", "-"), path.replace("/:id?", "").replace(":id", run))
        for title, path in pages.PAGES.items()
    ]


def make_empty(root: Path) -> list[State]:
    """Nothing was made yet."""
    root.mkdir()
    return [
        *_of_pages("nothing"),
        State("add-corpus", "/data?add=1"),
        State("nowhere", "/nowhere/at/all"),
    ]


def make_ended(root: Path) -> list[State]:
    """Runs that ended in every way, one with a long name; forms and dialogs."""
    workspace = make_workspace(root)
    alpha = write_run(workspace, "alpha", 200, {30: {"loss": "NaN", "skipped": "a loss of NaN"}})
    (alpha / run_files.LOG).write_text("one line of the log\n" * 300, encoding="utf-8")
    samples = JsonLinesWriter(alpha / run_files.SAMPLES)
    sample = {"session": 0, "index": 0, "prompt": "def ", "completion": "read(path):\n    pass"}
    for step in (50, 100):
        samples.append({"time": 1.79e9, "step": step, **sample})
    write_run(workspace, "beta", 120, optimizer={"learning_rate": 1e-4})
    write_run(workspace, LONG, 60)
    _end(write_run(workspace, "failed", 80), "failed", "The loss is not a number at step 80.")
    _end(write_run(workspace, "stopped", 60), "stopped", "Stopped by you at step 60.")
    prepare(workspace, "ready")
    _train(prepare(workspace, "done"))
    tabs = ("samples", "events", "configuration", "log", "notes")
    return [
        *_of_pages("alpha"),
        State("run-done", "/runs/done"),
        State("run-failed", "/runs/failed"),
        State("run-stopped", "/runs/stopped"),
        State("run-ready", "/runs/ready"),
        State("run-long-name", f"/runs/{LONG}"),
        State("run-gone", "/runs/not-there"),
        *(State(f"run-{tab}", f"/runs/alpha?tab={tab}", _to_the_end) for tab in tabs),
        State("compare-three", f"/compare?runs=alpha,beta,{LONG}"),
        State("corpus", "/data/domain"),
        State("corpus-documents", "/data/domain?tab=documents"),
        State("corpus-rows", "/data/domain?tab=rows"),
        State("add-corpus", "/data?add=1"),
        State("new-filled", "/new?from=alpha"),
        State("evaluate-merge", "/evaluate?view=merge"),
        State("evaluate-heat", "/evaluate?view=heat"),
        State("dialog-delete", "/runs/alpha", _clicks("Delete")),
        State("dialog-keyboard", "/runs", _presses("?")),
        State("menu", "/settings", _menu),
    ]


def make_busy(root: Path) -> list[State]:
    """A run that trains and one that waits."""
    workspace = make_workspace(root)
    write_run(workspace, "before", 80)
    prepare(workspace, "training", length="1000000 steps")
    prepare(workspace, "waiting")
    # A build of these takes longer than the pictures.
    (root / "many").mkdir()
    for number in range(MANY_FILES):
        (root / "many" / f"{number}.txt").write_text(f"Document {number}. " * 400)
    return [
        State("home", "/", _of_a_living_run),
        State("data-building", "/data", _of_a_build),
        State("models", "/models"),
        State("runs", "/runs"),
        State("run", "/runs/training"),
        State("run-waiting", "/runs/waiting"),
        State("menu", "/data", _menu),
        State("dialog-stop", "/runs/training", _clicks("Stop and save")),
    ]


def make_many(root: Path) -> list[State]:
    """Two hundred runs."""
    workspace = make_workspace(root)
    for number in range(MANY):
        write_run(workspace, f"sweep-{number:03d}", 20 + number)
    several = ",".join(f"sweep-{number:03d}" for number in range(8))
    return [
        State("home", "/"),
        State("runs", "/runs"),
        State("runs-chosen", f"/runs?select={several}"),
        State("compare", f"/compare?runs={several}"),
    ]


MAKERS = {"empty": make_empty, "ended": make_ended, "busy": make_busy, "many": make_many}


def _train(directory: Path) -> None:
    """Train a prepared run to its end."""
    program = "cptstudio.training.continued_pretraining"
    subprocess.run([sys.executable, "-m", program, str(directory)], check=True)


def _to_the_end(page: Page) -> None:
    page.get_by_role("tablist").last.scroll_into_view_if_needed()


def _end(directory: Path, outcome: Outcome, reason: str) -> None:
    """Write the trainer's last word."""
    rows = len((directory / run_files.METRICS).read_text(encoding="utf-8").splitlines())
    result = RunResult(
        outcome=outcome, reason=reason, step=rows, planned_steps=2 * rows, checkpoint=None,
        best_checkpoint=None, skipped_steps=0, session=0, ended=time.time(),
    )  # fmt: skip
    run_files.write_record(directory / run_files.RESULT, result)


def _of_a_build(page: Page) -> None:
    expect(page.get_by_text("large").first).to_be_visible(timeout=PATIENCE_MS)


def _of_a_living_run(page: Page) -> None:
    expect(page.locator(".live-curve canvas").first).to_be_visible(timeout=PATIENCE_MS)


@contextmanager
def _busy(server: RunningServer, session: SignedIn, name: str) -> Iterator[None]:
    """While a run trains and another waits, where the state has such; its end is not awaited."""
    if name != "busy":
        yield
        return
    for run, body in (("training", {}), ("waiting", {"queue": True})):
        answer = server.api(session, "POST", f"/api/runs/{run}/start", body)
        assert answer.status < 300, answer.body
    build = {"name": "large", "sources": [{"root": "workspace", "path": "many"}]}
    built = server.api(session, "POST", "/api/corpora", build)
    assert built.status < 300, built.body
    try:
        yield
    finally:
        server.api(session, "POST", f"/api/jobs/{built.json['id']}/cancel")
        server.api(session, "DELETE", "/api/queue/waiting")
        server.api(session, "POST", "/api/runs/training/kill", {"confirmed": True})


def photograph(browser: Browser, server: RunningServer, name: str, states: list[State],
               folder: Path) -> None:  # fmt: skip
    """All states of a workspace in all looks."""
    session = server.sign_in()
    with _busy(server, session, name):
        for look in LOOKS:
            size: ViewportSize = {"width": look.width, "height": look.height}
            context = browser.new_context(
                viewport=size,
                device_scale_factor=look.zoom,
                color_scheme="dark" if look.dark else "light",
                reduced_motion="reduce",
                base_url=server.origin,
                storage_state=storage_of(server, session),
            )
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            for state in states:
                page.goto(state.path, wait_until="networkidle")
                page.get_by_role("heading", level=1).first.wait_for()
                expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=PATIENCE_MS)
                state.prepare(page)
                page.screenshot(path=folder / f"{name}-{state.name}-{look.name}.png")
                widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
                if widths[0] > widths[1]:
                    print(f"{name}-{state.name}-{look.name}: {widths[0]} px in {widths[1]} px")
            context.close()


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="of these: " + ", ".join(MAKERS))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**browser_options())
        for name, make in MAKERS.items():
            if arguments.only in name:
                states = make(Path(place) / name)
                with running_server(Path(place) / name, "--no-detect") as server:
                    photograph(browser, server, name, states, arguments.folder)
        browser.close()


if __name__ == "__main__":
    main()
