"""How good the pages are: Lighthouse, first paint, idle traffic, requests to other hosts.

    python -m benchmarks.page_quality [--rounds 3] [--page]

A real server serves a workspace of 3 runs with 5 metrics of 10,000 points each. Lighthouse (the
npm package, installed once into the user's cache) visits the pages with the machine's Chromium in
its desktop setting; the medians of the rounds count. `--page` writes docs/interface.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, sync_playwright

from benchmarks.long_run import write_rows
from cptstudio.training.machine import describe_machine
from cptstudio.web import pages
from cptstudio.workspace import Workspace
from tests.web.run_directories import make_run
from tests.web.server_process import RunningServer, SignedIn, running_server
from tests.web.ui.browsers import browser_options, storage_of

LIGHTHOUSE = "13.5.0"
RUNS, POINTS = 3, 10_000
IDLE_SECONDS = 10
DOCUMENT = Path(__file__).parent.parent / "docs" / "interface.md"
BEGIN, END = "<!-- begin page_quality -->", "<!-- end page_quality -->"
PAGES = {
    title: path.replace("/:id?", "").replace(":id", "run-1") for title, path in pages.PAGES.items()
} | {"Compare": "/compare?runs=run-1,run-2,run-3"}
AUDITS = {
    "first paint, ms": "first-contentful-paint",
    "largest paint, ms": "largest-contentful-paint",
    "blocked, ms": "total-blocking-time",
    "shift": "cumulative-layout-shift",
}


def install_lighthouse() -> Path:
    """The program, installed by npm where it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "cpt-studio" / "lighthouse"
    program = folder / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", f"lighthouse@{LIGHTHOUSE}"]
        environment = os.environ | {"PUPPETEER_SKIP_DOWNLOAD": "1"}
        subprocess.run([*command, "--prefix", str(folder)], check=True, env=environment)
    return program


def sign_in(server: RunningServer, profile: Path) -> None:
    """Sign a browser's profile in, through the entry file."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(profile, **browser_options())
        page = context.new_page()
        page.goto((server.workspace / ".cpt-studio" / "open.html").as_uri())
        page.wait_for_url(f"{server.origin}/")
        page.get_by_role("heading", name="Home", level=1).wait_for()
        context.close()


def visit(program: Path, server: RunningServer, profile: Path, path: str) -> dict[str, Any]:
    """One visit of a page by Lighthouse, in a signed-in profile."""
    options = browser_options("--headless=new")
    environment = os.environ | {"CHROME_PATH": options["executable_path"] or "chromium"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                *(str(program), f"{server.origin}{path}", "--quiet", "--preset=desktop"),
                "--only-categories=performance,accessibility,best-practices",
                *("--output=json", f"--output-path={report}"),
                "--disable-storage-reset",
                f"--chrome-flags={' '.join(options['args'])} --user-data-dir={profile}",
            ],
            check=True,
            env=environment,
        )
        found = json.loads(report.read_text(encoding="utf-8"))
    scores = {name: round(100 * entry["score"]) for name, entry in found["categories"].items()}
    return scores | {
        title: found["audits"][audit]["numericValue"] for title, audit in AUDITS.items()
    }


def watch_traffic(server: RunningServer, session: SignedIn) -> tuple[int, set[str]]:
    """Bytes that an idle Home page exchanges in ten seconds, and all hosts that were asked."""
    count, hosts = 0, set()

    def frame(event: dict[str, Any]) -> None:
        nonlocal count
        count += len(event["response"]["payloadData"])

    def received(event: dict[str, Any]) -> None:
        nonlocal count
        count += int(event["encodedDataLength"])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**browser_options())
        context = browser.new_context(storage_state=storage_of(server, session))
        page = context.new_page()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        for path in PAGES.values():
            page.goto(f"{server.origin}{path}", wait_until="networkidle")
        page.goto(f"{server.origin}/", wait_until="networkidle")
        devtools: CDPSession = context.new_cdp_session(page)
        devtools.on("Network.webSocketFrameReceived", frame)
        devtools.on("Network.webSocketFrameSent", frame)
        devtools.on("Network.dataReceived", received)
        devtools.send("Network.enable")
        page.wait_for_timeout(IDLE_SECONDS * 1000)
        browser.close()
    return count, hosts


def measure(rounds: int) -> dict[str, Any]:
    """All figures of all pages."""
    program = install_lighthouse()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        for number in range(1, RUNS + 1):
            write_rows(make_run(workspace, f"run-{number}"), POINTS)
        with running_server(workspace.root, "--no-detect") as server:
            profile = Path(folder) / "profile"
            sign_in(server, profile)
            found: dict[str, dict[str, float]] = {}
            for title, path in PAGES.items():
                visits = [visit(program, server, profile, path) for _ in range(rounds)]
                found[title] = {
                    key: statistics.median(one[key] for one in visits) for key in visits[0]
                }
            traffic, hosts = watch_traffic(server, server.sign_in())
            own = server.origin.split("/")[2]
    return {"pages": found, "idle_bytes": traffic, "other_hosts": sorted(hosts - {own})}


def render(found: dict[str, Any], rounds: int) -> str:
    """The figures as a page's part."""
    machine = describe_machine()
    keys = list(next(iter(found["pages"].values())))
    lines = [
        f"{machine.processor}, {machine.cores} cores, {machine.system}; Lighthouse {LIGHTHOUSE}, "
        f"desktop, medians of {rounds}; {RUNS} runs with 5 metrics of {POINTS:,} points each.",
        "",
        "| Page | " + " | ".join(key.replace("-", " ") for key in keys) + " |",
        "| --- |" + " --: |" * len(keys),
    ]
    for title, values in found["pages"].items():
        cells = [f"{values[key]:.3f}" if key == "shift" else f"{values[key]:.0f}" for key in keys]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    others = ", ".join(found["other_hosts"]) or "none"
    lines += [
        "",
        f"An idle page exchanges {found['idle_bytes']:,} bytes in {IDLE_SECONDS} seconds. Other "
        f"hosts that any page asked for anything: {others}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help=f"write {DOCUMENT.name}")
    arguments = parser.parse_args()
    if shutil.which("npm") is None:
        parser.error("npm is needed to install Lighthouse.")
    text = render(measure(arguments.rounds), arguments.rounds)
    print(text)
    if arguments.page:
        page = DOCUMENT.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        _, after = rest.split(END)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
