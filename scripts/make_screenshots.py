"""Makes the README's pictures from a real server and a real run: docs/images/*.png.

    python -m scripts.make_screenshots [FOLDER]

A demo workspace is made in a temporary folder, its base model is trained for some minutes, and
the pages are photographed with the machine's Chromium, light and dark. With FOLDER it is kept
there, and not made again the next time.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.web.server_process import RunningServer, running_server
from tests.web.ui.browsers import browser_options, storage_of

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SIZE: ViewportSize = {"width": 1280, "height": 860}
STUDIO = (sys.executable, "-m", "cptstudio.cli")
RUNS = {
    "with-replay": ("--replay", "python-documentation", "--learning-rate", "5e-4"),
    "without-replay": ("--eval-corpus", "python-documentation", "--learning-rate", "1e-3"),
}
STEPS = 120
TRAINED = f"with-replay@step-{STEPS:08d}"
CORPORA = ("python-source", "python-documentation")
LOADING_MS = 60_000


def train(workspace: Path) -> None:
    """Two runs of the demo's base model, to be looked at and compared."""
    for name, options in RUNS.items():
        command = [
            *(*STUDIO, "train", "-w", str(workspace), "--name", name, "--model", "demo-base"),
            *(
                "--corpus",
                "python-source",
                "--length",
                f"{STEPS} steps",
                "--sequence-length",
                "256",
                "--evaluate-every",
            ),
            *("20 steps", "--save-every", "40 steps", *options),
        ]
        subprocess.run(command, check=True)


def measure(workspace: Path) -> None:
    """A report of base and checkpoints on both corpora."""
    corpora = [word for name in CORPORA for word in ("-c", name)]
    models = ("demo-base", "with-replay", "without-replay")
    subprocess.run([*STUDIO, "evaluate", "-w", str(workspace), *models, *corpora], check=True)


def ask_models(page: Page) -> None:
    """Two models on one prompt, and the alternatives of a token."""
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_role("article").first).to_be_visible(timeout=LOADING_MS)
    stop = page.get_by_role("button", name="Stop", exact=True)
    expect(stop).to_have_count(0, timeout=LOADING_MS)
    page.get_by_role("article").first.scroll_into_view_if_needed()
    page.locator(".lane").nth(1).locator(".token", has_text=re.compile("[a-z]{2}")).nth(3).click()


def show_report(page: Page) -> None:
    """The newest report."""
    page.get_by_role("link", name="demo-base").first.click()
    expect(page.get_by_role("table").first).to_be_visible(timeout=LOADING_MS)
    page.get_by_role("table").first.scroll_into_view_if_needed()


def photograph(
    browser: Browser,
    server: RunningServer,
    path: str,
    name: str,
    scheme: str,
    prepare: Callable[[Page], None] = lambda page: None,
) -> None:
    """One page in one colour scheme."""
    context = browser.new_context(
        viewport=SIZE,
        device_scale_factor=1,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
        storage_state=storage_of(server, server.sign_in()),
    )
    page = context.new_page()
    page.goto(f"{server.origin}{path}", wait_until="networkidle")
    page.wait_for_function("!document.querySelector('[aria-busy=true]')")
    prepare(page)
    page.screenshot(path=IMAGES / f"{name}-{scheme}.png")
    context.close()


def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(sys.argv[1] if len(sys.argv) > 1 else folder) / "demo"
        if not (workspace / "models" / "cpt").exists():
            subprocess.run([*STUDIO, "demo", str(workspace)], check=True)
            train(workspace)
            measure(workspace)
        with (
            running_server(workspace, "--no-detect") as server,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(**browser_options())
            for scheme in ("light", "dark"):
                photograph(browser, server, "/runs/with-replay", "run", scheme)
                photograph(browser, server, "/", "home", scheme)
            photograph(browser, server, "/runs", "runs", "light")
            photograph(browser, server, "/models", "models", "light")
            compared = ",".join(RUNS)
            photograph(browser, server, f"/compare?runs={compared}", "compare", "light")
            photograph(browser, server, "/data/python-source", "data", "light")
            photograph(browser, server, "/new?from=with-replay&step=review", "new-run", "light")
            asked = f"models=demo-base,{TRAINED}&max_tokens=60&prompt=def+read_lines(path):%0A++++"
            photograph(browser, server, f"/playground?{asked}", "playground", "light", ask_models)
            photograph(browser, server, "/evaluate?view=table", "evaluate", "light", show_report)
            browser.close()


if __name__ == "__main__":
    main()
