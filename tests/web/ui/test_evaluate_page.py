"""Evaluate in a real browser: the table, merging back, and questions, with what goes wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cptstudio.evaluation import programs
from cptstudio.workspace import Workspace
from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.evaluation_lab import (
    BASE,
    CORPORA,
    LAST,
    MODELS,
    Lab,
    choose_corpora,
    choose_models,
    expect_breaks_off,
    lab_of,
    start,
)
from tests.web.ui.payloads import PAYLOADS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)

CLAIMS = {
    "better": "▼ better",
    "worse": "▲ worse",
    "hardly": "negligible change",
    "unsure": "inconclusive",
    "too little": "too little text",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with lab_of(tmp_path_factory, browser) as made:
        yield made


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    with lab.page() as opened:
        yield opened


def test_a_base_and_two_checkpoints_on_two_corpora(lab: Lab, page: Page) -> None:
    page.goto("/evaluate")
    expect(page.get_by_role("heading", name="No results yet")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="New evaluation").first.click()
    expect(page.get_by_role("button", name="Evaluate", exact=True)).to_be_disabled()
    choose_models(page)
    choose_corpora(page)
    page.get_by_text("Command line").click()
    expect(page.get_by_role("main")).to_contain_text(
        f"cpt-studio evaluate {' '.join(MODELS)} -c domain -c general"
    )
    # One new token in a window makes it slow enough to be looked at and to be broken off.
    page.get_by_text("Context length and stride").click()
    page.get_by_label("Stride", exact=False).fill("1")
    jobs = page.get_by_role("region", name="Running evaluations")

    start(page, "Evaluate")
    expect(jobs.get_by_role("progressbar")).to_have_attribute("max", re.compile(r"\d"))
    page.reload()
    expect(jobs.get_by_role("progressbar")).to_have_attribute("max", re.compile(r"\d"))
    jobs.get_by_role("button", name="Cancel").click()
    expect(jobs).to_contain_text("Cancelled")
    jobs.get_by_role("button", name="Close").click()
    expect(jobs).to_have_count(0)
    expect_breaks_off(
        page, jobs, lambda: start(page, "Evaluate"), lambda: lab.kill(programs.EVALUATE)
    )

    page.get_by_label("Stride", exact=False).fill("")
    start(page, "Evaluate")
    table = page.get_by_role("table", name="Bits per byte by model and text set")
    expect(table).to_be_visible()
    (report,) = lab.reports("evaluation")
    for model in report["result"]["models"]:
        row = table.get_by_role("row").filter(
            has=page.get_by_role("rowheader", name=model["label"])
        )
        for name in CORPORA:
            figures = model["corpora"][name]
            expect(row).to_contain_text(f"{figures['bits_per_byte']:.4f}")
            difference = figures.get("difference")
            if difference is not None:
                base = report["result"]["models"][0]["corpora"][name]["bits_per_byte"]
                expect(row).to_contain_text(f"{abs(difference['value'] / base):.2%}"[:-1])
                expect(row).to_contain_text(CLAIMS[difference["claim"]])
    page.wait_for_url(f"**report={report['id']}*")
    assert_accessible_in_all(page)
    look_at_the_documents(page, report)


def look_at_the_documents(page: Page, report: dict[str, Any]) -> None:
    """A changed document leads to the heat map, with its text."""
    page.get_by_label("Set", exact=True).select_option(CORPORA[0])
    changed = report["result"]["models"][-1]["corpora"][CORPORA[0]]["changed"]
    improved = page.get_by_role("table", name="Most improved")
    expect(improved.get_by_role("row")).to_have_count(1 + max(1, len(changed["improved"])))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("menuitem", name="Save as CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(MODELS) * len(CORPORA)
    improved.get_by_role("link").first.click()
    expect(page.get_by_role("tab", name="Heat map")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".text-preview")).not_to_be_empty()


def test_a_former_evaluation_is_found_deleted_and_brought_back(lab: Lab, page: Page) -> None:
    page.goto("/evaluate")
    results = page.get_by_role("list", name="Results")
    assert_accessible_in_all(page)
    results.get_by_role("link").first.click()
    table = page.get_by_role("table", name=re.compile("^Bits per byte"))
    expect(table).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    expect(table.get_by_text(re.compile("|".join(CLAIMS.values()))).last).to_be_visible()
    page.set_viewport_size({"width": 1366, "height": 900})
    page.get_by_role("button", name="Edit and re-run").click()
    expect(page.get_by_role("checkbox", name=CORPORA[1], exact=True)).to_be_checked()
    former = page.get_by_role("region", name="Past evaluations")
    expect(former.get_by_role("link")).to_have_count(1)
    page.get_by_role("tab", name="Results").click()
    results.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("heading", name="No results yet")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(results.get_by_role("link")).to_have_count(1)
    results.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("heading", name="No results yet")).to_be_visible()
    assert lab.reports("evaluation") == []


def test_a_text_of_the_user_is_measured(lab: Lab, page: Page, tmp_path: Path) -> None:
    """Its name and its content would run as a script where they were taken for markup."""
    texts = tmp_path / "<img src=x onerror=pwned()>.jsonl"
    lines = [json.dumps({"text": f"{payload} number {at}"}) for at, payload in enumerate(PAYLOADS)]
    texts.write_text("\n".join(lines), encoding="utf-8")
    page.add_init_script("window.pwned = () => { window.wasPwned = true; };")
    page.goto(f"/evaluate?models={BASE},{LAST}&sets=-")
    page.locator('input[type="file"]').set_input_files(texts)
    expect(page.get_by_role("checkbox", name=texts.name)).to_be_checked()
    start(page, "Evaluate")
    heading = page.get_by_role("columnheader", name=texts.name)
    expect(heading).to_contain_text(f"{len(PAYLOADS)} documents")
    expect(page.get_by_role("heading", level=2, name=re.compile("<img"))).to_be_visible()
    expect(page.get_by_role("table", name="Most improved")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert not page.evaluate("() => window.wasPwned === true")


def test_a_point_between_base_and_trained_is_measured_and_saved(lab: Lab, page: Page) -> None:
    page.goto("/evaluate?view=merge&bytes=20000")
    choose_corpora(page)
    jobs = page.get_by_role("region", name="Running merges")
    expect_breaks_off(
        page,
        jobs,
        lambda: start(page, "Merge and measure"),
        lambda: lab.kill(programs.MERGE),
    )
    start(page, "Merge and measure")
    figure = page.get_by_role("figure", name="Gain vs. forgetting")
    expect(figure).to_be_visible()
    (report,) = lab.reports("merge")
    points = report["result"]["points"]
    drawing = figure.get_by_role("img")
    assert len(points) == 5
    for point in points:
        for name in CORPORA:
            value = f"{point['corpora'][name]['bits_per_byte']:.4f}"
            expect(drawing).to_have_attribute("aria-label", re.compile(re.escape(value)))
    expect(figure).to_contain_text("Trained vs. base")
    page.get_by_role("radio", name=re.compile(r"^0\.75 of")).check()
    assert_accessible_in_all(page)
    page.get_by_label(re.compile("^Save .* as$")).fill("kept-most")
    start(page, "Save model")
    saved = page.get_by_text("Saved kept-most.").first
    expect(saved).to_be_visible()
    assert (Workspace(lab.workspace.root).base_model("kept-most") / "config.json").is_file()
    models = lab.api("GET", "/api/evaluation/models")["models"]
    (kept,) = [model for model in models if model["reference"] == "kept-most"]
    assert kept["group"] == "Merged models"
    page.get_by_role("link", name="Open in Playground").first.click()
    page.wait_for_url("**/playground?models=kept-most")


def test_questions_are_answered(lab: Lab, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "quiz.jsonl"
    lines = [
        {"context": "import", "choices": [" os", " xylophone"], "answer": 0},
        {"context": "def", "choices": [" 9", " __init__"], "answer": 1},
        {"context": "for name in", "answer": " names"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    page.goto(f"/evaluate?view=questions&models={BASE},{LAST}")
    expect(page.get_by_role("main")).to_contain_text('"choices": [" Paris", " Rome"]')
    page.locator('input[type="file"]').set_input_files(file)
    expect(page.get_by_role("radio", name="quiz.jsonl")).to_be_checked()
    jobs = page.get_by_role("region", name="Running question sets")
    expect_breaks_off(
        page,
        jobs,
        lambda: start(page, "Run"),
        lambda: lab.kill(programs.QUESTIONS),
    )
    start(page, "Run")
    table = page.get_by_role("table", name="Accuracy by model")
    expect(table).to_be_visible()
    (report,) = lab.reports("questions")
    for label, found in report["result"]["models"].items():
        row = table.get_by_role("row", name=label)
        share = found["multiple_choice"]["accuracy"]
        expect(row).to_contain_text(f"{share * 100:g}%")
    answers = page.get_by_role("table", name="Answers by question")
    right = sum(
        one["right"] for found in report["result"]["models"].values() for one in found["questions"]
    )
    expect(answers.get_by_text("right", exact=True)).to_have_count(right)
    assert_accessible_in_all(page)
