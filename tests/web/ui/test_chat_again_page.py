"""Chat again in a real browser: measured, drawn, saved; with hostile answers shown as text."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from safetensors.numpy import load_file, save_file

from cptstudio.evaluation.reports import Reports
from cptstudio.lm.merge_record import RECORD
from tests.web.server_process import PATIENCE
from tests.web.ui.accessibility import assert_accessible_in_all
from tests.web.ui.evaluation_lab import BASE, LAST, Lab, lab_of, start
from tests.web.ui.payloads import PAYLOADS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE * 1000)

INSTRUCT = "toy-instruct"
TEMPLATE = (
    "{% for message in messages %}[{{ message.role }}] {{ message.content }}"
    "{{ eos_token }}\n{% endfor %}[assistant] "
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    with lab_of(tmp_path_factory, browser) as made:
        instruct = make_instruct(made)
        yield made
        # The workspace is other modules', too.
        shutil.rmtree(instruct)


def make_instruct(lab: Lab) -> Path:
    """The base with a chat template, and a head that is a little different."""
    folder = lab.workspace.base_model(INSTRUCT)
    shutil.copytree(lab.workspace.base_model(BASE), folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 1.25
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_strengths_are_measured_drawn_and_one_is_saved(lab: Lab) -> None:
    with lab.page() as page:
        page.goto(f"/evaluate?view=chat&checkpoint={LAST}")
        page.get_by_role("combobox", name="Instruct model", exact=True).select_option(INSTRUCT)
        page.get_by_role("textbox", name="Strengths").fill("0.5; 1")
        page.get_by_role("textbox", name="Tokens per answer").fill("12")
        expect(page.get_by_text(f"cpt-studio chat-again {LAST}")).to_have_count(1)
        start(page, "Measure")
        table = page.get_by_role("table", name="Chat habits and bits per byte by model")
        expect(table.get_by_role("row")).to_have_count(6)
        expect(table).to_contain_text("Gain kept")
        expect(page.get_by_role("img", name="Bits per byte on")).to_be_visible()
        page.get_by_text("Instructions", exact=True).first.click()
        expect(page.get_by_role("figure")).to_contain_text("Instructions:")
        page.get_by_role("radio", name=re.compile(r"^trained \+ 1 ")).check()
        assert_accessible_in_all(page)
        page.get_by_role("textbox", name="Save ").fill("lab-chat")
        start(page, "Save model")
        expect(page.get_by_role("status").filter(has_text="Saved lab-chat")).to_be_visible()
    saved = lab.workspace.base_model("lab-chat")
    try:
        assert (saved / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE
        parts = json.loads((saved / RECORD).read_text(encoding="utf-8"))
        assert INSTRUCT in json.dumps(parts)
    finally:
        shutil.rmtree(saved)
    newest, first = lab.reports("chat-again")
    assert newest["result"]["saved_point"] == first["result"]["points"][4]["label"]
    # What had been measured was kept.
    assert newest["result"]["points"][3]["habits"] == first["result"]["points"][4]["habits"]


def test_hostile_answers_are_text(lab: Lab) -> None:
    (report,) = [one for one in lab.reports("chat-again") if one["result"]["saved"] is None]
    result = json.loads(json.dumps(report["result"]))
    for number, payload in enumerate(PAYLOADS):
        point = result["points"][1 + number % 4]
        # A sum is called by its strength, whatever its label says.
        point["way"], point["label"] = "model", f"{point['label']} {payload}"
        answer = point["habits"]["answers"][0]
        answer["text"] += payload
        answer["stray"] = payload
        result["prompts"][0]["text"] += payload
    kept = Reports(lab.workspace).keep("chat-again", PAYLOADS[0], report["request"], result)
    with lab.page() as page:
        page.goto(f"/evaluate?view=chat&report={kept['report']}")
        expect(page.get_by_role("heading", name="Answers")).to_be_visible()
        for payload in PAYLOADS:
            expect(page.locator(".habit-answers")).to_contain_text(payload)
        _shows_no_payload_as_markup(page)


def _shows_no_payload_as_markup(page: Page) -> None:
    assert page.locator("main img, main script, main iframe, main object").count() == 0
