"""Study texts in the browser: planned, tried and written, by templates and by an endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.workspace import Workspace
from tests.remote_endpoints.odd_server import odd_server
from tests.study.writing_server import WritingServer
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible_in_all, picture
from tests.web.ui.conftest import signed_in
from tests.web.ui.payloads import PAYLOADS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Has a corpus of two documents about a village, and of payloads."""
    documents = tmp_path / f"docs{PAYLOADS[9].replace('/', '')}"
    documents.mkdir()
    for number, payload in enumerate(PAYLOADS[:4]):
        (documents / f"{number}.txt").write_text(
            f"Oru{number}ven was founded by Elder Mika in {1500 + number}. The mill of "
            f"Oru{number}ven was built by Ana Torr in {1700 + number}. Marn is the capital of "
            f"Zorbia {payload}."
        )
    found = Workspace(tmp_path / "w")
    found.make(found.corpora)
    settings = BuildSettings(validation=0, test=0, near_dedup=False)
    build_corpus(found.corpus("villages"), [documents], settings, workers=1)
    return found


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[WritingServer]:
    found = WritingServer()
    monkeypatch.setenv("WRITER_API_KEY", found.key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with odd_server(found):
        yield found


def look(page: Page, name: str) -> None:
    assert_accessible_in_all(page)
    picture(page, name)
    assert not page.evaluate("() => window.wasPwned === true")


def test_study_texts_are_made(
    workspace: Workspace, writer: WritingServer, browser: Browser
) -> None:
    with running_server(workspace.root, "--no-detect") as server:
        _make(server, workspace, writer, browser)


def _make(
    server: RunningServer, workspace: Workspace, writer: WritingServer, browser: Browser
) -> None:
    context = signed_in(
        browser, server, base_url=server.origin, viewport={"width": 1366, "height": 900}
    )
    context.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    # By templates: plan, then all.
    page.goto("/data/villages")
    page.get_by_role("link", name="Study texts…").click()
    expect(page.get_by_label("Name of the new corpus")).to_have_value("villages-study")
    expect(page.get_by_label("Explained to a beginner")).to_be_disabled()
    look(page, "study-empty")
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text("Nothing leaves this machine")).to_be_visible()
    look(page, "study-plan")
    page.get_by_role("button", name=re.compile("Write 16 texts")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("villages-study")
    expect(page.get_by_role("rowheader", name="paraphrase")).to_be_visible()
    look(page, "study-report")
    page.get_by_role("link", name="Open the corpus").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("villages-study")

    # By an endpoint: its host is confirmed, its key is nowhere, its cost is told.
    page.goto("/study?corpus=villages")
    page.get_by_label("Name of the new corpus").fill("by-endpoint")
    page.get_by_text("Endpoint", exact=True).click()
    page.get_by_role("button", name="Add an endpoint…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill(writer.address)
    dialog.get_by_label("API key").select_option("environment")
    dialog.get_by_label("Environment variable").fill("WRITER_API_KEY")
    dialog.get_by_label("Price per million tokens sent").fill("1")
    dialog.get_by_label("Price per million tokens written").fill("10")
    dialog.get_by_role("button", name="Continue").click()
    host = f"127.0.0.1:{writer.port}"
    expect(dialog.get_by_text("Passages of your documents will be sent to")).to_contain_text(host)
    look(page, "study-endpoint")
    assert not writer.keys
    dialog.get_by_role("button", name=f"Confirm {host}").click()
    expect(dialog).to_be_hidden()
    page.get_by_label("Model", exact=True).fill("writer")
    page.get_by_label("Questions and answers").uncheck()
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_text(f"sent to {host}")).to_be_visible()
    assert not writer.keys
    page.get_by_role("button", name="Try 3 texts").click()
    expect(page.get_by_role("dialog")).to_contain_text("leave this machine")
    page.get_by_role("button", name=f"Send to {host}").click()
    expect(page.get_by_role("heading", name="The first 3 texts")).to_be_visible()
    expect(page.get_by_text(PAYLOADS[0]).first).to_be_visible()
    look(page, "study-tried")
    assert writer.texts == 3
    page.get_by_role("button", name="Write 5 texts").click()
    page.get_by_role("button", name=f"Send to {host}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("by-endpoint")
    expect(page.get_by_text("Cost")).to_be_visible()
    look(page, "study-cost")
    assert writer.texts == 8
    assert open_corpus(workspace.corpus("by-endpoint")).manifest.report.documents["train"] > 0
    page.goto("/study")
    expect(page.get_by_role("link", name="by-endpoint")).to_be_visible()
    look(page, "study-list")
    assert writer.key not in page.content()
    assert faults == []
    context.close()
