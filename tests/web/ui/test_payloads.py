"""Markup from files, names, logs and models is only ever text: nothing of it runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cptstudio import run_files
from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.durable import dump_json
from cptstudio.export_files import EXPORT
from cptstudio.lm.merge_record import RECORD
from cptstudio.models.origin import ORIGIN
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.terminal import visible
from cptstudio.workspace import Workspace
from tests.training.small_workspace import make_workspace
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.conftest import signed_in
from tests.web.ui.payloads import PAYLOADS
from tests.web.ui.written_runs import write_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)
FORGELLM = Path(__file__).parents[2] / "runs" / "fixtures" / "CPT_ended.json"


def file_name(payload: str) -> str:
    # No file name holds a slash; closing tags need none to be harmful in HTML.
    return payload.replace("/", "\u2044")


def write_payloads(workspace: Workspace) -> None:
    """A run, a corpus, imported runs and models full of payloads."""
    directory = write_run(workspace, "hostile", 8)
    with (directory / run_files.LOG).open("a", encoding="utf-8") as log:
        log.write("\n".join(PAYLOADS) + "\n")
    with (directory / run_files.EVENTS).open("a", encoding="utf-8") as events:
        for payload in PAYLOADS:
            event = {"time": 1.79e9, "session": 0, "event": "skipped", "step": 8}
            events.write(dump_json(event | {"message": payload}) + "\n")
    with (directory / run_files.SAMPLES).open("a", encoding="utf-8") as samples:
        for number, payload in enumerate(PAYLOADS):
            sample = {"time": 1.79e9, "session": 0, "step": 8, "index": number}
            samples.write(dump_json(sample | {"prompt": payload, "completion": payload}) + "\n")
    sources = workspace.root / "sources" / "payloads"
    sources.mkdir(parents=True)
    for number, payload in enumerate(PAYLOADS):
        text = f"{payload}\n" + f"text number {number} " * 20
        (sources / f"{file_name(payload)}.txt").write_text(text, encoding="utf-8")
        (sources / f"{file_name(payload)}.copy.txt").write_text(text, encoding="utf-8")
        (sources / f"{file_name(payload)}.pdf").write_bytes(b"%PDF-1.7 broken")
    build_corpus(
        workspace.corpus("payloads"),
        [sources],
        BuildSettings(near_dedup=False, validation=0.1, test=0.0),
        model_path=workspace.base_model("toy"),
    )
    forgellm = json.loads(FORGELLM.read_text(encoding="utf-8"))
    toy = workspace.base_model("toy")
    settings = json.loads((toy / "config.json").read_text(encoding="utf-8"))
    older = workspace.root / "older"
    older.mkdir()
    for number, payload in enumerate(PAYLOADS):
        model = workspace.base_model(f"model-{number:02d}")
        model.mkdir(parents=True)
        for file in toy.iterdir():
            os.link(file, model / file.name)
        (model / "config.json").unlink()
        named = settings | {"model_type": payload, "architectures": [payload]}
        (model / "config.json").write_text(json.dumps(named), encoding="utf-8")
        write_model_texts(model, payload, number)
        text = json.dumps(forgellm).replace(
            json.dumps(forgellm.get("model_name", "model")), json.dumps(payload)
        )
        (older / f"CPT_{number:02d} {file_name(payload)[:120]}.json").write_text(
            text, encoding="utf-8"
        )
    manager = TrainingManager(workspace, detect=False)
    manager.external.import_runs(older)
    manager.close()


def write_model_texts(model: Path, payload: str, number: int) -> None:
    """A payload in everything that is said of a model besides its configuration."""
    card = {"license": payload[:60], "base_model": [payload]}
    (model / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n{payload}\n")
    (model / "LICENSE").write_text(payload)
    if number % 2:
        origin = {"id": payload, "commit": payload, "revision": payload, "downloaded": 1e9}
        (model / ORIGIN).write_text(json.dumps(origin))
    else:
        part = {"model": payload, "weight": 0.5}
        (model / RECORD).write_text(json.dumps({"merge": payload, "parts": [part]}))
    export = model.parents[2] / "exports" / model.name
    export.mkdir(parents=True)
    record = {"created": 1e9, "format": "gguf", "weights": payload}
    source = {"reference": payload, "folder": payload}
    (export / EXPORT).write_text(json.dumps(record | {"source": source}))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    workspace = make_workspace(tmp_path_factory.mktemp("hostile") / "workspace")
    write_payloads(workspace)
    options = ("--no-detect", "--allow-root", str(workspace.root / "sources"))
    with running_server(workspace.root, *options) as server:
        yield server


class Watched:
    """A page whose every sign of a running payload is noted."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", lambda message: self._note(message.text))
        self.page.on("request", lambda request: self._request(request.url, origin))

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(text)

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin, origin.replace("http", "ws"))):
            self.faults.append(f"request to {url}")

    def look(self, path: str, shown: str) -> None:
        """Open a page, wait until it shows a payload as text, and see that nothing ran."""
        self.page.goto(path)
        expect(self.page.get_by_role("main")).to_contain_text(shown)
        assert not self.page.evaluate("() => window.wasPwned === true"), path
        assert (
            self.page.locator("main :is(iframe, object, embed, video, audio, marquee)").count() == 0
        )


