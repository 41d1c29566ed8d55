"""The playground in a real browser, with a really trained small model and real workers."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import mlx_lm
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.payloads import PAYLOADS
from tests.web.ui.playground_lab import (
    BASE,
    LAST,
    MIDDLE,
    PROMPT,
    RUN,
    STEPS,
    Lab,
    card,
    expect_ended,
    generate,
    running_lab,
    text_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)
ENDLESS = 20_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("playground"), browser) as made:
        yield made


def wait_for_tokens(page: Page, count: int) -> None:
    page.wait_for_function(
        "least => document.querySelectorAll('.lane .token').length > least", arg=count
    )


def test_from_a_checkpoint_to_texts_side_by_side(lab: Lab) -> None:
    page = lab.context.new_page()
    page.goto(f"/runs/{RUN}?tab=checkpoints")
    page.get_by_role("link", name=f"Test step-{STEPS:08d}").click()
    page.wait_for_url("**/playground?models=*")
    chosen = page.get_by_role("list", name="Selected models")
    expect(chosen.get_by_role("listitem")).to_have_text([re.compile(BASE), re.compile(LAST)])
    page.get_by_label(f"Step {STEPS // 2}").check()
    expect(chosen.get_by_role("listitem")).to_have_count(3)
    assert not lab.api("GET", "/api/inference")["running"], (
        "the page started the inference worker by itself"
    )
    page.get_by_label("Text to continue").fill(PROMPT)
    sampling = page.get_by_text("Sampling", exact=True)
    expect(sampling.locator("..")).to_contain_text(
        "Recommended for base models: temperature 0.8, top-p 0.95, repetition penalty 1.1"
    )
    sampling.click()
    page.get_by_label("Max tokens").fill("24")
    page.get_by_role("button", name="Deterministic").click()
    expect(page.get_by_role("button", name="Deterministic")).to_have_attribute(
        "aria-pressed", "true"
    )
    # What is needed is loaded by the one button.
    expect(page.get_by_role("region", name="Prompt")).to_contain_text("of weights")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("Loaded", exact=True)).to_be_visible()
    expect_ended(page)
    folders = {
        BASE: lab.workspace.base_model(BASE),
        MIDDLE: lab.workspace.run(RUN) / "checkpoints" / MIDDLE.partition("@")[2],
        LAST: lab.workspace.run(RUN) / "checkpoints" / LAST.partition("@")[2],
    }
    for label, folder in folders.items():
        loaded = mlx_lm.load(str(folder))
        said = mlx_lm.generate(loaded[0], loaded[1], PROMPT, max_tokens=24)
        # mlx-lm drops the space between prompt and text.
        assert text_of(page, label).removeprefix(" ") == said
        expect(card(page, label)).to_contain_text(re.compile(r"24 tokens · .* tokens/s · first"))
        expect(card(page, label)).to_contain_text("token limit reached")
    assert text_of(page, BASE) != text_of(page, LAST)
    expect(card(page, LAST)).to_contain_text(re.compile(f"Diverges from {BASE}"))
    expect(card(page, LAST).locator(".token-departs")).to_have_count(1)
    # The whole view is in the URL, and the models stay loaded.
    address = page.url
    assert "max_tokens=24" in address
    assert "prompt=def" in address
    page.goto("/")
    page.goto(address)
    expect(page.get_by_label("Text to continue")).to_have_value(PROMPT)
    generate(page)
    expect(card(page, LAST)).to_contain_text("24 tokens")
    page.close()


def test_stop_continue_another_token_and_undo(lab: Lab) -> None:
    lab.load(BASE, LAST)
    page = lab.open(BASE, LAST, prompt=PROMPT, max_tokens=ENDLESS)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_tokens(page, 40)
    # A page that is loaded again takes up the work where it is.
    page.reload()
    wait_for_tokens(page, 60)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    stopped = text_of(page, LAST)
    assert len(stopped) > 20
    expect(card(page, LAST)).to_contain_text("stopped")
    other = text_of(page, BASE)

    tokens = card(page, LAST).locator(".lane .token")
    place = 5
    tokens.nth(0).focus()
    for _ in range(place):
        page.keyboard.press("ArrowRight")
    expect(tokens.nth(place)).to_be_focused()
    expect(tokens.nth(place)).to_have_attribute("aria-label", re.compile(r"^Token 6: .*%$"))
    page.keyboard.press("Enter")
    popover = page.get_by_role("dialog", name=f"Token {place + 1} of {LAST}")
    expect(popover.get_by_role("button")).to_have_count(10)
    before = tokens.evaluate_all(
        "(all, place) => all.slice(0, place).map(one => one.textContent).join('')", place
    )
    taken = popover.locator("[aria-current=true]")
    expect(taken).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_tokens(page, 20)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    changed = text_of(page, LAST)
    assert changed.startswith(before)
    assert changed != stopped
    assert text_of(page, BASE) == other, "another column was touched"
    expect(card(page, LAST).locator(".token-chosen")).to_have_count(1)

    undo = page.get_by_role("button", name=f"Undo: {LAST}")
    undo.click()
    assert text_of(page, LAST) == stopped
    page.get_by_role("button", name=f"Redo: {LAST}").click()
    assert text_of(page, LAST) == changed
    undo.click()
    page.get_by_role("button", name=f"Continue: {LAST}").click()
    page.wait_for_function(
        "least => document.querySelectorAll('.made-text:nth-child(2) .lane .token').length > least",
        arg=tokens.count() + 10,
    )
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    longer = text_of(page, LAST)
    assert longer.startswith(stopped)
    assert len(longer) > len(stopped)
    page.close()


def test_what_follows_a_chosen_token_is_what_the_model_says(lab: Lab) -> None:
    lab.load(BASE, LAST)
    page = lab.open(LAST, prompt=PROMPT, max_tokens=12)
    generate(page)
    pieces = lab.complete(LAST, {"text": PROMPT}, max_tokens=12)
    assert text_of(page, LAST) == "".join(piece["text"] for piece in pieces)
    place, chosen = 3, pieces[3]["alternatives"][4]
    card(page, LAST).locator(".lane .token").nth(place).click()
    page.get_by_role("dialog").get_by_role("button").nth(4).click()
    expect_ended(page)
    made = [piece["token"] for piece in pieces[:place]]
    task = {"labels": [LAST], "prompts": [{"text": PROMPT}], "sampling": {"max_tokens": 1}}
    prompt = lab.finished(lab.api("POST", "/api/inference/complete", task | {"remember": False}))
    start = [*prompt["texts"][0]["prompt"], *made, chosen["token"]]
    further = lab.complete(LAST, {"tokens": start}, max_tokens=12)
    expected = [*(piece["text"] for piece in pieces[:place]), chosen["text"]]
    assert text_of(page, LAST) == "".join([*expected, *(piece["text"] for piece in further)])
    # The tokens of the prompt are shown on demand.
    page.get_by_text(re.compile("Prompt tokens")).click()
    shown = card(page, LAST).locator(".token-list li")
    expect(shown).to_have_count(len(prompt["texts"][0]["prompt"]))
    page.close()


def test_a_grid_of_seeds(lab: Lab) -> None:
    lab.load(BASE, LAST)
    page = lab.open(BASE, LAST, prompt=PROMPT, max_tokens=12, temperature=1, seed=5, seeds=3)
    generate(page)
    names = [f"{label}, seed {seed}" for label in (BASE, LAST) for seed in (5, 6, 7)]
    texts = {name: text_of(page, name) for name in names}
    assert len(set(texts.values())) == len(names)
    for label in (BASE, LAST):
        alone = lab.complete(label, {"text": PROMPT}, max_tokens=12, temperature=1, seed=6)
        assert texts[f"{label}, seed 6"] == "".join(piece["text"] for piece in alone)
    page.get_by_role("button", name="Continue all").click()
    expect_ended(page)
    for name in names:
        longer = text_of(page, name)
        assert longer.startswith(texts[name])
        assert len(longer) > len(texts[name])
    page.close()


def test_the_history_stays_and_is_shown_again(lab: Lab) -> None:
    lab.load(BASE, LAST)
    page = lab.open(BASE, LAST, prompt="class Reader:", max_tokens=16, temperature=0.5, seed=3)
    generate(page)
    texts = {label: text_of(page, label) for label in (BASE, LAST)}
    page.reload()
    entry = (
        page.get_by_role("listitem")
        .filter(has_text="class Reader:")
        .filter(has=page.get_by_role("button", name=re.compile("^Show again")))
    )
    expect(entry).to_contain_text("temperature 0.5, seed 3, max 16 tokens")
    page.goto("/playground")
    entry.get_by_role("button", name=re.compile("^Show again")).click()
    assert {label: text_of(page, label) for label in (BASE, LAST)} == texts
    expect(page.get_by_label("Text to continue")).to_have_value("class Reader:")
    assert "temperature=0.5" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="Export JSON").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert "class Reader:" in saved
    assert json.loads(saved)
    entry.get_by_role("button", name=re.compile("^Delete")).click()
    expect(entry).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(entry).to_have_count(0)
    page.close()


def test_a_killed_worker_is_a_sentence_and_the_page_goes_on(lab: Lab) -> None:
    lab.load(BASE, LAST)
    page = lab.open(BASE, LAST, prompt=PROMPT, max_tokens=ENDLESS)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_tokens(page, 40)
    os.kill(lab.api("GET", "/api/inference")["pid"], signal.SIGKILL)
    notice = page.get_by_role("region", name="Prompt").get_by_role("alert")
    expect(notice).to_contain_text("The process with the loaded models has ended")
    kept = text_of(page, LAST)
    assert len(kept) > 20
    expect(card(page, LAST)).to_contain_text("broken off")
    notice.get_by_role("button", name="Close").click()
    assert text_of(page, LAST) == kept
    # The models are loaded again by whatever needs them.
    page.get_by_role("button", name=f"Continue: {LAST}").click()
    page.wait_for_function(
        "least => document.querySelectorAll('.made-text:nth-child(2) .lane .token').length > least",
        arg=card(page, LAST).locator(".lane .token").count() + 3,
    )
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    assert text_of(page, LAST).startswith(kept)
    page.close()


def test_a_server_that_was_started_again(lab: Lab) -> None:
    lab.load(BASE)
    page = lab.open(BASE, prompt=PROMPT, max_tokens=ENDLESS)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_tokens(page, 20)
    lab.start_again()
    notice = page.get_by_role("region", name="Prompt").get_by_role("alert")
    expect(notice).to_contain_text("The server was restarted")
    assert len(text_of(page, BASE)) > 10
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(notice).to_have_count(0)
    expect(page.get_by_text("Loaded", exact=True)).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect_ended(page)
    page.get_by_role("button", name="Unload").click()
    expect(page.get_by_text("Loaded", exact=True)).to_have_count(0)
    assert not lab.api("GET", "/api/inference")["running"]
    page.close()


def test_payloads_are_text(lab: Lab) -> None:
    lab.load(BASE)
    page = lab.open(BASE, max_tokens=4)
    page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page.reload()
    prompt = "\n".join(PAYLOADS)
    page.get_by_label("Text to continue").fill(prompt)
    page.get_by_label("Text to continue").blur()
    generate(page)
    expect(card(page, BASE).locator(".prompt-end")).to_contain_text(PAYLOADS[-1][:10])
    page.get_by_text(re.compile("Prompt tokens")).click()
    page.reload()
    # Too long for the URL: it is kept in this tab.
    expect(page.get_by_label("Text to continue")).to_have_value(prompt)
    assert "prompt=" not in page.url
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text(PAYLOADS[0])
    history.get_by_role("button", name=re.compile("^Show again")).first.click()
    expect(card(page, BASE)).to_be_visible()
    page.goto(f"/playground?models=<img src=x onerror=pwned()>,{BASE}")
    expect(page.get_by_role("main")).to_contain_text("no longer available")
    assert not page.evaluate("() => window.wasPwned === true")
    assert page.locator("main :is(iframe, object, embed, video, audio, marquee)").count() == 0
    page.close()


def test_accessible_with_everything_open(lab: Lab) -> None:
    lab.load(BASE, MIDDLE, LAST)
    page = lab.open(BASE, MIDDLE, LAST, prompt=PROMPT, max_tokens=30, colour=1, temperature=1)
    spoken = "() => { window.said = []; new MutationObserver(() => window.said.push(document"
    spoken += ".querySelector('[role=status]').textContent)).observe(document.querySelector("
    page.evaluate(
        spoken + "'[role=status]'), {childList: true, characterData: true, subtree: true}); }"
    )
    generate(page)
    assert page.evaluate("() => window.said") == ["Generating 3 outputs.", "3 outputs finished."]
    page.get_by_text("Sampling", exact=True).click()
    page.locator(".playground-models > summary").click()
    page.get_by_text(re.compile("Prompt tokens")).first.click()
    card(page, LAST).locator(".lane .token").nth(7).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible_in_all(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card(page, LAST).locator(".lane .token").nth(7)).to_be_focused()
    page.get_by_role("button", name="Delete all…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible_in_all(page)
    page.get_by_role("button", name="Delete history").click()
    expect(page.get_by_text("Your prompts and outputs are saved here")).to_be_visible()
    page.close()
