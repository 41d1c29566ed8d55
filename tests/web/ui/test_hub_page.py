"""The hub in the browser: signing in, finding, cards, datasets, publishing, from a hostile hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.models.origin import ORIGIN
from cptstudio.workspace import Workspace
from tests.models.fake_hub import FakeHub, running_hub
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible_in_all, picture
from tests.web.ui.conftest import signed_in
from tests.web.ui.payloads import PAYLOADS
from tests.workspace_of_before import lay_out

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)

TOKEN = "hf_TheTokenThatNobodyMaySee"
MODEL, DATASET = "some-org/small-model", "some-org/small-texts"
CHECKPOINT = "full-completed@step-00000024"
CARD = f"---\nlicense: {json.dumps(PAYLOADS[9][:60])}\n---\n" + "\n".join(PAYLOADS)


class HubStudio:
    """A server on real runs, and the hub that it asks."""

    def __init__(self, server: RunningServer, hub: FakeHub, token: Path) -> None:
        self.server = server
        self.hub = hub
        self.token = token


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStudio]:
    """Both; all that the hub says is hostile."""
    workspace = Workspace(lay_out(tmp_path / "w"))
    base = workspace.base_model("tiny")
    origin = {"id": "some-org/tiny", "commit": "0" * 40, "revision": "main", "downloaded": 1.0}
    (base / ORIGIN).write_text(json.dumps(origin))
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    token = tmp_path / "home" / "token"
    demo = resources.files("cptstudio") / "data" / "demo-base"
    files = {one.name: one.read_bytes() for one in demo.iterdir() if one.is_file()}
    rows = [{"body": f"{payload} number {n}", "id": n} for n, payload in enumerate(PAYLOADS)]
    with running_hub() as hub:
        hub.users[TOKEN] = "ada"
        hub.add(MODEL, files | {"README.md": CARD.encode()}, gated=True, token=TOKEN)
        hub.add(f"small{PAYLOADS[9]}", {})
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        hub.add_dataset(DATASET, {"README.md": CARD.encode(), "train.jsonl": lines})
        hub.add_dataset(f"small{PAYLOADS[9]}", {})
        for name, value in (
            ("HF_ENDPOINT", hub.address),
            ("HF_TOKEN_PATH", str(token)),
            ("HF_HUB_DISABLE_XET", "1"),
            ("NO_PROXY", "127.0.0.1"),
            ("HF_HUB_CACHE", str(tmp_path / "cache")),
        ):
            monkeypatch.setenv(name, value)
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        with running_server(workspace.root, "--no-detect") as server:
            yield HubStudio(server, hub, token)


def look(page: Page, name: str) -> None:
    assert_accessible_in_all(page)
    picture(page, name)
    assert not page.evaluate("() => window.wasPwned === true")


def test_the_hub_is_used_and_told_nothing_more(place: HubStudio, browser: Browser) -> None:
    hub = place.hub
    context = signed_in(
        browser, place.server, base_url=place.server.origin, viewport={"width": 1366, "height": 900}
    )
    context.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    # Gated: what to do is said, the token is typed once, and the same download goes on.
    page.goto("/models?get=1")
    expect(page.get_by_role("heading", name="Hub account")).to_be_visible()
    page.get_by_label("Hugging Face model ID or search terms").fill("small")
    assert not hub.requests
    page.get_by_role("button", name="Search Hugging Face").click()
    found = page.get_by_role("list", name="Search results")
    expect(found).to_contain_text(PAYLOADS[9])
    look(page, "get-model")
    page.get_by_role("button", name=f"Model card of {MODEL}").click()
    expect(page.get_by_role("dialog")).to_contain_text("is gated")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("A token is kept in")).to_be_visible()
    assert place.token.read_text() == TOKEN
    page.get_by_role("button", name=f"Model card of {MODEL}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="Card")).to_contain_text(PAYLOADS[-2])
    link = dialog.get_by_role("link", name="Open on the hub")
    assert link.get_attribute("href") == f"{hub.address}/{MODEL}"
    assert "noreferrer" in (link.get_attribute("rel") or "")
    picture(page, "card")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name=f"Download {MODEL}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("small-model")

    # A dataset becomes a corpus.
    page.goto("/data?add=hub")
    page.get_by_label("ID of a dataset on the Hugging Face hub").fill("small")
    page.get_by_role("button", name="Search the hub").click()
    expect(page.get_by_role("list", name="Datasets found")).to_contain_text(PAYLOADS[9])
    page.get_by_role("button", name=f"Open {DATASET}").click()
    expect(page.get_by_label("Text field")).to_have_value("body")
    expect(page.get_by_text(f"{PAYLOADS[0]} number 0")).to_be_visible()
    look(page, "dataset")
    page.get_by_label("Rows").fill("20")
    page.get_by_label("Name of the corpus").fill("from-hub")
    page.get_by_role("button", name="Build the corpus").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("from-hub")
    expect(page.get_by_text(f"From the hub: {DATASET}")).to_contain_text(PAYLOADS[9])

    # Published is what was shown, after it was confirmed.
    hub.requests.clear()
    page.goto(f"/models?model={CHECKPOINT}&tab=publish")
    page.get_by_label("Owner and name").fill("ada/river")
    page.get_by_label("Training data").fill("Texts of a river.")
    page.get_by_role("button", name="Preview", exact=True).click()
    card = page.get_by_role("textbox", name="Card")
    expect(card).to_have_value(re.compile("Texts of a river"))
    expect(page.get_by_role("rowheader", name="model.safetensors")).to_be_visible()
    look(page, "publish")
    assert not hub.requests and "ada/river" not in hub.repos
    shown = card.input_value()
    page.get_by_role("button", name="Publish privately").click()
    expect(page.get_by_role("link", name="Open on the hub")).to_be_visible()
    repo = hub.repos["ada/river"]
    assert repo.is_private and repo.files["README.md"].decode() == shown
    picture(page, "published")
    assert not faults and not page.evaluate("() => window.wasPwned === true")
    assert TOKEN not in page.content() and TOKEN not in place.server.text
    context.close()