def test_no_payload_runs_on_any_page(browser: Browser, hostile: RunningServer) -> None:
    context = signed_in(browser, hostile, base_url=hostile.origin)
    cookie = hostile.sign_in()
    first = PAYLOADS[0]
    labels = {"tags": [payload[:40] for payload in PAYLOADS[:20]], "note": "\n".join(PAYLOADS)}
    saved = hostile.api(cookie, "PUT", "/api/runs/hostile/labels", labels)
    assert saved.status == 200, saved.body
    watched = Watched(context, hostile.origin)
    name = file_name(first)
    watched.look("/", "hostile")
    watched.look("/runs", first[:40])
    for tab in ("events", "log", "samples"):
        watched.look(f"/runs/hostile?tab={tab}", first)
    watched.page.goto("/runs/hostile?tab=notes")
    expect(watched.page.get_by_role("textbox", name="Note")).to_have_value(
        re.compile(re.escape(first))
    )
    watched.look("/data/payloads", name)
    watched.look("/data/payloads?tab=problems", name)
    watched.look("/data/payloads?tab=documents", name)
    watched.look("/data/payloads?tab=rows", "pwned()")
    watched.look("/new?view=all", first)
    watched.look("/models", first[:40])
    for number in (0, 1, 2):
        watched.look(f"/models?model=model-{number:02d}", PAYLOADS[number])
    watched.look("/models?model=model-01&tab=card", PAYLOADS[1])
    watched.look("/models?model=exports/model-00", first)
    watched.look("/compare?runs=hostile", "hostile")
    watched.page.goto("/data?add=1")
    watched.page.get_by_label("Folder", exact=True).select_option(
        label=str(hostile.workspace / "sources")
    )
    watched.page.get_by_role("option", name="payloads").dblclick()
    expect(watched.page.get_by_role("listbox")).to_contain_text(name)
    assert not watched.page.evaluate("() => window.wasPwned === true")
    imported = hostile.api(cookie, "GET", "/api/runs").json["imported"]
    assert len(imported) == len(PAYLOADS)
    for run in imported[:5]:
        watched.page.goto(f"/runs/{run['id']}")
        expect(watched.page.get_by_role("heading", level=1)).to_be_visible()
        assert not watched.page.evaluate("() => window.wasPwned === true")
    assert watched.faults == []
    assert "content security policy violated" not in hostile.text
    context.close()


def test_a_report_is_only_text_wherever_it_is_opened(
    browser: Browser, hostile: RunningServer, tmp_path: Path
) -> None:
    """From a page, and opened from the disk with the network cut, on a phone, and printed."""
    turned = "\u202egnp.exe\u2066"
    labels = {"tags": [payload[:40] for payload in PAYLOADS[:20]], "note": turned}
    cookie = hostile.sign_in()
    assert hostile.api(cookie, "PUT", "/api/runs/hostile/labels", labels).status == 200
    imported = [run["id"] for run in hostile.api(cookie, "GET", "/api/runs").json["imported"]]
    context = signed_in(browser, hostile, base_url=hostile.origin)
    page = context.new_page()
    page.goto("/runs/hostile")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as saving:
        page.get_by_role("menuitem", name="Report (HTML)").click()
    assert saving.value.suggested_filename == "hostile-report.html"
    saving.value.save_as(tmp_path / "run.html")
    page.goto("/compare?runs=" + ",".join(["hostile", *imported[:3]]))
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save report").click()
    saving.value.save_as(tmp_path / "several.html")
    context.close()
    for name, shown in (("run", PAYLOADS), ("several", [*PAYLOADS[:20], "Verdicts", "Baseline"])):
        text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|img|iframe|link|object|base)\b|\son\w+=[^&]*>$", text, re.I)
        assert turned[0] not in text and "\\u202egnp.exe" in text
        phone = browser.new_context(
            offline=True, viewport={"width": 390, "height": 844}, color_scheme="dark"
        )
        watched = Watched(phone, (tmp_path / f"{name}.html").as_uri())
        watched.page.goto((tmp_path / f"{name}.html").as_uri())
        written = watched.page.get_by_role("main").inner_text()
        for one in shown:
            # What turns the direction of a text, or ends its line, is written out.
            assert "".join(visible(one).split()) in "".join(written.split())
        assert not watched.page.evaluate("() => window.wasPwned === true")
        assert watched.page.locator("main :is(iframe, object, embed, script, a)").count() == 0
        assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
        assert watched.page.locator("svg path").count() > 2
        # The policy holds: a script that gets into the page all the same does not run.
        watched.page.evaluate(
            """() => document.body.append(Object.assign(document.createElement("script"),
              { textContent: "window.pwned()" }))"""
        )
        assert not watched.page.evaluate("() => window.wasPwned === true")
        assert [fault for fault in watched.faults if "Content Security Policy" not in fault] == []
        watched.page.emulate_media(media="print")
        expect(watched.page.get_by_role("heading", level=1)).to_be_visible()
        assert watched.page.pdf(format="A4").startswith(b"%PDF")
        phone.close()


def test_the_watch_itself_sees_a_payload_that_runs(browser: Browser) -> None:
    page = browser.new_page()
    page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page.goto(f"data:text/html,{quote(PAYLOADS[9])}")
    page.wait_for_function("() => window.wasPwned === true")
    page.close()
