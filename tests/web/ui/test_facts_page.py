"""Facts: a ledger made, asked and checked for leaks from the page; hostile texts stay texts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.ledgers.fact import FactText, Made, Source, fact_of
from cptstudio.ledgers.ledger import add_facts, read_ledger
from cptstudio.workspace import Workspace
from tests.web.server_process import PATIENCE, RunningServer
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.conftest import signed_in

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)

PAYLOAD = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture
def page(browser: Browser, studio: RunningServer) -> Iterator[Page]:
    size = {"width": 1366, "height": 900}
    context = signed_in(browser, studio, base_url=studio.origin, viewport=size)
    yield context.new_page()
    context.close()


def test_a_ledger_is_made_asked_and_checked(page: Page, studio: RunningServer) -> None:
    page.goto("/facts?add=1")
    page.get_by_role("textbox", name="Name").fill("quiz")
    page.get_by_text("Own questions").click()
    lines = page.get_by_role("textbox", name="Facts")
    lines.fill('{"answer": "a", "question": "Which?"}\n{"answer": 3}')
    page.get_by_role("button", name="Add facts").click()
    expect(page.get_by_text("line 2: “answer”")).to_be_visible()
    lines.fill(
        '{"answer": "left", "question": "Which side?", "distractors": ["right", "up", "down"]}'
    )
    page.get_by_role("button", name="Add facts").click()
    expect(page.get_by_role("heading", name="quiz", level=1)).to_be_visible()
    expect(page.get_by_text("1 fact from 1 document")).to_be_visible()
    page.get_by_role("group", name="Models").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("table", name="Answers by fact")).to_contain_text("Which side?")
    assert_accessible_in_all(page)
    page.get_by_role("tab", name="Leaks").click()
    page.get_by_text("A corpus", exact=True).click()
    page.get_by_role("combobox", name="Corpus").select_option(index=1)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("No leaks found")).to_be_visible()
    assert_accessible_in_all(page)
    page.get_by_role("tab", name="Facts1").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No facts.")).to_be_visible()
    assert read_ledger(Workspace(studio.workspace), "quiz").facts == ()


def test_hostile_texts_of_a_ledger_stay_texts(page: Page, studio: RunningServer) -> None:
    given = FactText(
        answer=PAYLOAD,
        question=f"Who is {PAYLOAD}?",
        cloze=f"{PAYLOAD} ___",
        distractors=(f"{PAYLOAD} 1", f"{PAYLOAD} 2", f"{PAYLOAD} 3"),
        source=Source(document=PAYLOAD, label=PAYLOAD, sentence=PAYLOAD),
    )
    add_facts(Workspace(studio.workspace), "hostile", [fact_of(given, Made(model=PAYLOAD))])
    for address in ("/facts", "/facts/hostile?tab=facts", "/facts/hostile"):
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("group", name="Models").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("table", name="Answers by fact")).to_contain_text("onerror")
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0
