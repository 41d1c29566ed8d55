"""Playground's chat in a real browser: lanes, edits, stop reasons, thinking, hostile templates."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.payloads import PAYLOADS
from tests.web.ui.playground_lab import BASE, CHAT_BASE, Lab, expect_ended, running_lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)

THINKS, RAISES, ENDLESS = "toy-thinks", "toy-raises", "toy-endless"
# What it prints is markup, and its prompt opens a thought.
_THINKS = (
    "{% for m in messages %}<img src=x onerror=pwned()>{{ m.role }}: {{ m.content }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"
)
SAMPLING = {"max_tokens": 8, "temperature": 2}
_RAISES = "{{ raise_exception('<img src=x onerror=pwned()> no roles') }}"
_ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("chat"), browser, trained=False) as made:
        for name, template in ((THINKS, _THINKS), (RAISES, _RAISES), (ENDLESS, _ENDLESS)):
            folder = made.workspace.base_model(name)
            shutil.copytree(made.workspace.base_model(BASE), folder)
            (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
        yield made


def answer(page: Page, number: int, label: str) -> Any:
    return page.get_by_role("article", name=f"Answer {number} of {label}", exact=True)


def said(page: Page, number: int, label: str) -> str:
    parts = answer(page, number, label).locator(".answer-text").first
    return str(parts.evaluate("part => part.textContent"))


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_lanes_edits_and_reasons(lab: Lab) -> None:
    page = lab.open(CHAT_BASE, THINKS, BASE, mode="chat", **SAMPLING)
    expect(page.get_by_role("region", name="Chat")).to_contain_text(
        "Chat requires a chat template on every selected model."
    )
    page.get_by_role("button", name=f"Remove {BASE}", exact=True).click()
    ends = page.get_by_role("list").filter(has_text="ends an answer at")
    expect(ends).to_contain_text(f"{THINKS} ends an answer at <|endoftext|> (chat template,")
    expect(ends).to_contain_text("The chat template marks the end of an answer with no token")
    page.get_by_label("System prompt").fill("Be short.")
    page.get_by_label("Message", exact=True).fill("What is a list?")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Or a tuple?")
    page.keyboard.press("Enter")
    expect_ended(page)
    turns: list[dict[str, str]] = [{"role": "system", "content": "Be short."}]
    turns.append(user("What is a list?\nOr a tuple?"))
    first = "".join(p["text"] for p in lab.complete(CHAT_BASE, {"chat": turns}, **SAMPLING))
    assert said(page, 1, CHAT_BASE) == first.strip()
    expect(answer(page, 1, CHAT_BASE)).to_contain_text("token limit reached · 8 tokens")
    # Nothing but thinking, which is therefore open.
    thought = answer(page, 1, THINKS).locator("details.answer-thinking")
    expect(thought).to_contain_text("not finished")
    expect(thought).to_have_js_property("open", True)

    page.get_by_label("Your next message").fill("And a set?")
    page.keyboard.press("Enter")
    expect_ended(page)
    again = [*turns, {"role": "assistant", "content": first}, user("And a set?")]
    second = "".join(p["text"] for p in lab.complete(CHAT_BASE, {"chat": again}, **SAMPLING))
    assert said(page, 2, CHAT_BASE) == second.strip()

    # An answer that the user wrote is what the model said; what came after it goes, and comes back.
    answer(page, 1, CHAT_BASE).get_by_role("button", name=re.compile("^Edit")).click()
    page.get_by_role("textbox", name=f"Edit: Answer 1 of {CHAT_BASE}").fill("A row of things.")
    page.keyboard.press("Control+Enter")
    expect(answer(page, 1, CHAT_BASE)).to_contain_text("edited by you")
    expect(page.get_by_text("Answer changed; 1 later message removed.").first).to_be_visible()
    expect(answer(page, 2, CHAT_BASE)).to_have_count(0)
    page.get_by_label("Your next message").fill("And a set?")
    page.keyboard.press("Enter")
    expect_ended(page)
    again[2] = {"role": "assistant", "content": "A row of things."}
    third = "".join(p["text"] for p in lab.complete(CHAT_BASE, {"chat": again}, **SAMPLING))
    assert said(page, 2, CHAT_BASE) == third.strip()

    # The arrow key changes the last message; the former question comes back by the note.
    page.get_by_label("Your next message").press("ArrowUp")
    field = page.get_by_role("textbox", name="Edit message 2")
    expect(field).to_be_focused()
    field.fill("Else?")
    field.press("Control+Enter")
    expect_ended(page)
    expect(page.get_by_role("region", name="Conversation")).to_contain_text("Else?")
    page.get_by_role("button", name=re.compile("^Undo")).last.click()
    expect(page.get_by_role("region", name="Conversation")).not_to_contain_text("Else?")
    assert said(page, 2, CHAT_BASE) == third.strip()

    # One lane alone, again.
    card = answer(page, 1, CHAT_BASE)
    card.get_by_role("button", name=re.compile("^Regenerate")).click()
    page.get_by_role("menuitem", name=re.compile("with seed 0")).click()
    expect_ended(page)
    assert said(page, 1, CHAT_BASE) == first.strip()
    expect(answer(page, 2, CHAT_BASE)).to_have_count(0)
    # From the history, with what was said before.
    history = page.get_by_role("region", name="History")
    history.get_by_role("button", name=re.compile("^Show again: What is a list.*Else")).click()
    expect(page.get_by_role("region", name="Conversation")).to_contain_text("A row of things.")
    expect(answer(page, 2, CHAT_BASE)).to_contain_text("token limit reached")
    assert_accessible_in_all(page)
    page.close()


def test_stopped_and_taken_up(lab: Lab) -> None:
    page = lab.open(CHAT_BASE, mode="chat", max_tokens=20_000, temperature=3, context_length=64)
    page.get_by_label("Message", exact=True).fill("Go on.")
    page.keyboard.press("Enter")
    grown = "least => document.querySelector('.answer-parts')?.textContent.length > least"
    page.wait_for_function(grown, arg=20)
    # A page that is loaded again finds the answer that is being made.
    page.reload()
    page.wait_for_function(grown, arg=20)
    expect(page.get_by_role("region", name="Conversation")).to_contain_text("Go on.")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    expect(answer(page, 1, CHAT_BASE)).to_contain_text("stopped ·")
    page.close()


@pytest.mark.bench
def test_hostile_messages_and_templates(lab: Lab) -> None:
    page = lab.open(CHAT_BASE, THINKS, mode="chat", max_tokens=4)
    page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page.reload()
    hostile = "\n".join(PAYLOADS)
    page.get_by_label("System prompt").fill(hostile)
    page.get_by_label("Message", exact=True).fill(hostile)
    page.get_by_role("button", name="Send", exact=True).click()
    expect_ended(page)
    answer(page, 1, THINKS).get_by_text(re.compile("Prompt tokens")).click()
    answer(page, 1, CHAT_BASE).get_by_role("button", name=re.compile("^Edit")).click()
    page.get_by_role("textbox", name=re.compile("^Edit: ")).fill(hostile)
    page.keyboard.press("Control+Enter")
    expect(answer(page, 1, CHAT_BASE)).to_contain_text(PAYLOADS[0][:20])
    # A role that no template knows, and fields that are no text, are refused by the server.
    ask = {"labels": [CHAT_BASE], "prompts": [{"chat": [{"role": 1}]}], "sampling": {}}
    refused = lab.server.api(lab.cookie, "POST", "/api/inference/complete", ask)
    assert refused.status == 422 and "chat" in json.dumps(refused.json)

    page.goto(f"/playground?models={RAISES},{ENDLESS}&mode=chat")
    ends = page.get_by_role("region", name="Chat").get_by_role("list")
    expect(ends).to_contain_text("The chat template cannot be applied: <img src=x")
    expect(ends).to_contain_text("It never finishes. Use raw text instead.")
    page.get_by_label("Message", exact=True).fill("Hi.")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("<img src=x onerror=pwned()> no roles")
    expect(answer(page, 1, RAISES)).to_contain_text("Interrupted")
    assert not page.evaluate("() => window.wasPwned === true")
    assert page.locator("main :is(iframe, object, embed, video, audio, marquee)").count() == 0
    page.close()
