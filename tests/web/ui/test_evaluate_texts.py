"""Evaluate in a real browser: heat maps of texts, prompt suites, and samples of a run."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.evaluation import programs
from cptstudio.evaluation.suites import read_suite
from tests.toy_models import text_sample
from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.evaluation_lab import (
    BASE,
    LAST,
    PROMPTS,
    RUN,
    STEPS,
    Lab,
    choose_models,
    expect_breaks_off,
    lab_of,
    start,
)
from tests.web.ui.payloads import PAYLOADS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)
# Characters of two UTF-16 units and of several tokens, so that places are really converted.
TEXT = "🐍 naïve 🧪 text\n" + text_sample()[0][:2500] + "\nend 🏁"
CELLS = """() => [...document.querySelectorAll(".heat-text [data-cell]")].map(
    span => [span.textContent, span.className])"""
CHANGE_BOUNDS = (0.1, 0.5, 1, 2)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with lab_of(tmp_path_factory, browser) as made:
        yield made


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    with lab.page() as opened:
        yield opened


def expected_cells(text: str, *scored: dict[str, Any]) -> list[tuple[str, float]]:
    """Pieces of the text with the change in nats; tokens that end at one place are one piece."""
    sums: dict[int, list[float]] = {}
    for at, one in enumerate(scored):
        for (_, end), nats in zip(one["places"], one["nats"], strict=True):
            sums.setdefault(end, [0.0, 0.0])[at] += float(nats)
    cells, start_of = [], 0
    for end in sorted(sums):
        cells.append((text[start_of:end], sums[end][1] - sums[end][0]))
        start_of = end
    return cells


def class_of(change: float) -> str:
    level = sum(abs(change) >= bound for bound in CHANGE_BOUNDS)
    return "heat-0" if level == 0 else f"{'better' if change < 0 else 'worse'}-{level}"


def load(page: Page) -> None:
    """Have the chosen models in memory, by the button where they are not."""
    ready = page.get_by_role("button", name="Loaded", exact=True)
    ask = page.get_by_role("button", name=re.compile("^Load (model|2 models)"))
    expect(ready.or_(ask.and_(page.locator(":enabled")))).to_be_visible()
    if ask.count():
        ask.click()
    expect(ready).to_be_visible()


def test_a_page_of_text_in_the_colours_of_the_nats(lab: Lab, page: Page) -> None:
    page.goto(f"/evaluate?view=heat&models={BASE},{LAST}")
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_disabled()
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    load(page)
    start(page, "Score")
    heat = page.locator(".heat-text")
    expect(heat).to_have_text(TEXT, use_inner_text=False)
    ask = {"labels": [BASE, LAST], "texts": [{"text": TEXT}], "context_length": None}
    task = lab.api("POST", "/api/inference/score", {**ask, "stride": None})
    while task["state"] == "running":
        task = lab.api("GET", f"/api/inference/tasks/{task['id']}?wait=10")
    base, last = (model["texts"][0] for model in task["result"]["models"])
    expected = expected_cells(TEXT, base, last)
    drawn = page.evaluate(CELLS)
    assert [piece for piece, _ in drawn] == [piece for piece, _ in expected]
    for (_, shown), (_, change) in zip(drawn, expected, strict=True):
        if min(abs(abs(change) - bound) for bound in CHANGE_BOUNDS) > 1e-3:
            assert class_of(change) in shown.split()
    totals = page.get_by_role("table", name="Loss, perplexity, and bits per byte")
    for label, figures in ((BASE, base), (LAST, last)):
        row = totals.get_by_role("row", name=label)
        expect(row).to_contain_text(f"{figures['bits_per_byte']:.4f}")
        expect(row).to_contain_text(f"{figures['loss']:.4f}")
    look_at_tokens(page, expected, base)
    assert_accessible_in_all(page)


def look_at_tokens(page: Page, expected: list[tuple[str, float]], base: dict[str, Any]) -> None:
    """Arrow keys, the list of changed tokens, and the switch between difference and models."""
    detail = page.locator(".heat-detail")
    page.locator(".heat-text").focus()
    page.keyboard.press("Home")
    expect(detail).to_contain_text("nats, probability")
    expect(page.locator('.heat-text [data-cell="0"]')).to_have_class(
        "heat-token " + class_of(expected[0][1]) + " heat-chosen"
    )
    page.keyboard.press("ArrowDown")
    expect(page.locator('.heat-text [data-cell="0"].heat-chosen')).to_have_count(0)
    best = min(range(len(expected)), key=lambda index: expected[index][1])
    improved = page.get_by_role("table", name="Most improved tokens")
    improved.get_by_role("button").first.click()
    expect(page.locator(f'.heat-text [data-cell="{best}"]')).to_be_in_viewport()
    expect(detail).to_contain_text(f"{abs(expected[best][1]):.3f} nats")
    page.get_by_role("radio", name=BASE, exact=True).check()
    expect(page.get_by_text("Surprisal (nats)")).to_be_visible()
    page.locator('.heat-text [data-cell="5"]').hover()
    end = sorted({to for _, to in base["places"]})[5]
    tokens = zip(base["places"], base["nats"], strict=True)
    nats = sum(float(one) for (_, to), one in tokens if to == end)
    expect(detail).to_contain_text(f"{nats:.3f} nats")
    page.reload()
    expect(page.get_by_role("radio", name=BASE, exact=True)).to_be_checked()
    expect(page.locator(".heat-text")).to_have_text(TEXT, use_inner_text=False)


def test_a_killed_worker_is_said_and_loaded_again(lab: Lab, page: Page) -> None:
    page.goto(f"/evaluate?view=heat&models={BASE},{LAST}")
    page.get_by_role("textbox", name="Text", exact=True).fill(TEXT)
    load(page)
    worker = psutil.Process(lab.api("GET", "/api/inference")["pid"])
    worker.suspend()  # What it would do in a moment takes until it is killed.
    start(page, "Score")
    expect(page.get_by_text("Scoring", exact=True)).to_be_visible()
    worker.send_signal(signal.SIGKILL)
    expect(page.get_by_role("alert")).to_contain_text(
        "The process with the loaded models has ended"
    )
    assert_accessible_in_all(page)
    load(page)
    start(page, "Score")
    expect(page.locator(".heat-text")).to_have_text(TEXT, use_inner_text=False)


def test_documents_of_two_corpora_side_by_side(lab: Lab, page: Page) -> None:
    page.goto(f"/evaluate?view=heat&models={BASE},{LAST}")
    page.get_by_role("button", name="Add a second text").click()
    for title, corpus in (("First text", "domain"), ("Second text", "general")):
        place = page.get_by_role("region", name=title)
        place.get_by_role("button", name="Choose from a corpus…").click()
        place.get_by_label("Corpus", exact=True).select_option(corpus)
        place.locator(".document-choice").first.click()
        expect(place).to_contain_text(f"validation split of {corpus}")
    load(page)
    start(page, "Score")
    totals = page.get_by_role("table", name="Loss, perplexity, and bits per byte")
    expect(totals.get_by_role("columnheader", name="Perplexity")).to_have_count(2)
    page.get_by_role("group", name="Text", exact=True).get_by_role("radio").nth(1).check()
    expect(page.locator(".heat-text [data-cell]").first).to_be_visible()


def test_a_suite_is_made_run_and_its_differences_marked(lab: Lab, page: Page) -> None:
    page.goto("/evaluate?view=suites")
    expect(page.get_by_role("heading", name="No prompt suites yet")).to_be_visible()
    assert_accessible_in_all(page)
    start(page, "New suite")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Save suite").click()
    expect(dialog).to_contain_text("Enter a name for the suite.")
    dialog.get_by_label("Name").fill("basics")
    dialog.get_by_label("Prompts, one per line").fill("\n".join([*PROMPTS, PAYLOADS[0]]))
    dialog.get_by_label("Max tokens").fill("12")
    assert_accessible_in_all(page)
    dialog.get_by_role("button", name="Save suite").click()
    expect(page.get_by_role("radio", name="basics")).to_be_checked()
    suite = read_suite(lab.workspace, "basics")
    assert suite.prompts == (*PROMPTS, PAYLOADS[0])
    assert suite.sampling.max_tokens == 12
    choose_models(page)
    jobs = page.get_by_role("region", name="Running suites")
    expect_breaks_off(
        page,
        jobs,
        lambda: start(page, "Run basics"),
        lambda: lab.kill(programs.SUITE),
    )
    start(page, "Run basics")
    matrix = page.get_by_role("region", name="Outputs by model")
    expect(matrix).to_be_visible()
    (report,) = lab.reports("suite")
    rows = report["result"]["rows"]
    for number, row in enumerate(rows):
        prompt = matrix.get_by_role("article").nth(number)
        expect(prompt).to_contain_text(row["prompt"].strip())
        differ = sum(row["changed"])
        expect(prompt.get_by_text("different", exact=True)).to_have_count(differ)
        for at, text in enumerate(row["texts"]):
            shown = prompt.locator("pre").nth(at).inner_text().replace("▸", "").replace("⊣", "")
            assert shown.strip() == text["text"].strip()
    assert any(any(row["changed"]) for row in rows)
    differing = sum(any(row["changed"]) for row in rows)
    page.get_by_role("checkbox", name="Only prompts with different outputs").check()
    expect(matrix.get_by_role("article")).to_have_count(differing)
    page.reload()
    expect(matrix.get_by_role("article")).to_have_count(differing)
    assert page.locator("main script").count() == 0
    assert_accessible_in_all(page)
    change_and_delete(lab, page)


def change_and_delete(lab: Lab, page: Page) -> None:
    page.get_by_role("button", name="Edit basics…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("checkbox", name="Multi-line prompts").check()
    dialog.get_by_label("Prompt 1", exact=True).fill("class A:\n    def ")
    dialog.get_by_role("button", name="Remove prompt 3").click()
    dialog.get_by_role("button", name="Save suite").click()
    expect(dialog).to_have_count(0)
    assert read_suite(lab.workspace, "basics").prompts == ("class A:\n    def ", PROMPTS[1])
    page.get_by_role("button", name="Delete basics", exact=True).click()
    expect(page.get_by_role("heading", name="No prompt suites yet")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(page.get_by_role("radio", name="basics")).to_be_visible()
    page.get_by_role("button", name="Delete basics", exact=True).click()
    expect(page.get_by_role("heading", name="No prompt suites yet")).to_be_visible()


def test_samples_of_a_run_step_by_step(lab: Lab, page: Page) -> None:
    page.goto("/evaluate?view=suites")
    page.get_by_role("link", name=RUN, exact=True).click()
    matrix = page.get_by_role("region", name="Samples by step")
    expect(matrix.get_by_role("article")).to_have_count(len(PROMPTS))
    for step in (0, STEPS // 2, STEPS):
        expect(matrix.get_by_text(f"Step {step}", exact=True)).to_have_count(len(PROMPTS))
    samples = lab.api("GET", f"/api/runs/{RUN}/samples")["samples"]
    last = next(one for one in samples if one["step"] == STEPS and one["index"] == 0)
    shown = matrix.get_by_role("article").first.locator("pre").last.inner_text()
    assert shown.replace("▸", "").replace("⊣", "").strip() == last["completion"].strip()
    assert_accessible_in_all(page)


def test_payloads_are_only_text(lab: Lab, page: Page) -> None:
    text = "\n".join(PAYLOADS)
    page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page.goto(f"/evaluate?view=heat&models={BASE}")
    page.get_by_role("textbox", name="Text", exact=True).fill(text)
    load(page)
    start(page, "Score")
    heat = page.locator(".heat-text")
    expect(heat).to_contain_text(PAYLOADS[0])
    assert heat.evaluate("place => place.textContent") == text
    assert heat.locator(":not([data-cell])").count() == 0
    assert not page.evaluate("() => window.wasPwned === true")


def test_thousands_of_tokens_stay_smooth(lab: Lab, page: Page) -> None:
    text = "".join(text_sample())[:14_000]
    page.goto(f"/evaluate?view=heat&models={BASE},{LAST}")
    page.get_by_role("textbox", name="Text", exact=True).fill(text)
    load(page)
    start(page, "Score")
    expect(page.locator(".heat-text [data-cell]").first).to_be_visible()
    tokens = page.locator(".heat-text [data-cell]").count()
    assert tokens > 4_000
    # Moving over tokens changes two elements, however many there are.
    changed = page.evaluate("""async () => {
        const place = document.querySelector(".heat-text");
        let count = 0;
        const watch = new MutationObserver(records => { count += records.length; });
        watch.observe(place, {subtree: true, attributes: true, childList: true});
        for (let at = 0; at < 20; at += 1) {
            const moved = {bubbles: true, movementX: 1};
            place.children[at].dispatchEvent(new PointerEvent("pointermove", moved));
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        }
        watch.disconnect();
        return count;
    }""")
    assert 20 <= changed <= 2 * 20
