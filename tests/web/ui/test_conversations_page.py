"""Conversations on the Data page: built, reported, read as turns and in a model's template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chat_models import CHATML, make_chat_model
from tests.web.server_process import PATIENCE, RunningServer, running_server
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in
from tests.web.ui.payloads import PAYLOADS
from tests.web.ui.test_data_page import build_and_see_report, choose_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
expect.set_options(timeout=PATIENCE * 1000)
LONG = 5 * PATIENCE * 1000
"""Milliseconds that a program may take that loads a tokenizer and a template."""


def write_conversations(folder: Path) -> None:
    """Conversations full of markup, one of which thinks and calls a tool, and two that are none."""
    folder.mkdir(parents=True)
    lines: list[dict[str, object]] = []
    for number, payload in enumerate(PAYLOADS):
        asked = {"role": "user", "content": f"{payload} {number}?", "name": payload}
        answered = {"role": "assistant", "content": f"{number}: {payload}"}
        lines.append({"messages": [{"role": "system", "content": payload}, asked, answered]})
    calls = [{"name": PAYLOADS[0], "arguments": {PAYLOADS[1]: PAYLOADS[2]}}]
    thinking = {"role": "assistant", "thinking": f"First {PAYLOADS[0]}", "tool_calls": calls}
    lines.insert(0, {"messages": [
        {"role": "user", "content": "Use the tool"}, thinking,
        {"role": "tool", "content": PAYLOADS[3]}, {"role": "assistant", "content": "Used it."},
    ], "tools": [{"name": "look", "description": PAYLOADS[4]}]})  # fmt: skip
    lines.append({"messages": [{"role": PAYLOADS[0], "content": "x"}]})
    lines.append({PAYLOADS[0]: "no conversation"})
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The server on a workspace with a model whose chat template writes markup, too."""
    folder = tmp_path_factory.mktemp("talked")
    root = folder / "workspace"
    made = make_chat_model(root / "models" / "base" / "chatty", f"{PAYLOADS[0]}\n{CHATML}")
    assert made.is_dir()
    write_conversations(folder / "given" / "chats")
    with running_server(root, "--no-detect", "--allow-root", str(folder / "given")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    """A signed-in page on which none of the markup may run."""
    context = signed_in(browser, server, base_url=server.origin)
    context.add_init_script("window.pwned = () => { document.documentElement.dataset.pwned = 1; }")
    opened = context.new_page()
    yield opened
    assert not opened.locator("[data-pwned]").count()
    context.close()


def test_conversations_become_a_corpus_that_is_read_as_turns(
    page: Page, server: RunningServer
) -> None:
    page.goto("/data?add=1")
    page.get_by_role("radio", name="Conversations").check(force=True)
    expect(page.get_by_label("Prompt column")).to_be_visible()
    expect(page.get_by_label("Text field")).to_have_count(0)
    choose_folder(page, server.workspace.parent / "given", "chats")
    page.get_by_label("Name", exact=True).fill("talks")
    assert_accessible_in_all(page)
    # Without tokens, which the template's view needs none of.
    page.get_by_label("Tokenize for").select_option(label="No model yet")
    build_and_see_report(page, "talks")
    read = page.get_by_role("region", name="Read and left out")
    expect(read).to_contain_text("unknown role")
    expect(read).to_contain_text("no known form of conversation")
    expect(page.get_by_role("region", name="Turns")).to_contain_text("Assistant")
    assert_accessible_in_all(page)

    page.get_by_role("tab", name="Conversations").click()
    page.get_by_role("button", name="Use the tool").click()
    turns = page.get_by_role("group", name="Turns of chats/chat.jsonl")
    expect(turns.locator(".conversation-role")).to_have_text(
        ["User", "Assistant", "Tool", "Assistant"]
    )
    turns.get_by_text("Thinking").click()
    expect(turns).to_contain_text(f"First {PAYLOADS[0]}")
    expect(turns).to_contain_text(PAYLOADS[2].replace('"', '\\"'))
    assert_accessible_in_all(page)

    page.get_by_role("button", name="Next document").click()
    page.get_by_role("radio", name="In a model's template").check(force=True)
    shown = page.get_by_role("group", name="Text in the template")
    expect(shown).to_contain_text("<assistant>", timeout=LONG)
    expect(shown.locator("mark")).to_contain_text(f"0: {PAYLOADS[0]}")
    assert_accessible_in_all(page)

    page.goto("/data")
    expect(page.get_by_role("row", name="talks")).to_contain_text("Conversations")
    assert_accessible_in_all(page)
