"""The New-run page: the form, the plan as one types, problems at their fields, Start."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Locator, Page, Route, expect

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.run_files import read_config
from cptstudio.settings import parse_settings
from cptstudio.workspace import Workspace
from tests.models.conftest import hub_server, model_files
from tests.models.fake_hub import FakeHub
from tests.toy_models import save_toy_tokenizer
from tests.training.small_workspace import small_settings
from tests.web.server_process import PATIENCE, RunningServer, running_server, wait_for
from tests.web.ui.conftest import signed_in

__all__ = ["hub_server", "model_files"]  # Fixtures, which pytest finds by their names here.

FORM = "/new?view=all"
"""All on one page, as experts have it."""

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


def plan_fact(page: Page, title: str) -> Locator:
    return page.locator(".plan-fact", has=page.locator("dt", has_text=re.compile(f"^{title}$")))


def import_settings(page: Page, tree: dict[str, object]) -> None:
    """Take settings into the form as YAML."""
    page.get_by_role("button", name="Import YAML…").click()
    page.get_by_role("textbox", name="YAML").fill(yaml.safe_dump(tree))
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def shown_text(page: Page, title: str) -> str:
    """The run as a command line or as YAML, opened."""
    place = page.locator(".copyable", has_text=title)
    if place.get_attribute("open") is None:
        place.locator("summary").click()
    return place.locator("pre").inner_text()


def choose_model_and_corpora(page: Page) -> None:
    page.get_by_role("radio", name=re.compile("^toy")).check()
    domain, general = (
        page.get_by_role("checkbox", name=name, exact=True) for name in ("domain", "general")
    )
    # None is taken by itself, and the focus stays with what was chosen.
    expect(domain).not_to_be_checked()
    expect(general).not_to_be_checked()
    domain.check()
    expect(domain).to_be_focused()
    general.check()
    expect(role_of(page, "domain")).to_have_value("domain")
    expect(role_of(page, "general")).to_have_value("replay")


def role_of(page: Page, corpus: str) -> Locator:
    return page.get_by_role("group", name=corpus, exact=True).get_by_label("Role")


def test_from_an_empty_form_to_a_run(page: Page, studio: RunningServer) -> None:
    page.goto(FORM)
    expect(page.get_by_text("Choose a base model and a corpus to start.")).to_be_visible()
    choose_model_and_corpora(page)
    expect(page.get_by_role("radio", name="toy")).to_have_accessible_description(
        re.compile(r"35k parameters · 140 kB · llama · context 128.*no license given")
    )
    expect(page.get_by_role("radio", name="toy")).to_have_accessible_description(
        re.compile(r"Full good fit · .*LoRA good fit · .*QLoRA good fit · ")
    )
    # The unit that is typed counts, and the menu says so.
    page.get_by_label("Training length", exact=True).fill("6 steps")
    expect(page.get_by_label("Training length: unit")).to_have_value("steps")
    page.get_by_role("textbox", name="Sequence length").fill("32")
    page.get_by_label("Batch size", exact=True).fill("2")
    page.get_by_label("Learning rate", exact=True).fill("0,003")
    page.get_by_label("Replay share", exact=True).fill("25%")
    expect(page.get_by_label("Learning rate", exact=True)).to_have_value("0.003")
    page.get_by_label("Learning rate", exact=True).focus()
    expect(page.get_by_role("textbox", name="Replay share")).to_have_value("0.25")
    expect(plan_fact(page, "Steps")).to_contain_text("6")
    expect(plan_fact(page, "Tokens")).to_contain_text("per step")
    expect(page.locator(".plan-share", has_text="Memory")).to_contain_text("OK")
    expect(plan_fact(page, "Trainable")).to_contain_text("parameters")
    page.get_by_text("Automatic settings and why").click()
    expect(page.locator(".plan-chosen")).to_contain_text("Not needed: the run fits without it.")
    machine = page.get_by_label("Plan for another machine")
    machine.fill("m3 pro 37gb")
    expect(machine).to_have_accessible_description(re.compile("M3 Pro comes with 18 GB, 36 GB"))
    machine.fill("m3 pro 36gb")
    expect(page.locator(".plan-share", has_text="Memory")).to_contain_text("on M3 Pro 36 GB, of")
    machine.fill("")
    expect(page.locator(".plan-share", has_text="Memory")).to_contain_text(
        re.compile("of [0-9.]+ GB")
    )
    page.get_by_role("button", name="Evaluation", exact=True).click()
    page.get_by_role("textbox", name="Tokens per evaluation").fill("500")
    name = page.get_by_label("Run name")
    expect(name).to_have_value("domain-toy-1")
    name.fill("first")
    page.get_by_text("Command line", exact=True).click()
    expect(page.get_by_label("Command line", exact=True)).to_contain_text(
        re.compile("^cpt-studio train --name first --model toy .*--learning-rate 0.003")
    )
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/runs/first")

    directory = Workspace(studio.workspace).run("first")
    settings = read_config(directory).settings
    assert str(settings.length) == "6 steps"
    assert settings.optimizer.learning_rate == 3e-3
    assert settings.data.replay_share == 0.25
    assert [(use.name, use.role) for use in settings.data.corpora] == [
        ("domain", "domain"),
        ("general", "replay"),
    ]
    result = wait_for(lambda: (directory / "result.json").is_file(), "the run's end")
    assert result and json.loads((directory / "result.json").read_text())["outcome"] == "completed"

    page.goto(f"{FORM}&from=first")
    expect(page.get_by_label("Learning rate", exact=True)).to_have_value("0.003")
    expect(page.get_by_label("Training length", exact=True)).to_have_value("6")
    name = page.get_by_label("Run name")
    expect(name).to_have_value("domain-toy-1")
    name.fill("first")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_accessible_description(re.compile("A run named “first” already exists"))
    make_it_fit(page)


def make_it_fit(page: Page) -> None:
    """Rows that do not fit another machine are made to, by one click, and an update stays."""
    page.get_by_label("Plan for another machine").fill("8 GB")
    page.get_by_label("Batch size", exact=True).fill("65536")
    memory = page.locator(".plan-share", has_text="Memory")
    expect(memory).to_contain_text("Won't fit")
    fit = page.get_by_role("region", name="Make it fit")
    steps = fit.get_by_role("listitem")
    expect(steps.first).to_contain_text("Now")
    expect(steps.nth(1)).to_contain_text(
        re.compile("Batch size [0-9,]+, [0-9,]+ gradient accumulation steps")
    )
    fit.get_by_role("button", name="Make it fit").click()
    expect(memory).to_contain_text("OK")
    expect(fit).to_have_count(0)
    rows = int(page.get_by_label("Batch size", exact=True).input_value())
    assert rows < 65536 and 65536 % rows == 0


def test_step_by_step_back_and_forth(page: Page, studio: RunningServer) -> None:
    """What a newcomer does: a choice a step, help and problems in their places, and Start."""
    steps = page.get_by_role("navigation", name="Steps")
    page.goto("/new")
    page.wait_for_url("**/new?step=model")
    # What the step lacks is said, and nothing is gone to.
    page.get_by_role("button", name="Next: Data").click()
    expect(page.get_by_role("radio", name=re.compile("^toy"))).to_be_focused()
    expect(page.locator("#setting-model-path-sentences")).to_be_visible()
    page.get_by_role("radio", name=re.compile("^toy")).check()
    expect(page.locator("#setting-model-path-sentences")).to_have_count(0)
    page.get_by_role("button", name="Next: Data").click()
    page.wait_for_url("**/new?step=data")
    expect(page.get_by_role("heading", name="Data")).to_be_focused()
    page.get_by_role("button", name="Next: Training").click()
    domain = page.get_by_role("checkbox", name="domain", exact=True)
    expect(domain).to_be_focused()
    domain.check()
    page.get_by_role("button", name="Next: Training").click()
    length = page.get_by_label("Training length", exact=True)
    presets = page.get_by_role("group", name="Preset")
    expect(presets.get_by_role("radio", name="Standard")).to_be_checked()
    presets.get_by_role("radio", name="Quick try").check()
    expect(length).to_have_value("50")
    length.fill("soon")
    expect(presets).to_contain_text("custom")
    # The plan and Start are in view in every step, and lead to what is wrong.
    bar = page.get_by_role("region", name="Plan and start")
    expect(bar.get_by_text("Fix 1 problem to start.")).to_be_in_viewport()
    page.go_back()
    page.wait_for_url("**/new?step=data")
    expect(
        steps.get_by_role("button", name=re.compile("Training.*Needs attention"))
    ).to_be_visible()
    bar.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("region", name="Fix these before starting").get_by_role("button").click()
    page.wait_for_url("**/new?step=training")
    expect(length).to_be_focused()
    expect(length).to_have_value("soon")
    length.fill("4 steps")
    page.get_by_role("button", name="About Training length").click()
    expect(page.get_by_text("An epoch is one pass over the domain corpora")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="About Training length")).to_be_focused()
    told = re.compile(r"^\d+ warnings")
    bar.get_by_role("button", name=told).click()
    page.wait_for_url("**/new?step=review")
    expect(page.get_by_role("heading", name=told)).to_be_focused()
    page.go_back()
    page.get_by_role("button", name="Next: Review").click()
    warnings = page.get_by_role("region", name=told)
    warnings.get_by_role("button", name="Go to Evaluate every").click()
    page.wait_for_url("**/new?step=training")
    expect(page.get_by_role("textbox", name="Evaluate every")).to_be_focused()
    page.go_back()
    expect(warnings).to_contain_text("No replay corpus")
    warnings.get_by_role("button", name="Go to Corpora").click()
    page.wait_for_url("**/new?step=data")
    expect(domain).to_be_focused()
    page.reload()
    steps.get_by_role("button", name=re.compile("Review")).click()
    page.get_by_label("Run name").fill("by-steps")
    bar.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/runs/by-steps")
    directory = Workspace(studio.workspace).run("by-steps")
    assert str(read_config(directory).settings.length) == "4 steps"
    wait_for(lambda: (directory / "result.json").is_file(), "the run's end")


def test_a_model_is_checked_against_transformers(page: Page) -> None:
    page.goto(f"{FORM}&model=toy")
    page.get_by_role("button", name="Check against transformers: toy").click()
    place = page.locator(".model-check")
    expect(place.get_by_role("status")).to_contain_text(
        re.compile(r"^Equal: the largest difference from transformers is \d\.\de-\d+ nats")
    )
    expect(place.get_by_role("button")).to_be_enabled()


def test_a_corpus_is_tokenized_without_leaving_the_form(
    page: Page, studio: RunningServer, tmp_path: Path
) -> None:
    workspace = Workspace(studio.workspace)
    other, corpus = workspace.base_model("spelled"), workspace.corpus("few-words")
    shutil.copytree(workspace.base_model("toy"), other)
    save_toy_tokenizer(other)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(f"Text {number}. " * 60, encoding="utf-8")
    build_corpus(corpus, [tmp_path], BuildSettings(), model_path=workspace.base_model("toy"))
    try:
        page.goto("/new?model=spelled&corpus=few-words&step=data")
        page.get_by_role("button", name="Tokenize few-words").click()
        expect(page.locator(".short-plan")).to_contain_text("Memory")
        expect(page.get_by_role("button", name="Tokenize few-words")).to_have_count(0)
    finally:
        shutil.rmtree(corpus)
        shutil.rmtree(other)


@pytest.mark.parametrize("locale", ["de-DE", "en-US"])
def test_a_field_and_its_run_agree_in_any_locale(
    browser: Browser, studio: RunningServer, locale: str
) -> None:
    """What is typed, what the field shows then, and what the YAML of the run says."""
    context = signed_in(browser, studio, base_url=studio.origin, locale=locale)
    page = context.new_page()
    page.goto(FORM)
    import_settings(page, small_settings(length="3 steps"))
    rate = page.get_by_label("Learning rate", exact=True)
    for typed, meant in (("0,0005", 0.0005), (",001", 0.001), ("1e-4", 1e-4), ("0.1%", 0.001)):
        rate.fill(typed)
        rate.blur()
        assert float(rate.input_value()) == meant
        expect(page.locator(".copyable", has_text="YAML").locator("pre")).to_contain_text(
            re.compile(rf"learning_rate: ({meant}|{meant:.1e})")
        )
    for label, typed, told in (
        ("Learning rate", "1,000", "“1,000” could mean 1000 or 1. Enter one of these."),
        ("Learning rate", "0x10", "Enter a number above 0 and at most 1."),
        ("Learning rate", "--", "Enter a number above 0 and at most 1."),
        ("Batch size", "1.000", "“1.000” could mean 1000 or 1. Enter one of these."),
        ("Batch size", "2,5", "Enter a whole number from 1 to 65,536."),
        ("Training length", "1,000", "“1,000” could mean 1000 or 1. Enter one of these."),
    ):
        field = page.get_by_label(label, exact=True)
        before = field.input_value()
        field.fill(typed)
        expect(field).to_have_accessible_description(re.compile(re.escape(told)))
        expect(field).to_have_value(typed)
        expect(page.locator(".copyable", has_text="YAML")).to_have_count(0)
        field.fill(before)
        expect(page.locator(".copyable", has_text="YAML")).to_have_count(1)
    context.close()


def test_a_fresh_link_begins_anew_and_a_reload_keeps_the_draft(page: Page) -> None:
    link = f"{FORM}&model=toy&corpus=domain"
    rate = page.get_by_label("Learning rate", exact=True)
    page.goto(link)
    expect(page.get_by_role("radio", name=re.compile("^toy"))).to_be_checked()
    rate.fill("0.002")
    page.reload()
    expect(rate).to_have_value("0.002")
    # The same address once more is a reload; a link from elsewhere is a new beginning.
    page.goto("/data")
    page.goto(link)
    expect(page.get_by_role("radio", name=re.compile("^toy"))).to_be_checked()
    expect(rate).to_have_value("")
    # The draft of before is offered, and goes on where it was.
    expect(page.get_by_role("region", name="Draft")).to_contain_text("toy on domain")
    page.get_by_role("button", name="Continue draft").click()
    expect(rate).to_have_value("0.002")
    expect(page.get_by_role("region", name="Draft")).to_have_count(0)
    page.go_back()
    expect(rate).to_have_value("")
    page.get_by_role("button", name="Discard").click()
    page.goto(f"{FORM}&model=toy")
    expect(page.get_by_role("region", name="Draft")).to_have_count(0)
    expect(page.get_by_role("radio", name=re.compile("^toy"))).to_be_checked()
    expect(page.get_by_role("checkbox", name="domain", exact=True)).not_to_be_checked()


def test_start_asks_before_what_cannot_fit(page: Page, studio: RunningServer) -> None:
    directory = Workspace(studio.workspace).run("huge")
    page.goto(FORM)
    data = small_settings()["data"] | {"sequence_length": 1_048_576}
    import_settings(page, small_settings(batch={"size": 65_536}, data=data))
    page.get_by_label("Run name").fill("huge")
    expect(page.locator(".plan-share", has_text="Memory")).to_contain_text("Won't fit")
    page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog", name="This run won't fit. Start anyway?")
    needed = page.locator(".plan-share", has_text="Memory").inner_text()
    for number in re.findall(r"[\d.,]+ [A-Z]B", needed):
        expect(dialog).to_contain_text(number)
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Make it fit…").click()
    fit = page.get_by_role("region", name="Make it fit")
    expect(fit.get_by_role("heading")).to_be_focused()
    fit.get_by_role("button", name="Make it fit").click()
    expect(page.locator(".plan-share", has_text="Memory")).not_to_contain_text("Won't fit")
    expect(fit).to_have_count(0)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
    assert not directory.exists()

    import_settings(
        page,
        small_settings(
            length="1000000000 steps", checkpoints={"every": "3 steps", "keep_last": 10**9}
        ),
    )
    page.get_by_role("button", name="Start", exact=True).click()
    expect(dialog).to_contain_text("of disk")
    dialog.get_by_role("button", name="Start anyway").click()
    page.wait_for_url("**/runs/huge")
    killed = studio.api(studio.sign_in(), "POST", "/api/runs/huge/kill", {"confirmed": True})
    assert killed.status == 200


def test_a_choice_is_not_called_wrong_before_its_plan_is_there(
    page: Page, studio: RunningServer
) -> None:
    held: list[Route] = []
    page.goto(FORM)
    page.get_by_role("button", name="Start", exact=True).click()
    problems = page.get_by_role("region", name="Fix these before starting")
    expect(problems).to_contain_text("Base model")
    page.route("**/api/plan", lambda route: held.append(route))
    with page.expect_request("**/api/plan"):
        choose_model_and_corpora(page)
    expect(problems).to_have_count(0)
    expect(page.locator("#start-note").get_by_text("Calculating…")).to_be_visible()
    # Whatever is asked from now on passes, too.
    page.route("**/api/plan", lambda route: route.continue_())
    for route in held:
        route.continue_()
    expect(page.locator(".plan-share", has_text="Memory")).to_contain_text("OK")


def test_a_click_on_start_waits_for_the_plan(page: Page, studio: RunningServer) -> None:
    held: list[Route] = []
    page.goto(FORM)
    import_settings(page, small_settings(length="2 steps"))
    expect(plan_fact(page, "Steps")).to_contain_text("2")
    page.route("**/api/plan", lambda route: held.append(route))

    with page.expect_request("**/api/plan"):
        page.get_by_label("Run name").fill("no such name!")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("button", name="Starting…")).to_be_disabled()
    held.pop().continue_()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
    expect(page.get_by_text("Choose another name to start.")).to_be_visible()

    with page.expect_request("**/api/plan"):
        page.get_by_label("Run name").fill("eager")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("button", name="Starting…")).to_be_disabled()
    directory = Workspace(studio.workspace).run("eager")
    assert not directory.exists()
    held.pop().continue_()
    page.wait_for_url("**/runs/eager")
    wait_for(lambda: (directory / "result.json").is_file(), "the run's end")


def test_a_fork_changes_what_it_may(page: Page, studio: RunningServer) -> None:
    run = Workspace(studio.workspace).run("parent")
    page.goto(FORM)
    import_settings(page, small_settings(length="3 steps"))
    page.get_by_label("Run name").fill("parent")
    expect(plan_fact(page, "Steps")).to_contain_text("3")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/runs/parent")
    wait_for(lambda: (run / "result.json").is_file(), "the run's end")
    # The keeper needs a moment more than the trainer to have ended.
    wait_for(lambda: (run.parents[2] / ".cpt-studio/runs/parent/exit.json").exists(), "the exit")

    page.goto(f"{FORM}&from=parent&checkpoint=step-00000003")
    expect(page.get_by_role("heading", name="Fork of parent")).to_be_visible()
    # Half of it is what goes on where memory ran out with one row.
    expect(page.get_by_role("textbox", name="Sequence length")).to_be_enabled()
    expect(page.get_by_role("radio", name=re.compile("^toy"))).to_be_disabled()
    page.get_by_label("Learning rate", exact=True).fill("0,001")
    page.get_by_label("Run name").fill("child")
    page.get_by_role("button", name="Start fork").click()
    page.wait_for_url("**/runs/child")
    config = read_config(Workspace(studio.workspace).run("child"))
    assert config.parent is not None and config.parent.run == "parent"
    assert config.settings.optimizer.learning_rate == 0.001
    assert config.settings.batch == read_config(run).settings.batch
    child = Workspace(studio.workspace).run("child")
    wait_for(lambda: (child / "result.json").is_file(), "the fork's end")


def test_a_run_waits_in_the_queue(page: Page, studio: RunningServer) -> None:
    cookie = studio.sign_in()
    endless = small_settings(length="1000000 steps")
    wait_for(
        lambda: not studio.api(cookie, "GET", "/api/status").json["active"], "other tests' runs"
    )
    body = {"name": "endless", "settings": endless, "queue": False}
    assert studio.api(cookie, "POST", "/api/runs", body).status == 201
    try:
        page.goto(FORM)
        import_settings(page, small_settings(length="2 steps"))
        page.get_by_label("Run name").fill("patient")
        expect(plan_fact(page, "Steps")).to_contain_text("2")
        expect(page.get_by_text("“endless” is training.")).to_be_visible()
        page.get_by_role("button", name="Add to queue").click()
        page.wait_for_url("**/runs/patient")
        waiting = studio.api(cookie, "GET", "/api/status").json["queue"]["waiting"]
        assert [one["run"] for one in waiting] == ["patient"]
    finally:
        killed = studio.api(cookie, "POST", "/api/runs/endless/kill", {"confirmed": True})
    assert killed.status == 200
    result = Workspace(studio.workspace).run("patient") / "result.json"
    wait_for(result.is_file, "the end of the run that waited")


def test_problems_stand_at_their_fields(page: Page) -> None:
    page.goto(FORM)
    rate = page.get_by_label("Learning rate", exact=True)
    rate.fill("7")
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(rate).to_have_accessible_description(re.compile("Use at most 1\\."))
    page.get_by_role("button", name="Start", exact=True).click()
    summary = page.get_by_role("region", name="Fix these before starting")
    expect(summary).to_be_focused()
    expect(summary.get_by_role("listitem")).to_have_count(3)
    summary.get_by_role("button", name="Learning rate").click()
    expect(rate).to_be_focused()
    rate.fill("fast")
    expect(rate).to_have_accessible_description(re.compile("Enter a number above 0 and at most 1"))
    page.get_by_role("button", name="Reset Learning rate").click()
    expect(rate).to_have_value("")
    expect(rate).not_to_have_attribute("aria-invalid", "true")
    assert page.url.endswith(FORM)

    choose_model_and_corpora(page)
    expect(summary).to_have_count(0)
    role_of(page, "domain").select_option("evaluation")
    expect(page.get_by_role("group", name="Corpora")).to_contain_text(
        "Give at least one corpus the domain role."
    )
    # A group that is closed opens nothing, but a field with a problem is there.
    role_of(page, "domain").select_option("domain")
    group = page.get_by_role("button", name=re.compile("^Learning rate schedule"))
    group.click()
    page.get_by_label("Warmup", exact=True).fill("soon")
    group.click()
    expect(page.get_by_label("Warmup", exact=True)).to_have_accessible_description(
        re.compile("Enter a number")
    )


def test_advanced_shows_what_was_changed(page: Page) -> None:
    page.goto(FORM)
    group = page.get_by_role("button", name=re.compile("^Optimizer"))
    group.click()
    page.get_by_label("Beta 2", exact=True).fill("0.99")
    page.get_by_label("Optimizer", exact=True).select_option("muon")
    group.click()
    changed = page.locator(".group", has=group).get_by_role("listitem")
    expect(changed).to_have_text(
        [re.compile("Optimizer.*muon.*default: adamw"), re.compile("Beta 2.*0.99.*default: 0.95")]
    )
    page.reload()
    expect(changed).to_have_count(2)
    page.get_by_role("button", name="Reset Beta 2 to 0.95").click()
    expect(changed).to_have_count(1)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_text("no changes")).to_be_visible()


def test_yaml_out_and_in(page: Page, tmp_path: Path) -> None:
    tree = small_settings(
        schedule={"kind": "wsd", "warmup": "2 steps"},
        evaluation={"every": "4 steps", "max_tokens": 500, "prompts": ["def f(", "two\nlines"]},
    )
    page.goto(FORM)
    import_settings(page, tree)
    expect(plan_fact(page, "Steps")).to_contain_text("12")
    expect(page.get_by_label("Learning rate", exact=True)).to_have_value("0.003")
    written = shown_text(page, "YAML")
    assert parse_settings(yaml.safe_load(written)) == parse_settings(tree)

    page.get_by_role("button", name="Start over").click()
    expect(page.locator(".copyable")).to_have_count(0)
    (tmp_path / "run.yaml").write_text(written, encoding="utf-8")
    page.get_by_role("button", name="Import YAML…").click()
    page.get_by_label("Or choose a file").set_input_files(tmp_path / "run.yaml")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(plan_fact(page, "Steps")).to_contain_text("12")
    assert shown_text(page, "YAML") == written

    page.get_by_role("button", name="Import YAML…").click()
    page.get_by_role("textbox", name="YAML").fill("model: {path: toy}\nnonsense: 1\n")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "nonsense: Unknown field."
    )


def test_the_time_is_measured(page: Page) -> None:
    page.goto(FORM)
    import_settings(page, small_settings())
    page.get_by_role("button", name="Estimate time").click()
    expect(page.locator("[data-fact=time]")).to_contain_text("about")
    page.get_by_role("textbox", name="Sequence length").fill("64")
    expect(page.locator("[data-fact=time]")).to_contain_text("settings changed")


def test_names_are_text(page: Page, studio: RunningServer) -> None:
    page.goto(FORM)
    name = page.get_by_label("Run name")
    expect(name).to_be_visible()
    attack = "<img src=x onerror=alert(1)>"
    import_settings(page, small_settings(model={"path": attack}))
    expect(page.get_by_role("radio", name=re.compile("img src"))).to_be_checked()
    assert page.locator("main img").count() == 0
    expect(page.get_by_role("group", name="Base model").locator(".field-problem")).to_contain_text(
        attack
    )


def test_an_empty_workspace_leads_on(
    browser: Browser,
    hub_server: FakeHub,
    model_files: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without model and corpus the page says what to do; a model is searched and downloaded."""
    hub_server.add("some-org/Small", model_files)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "w").mkdir()
    with running_server(tmp_path / "w", "--no-detect") as server:
        context = signed_in(browser, server, base_url=server.origin)
        page = context.new_page()
        page.goto("/data")
        expect(page.get_by_role("heading", name="No corpus yet")).to_be_visible()
        page.goto(FORM)
        expect(page.get_by_text("No models on this machine yet")).to_be_visible()
        expect(page.get_by_text("No corpora yet.")).to_be_visible()
        page.get_by_text("Download a model", exact=True).click()
        words = page.get_by_label(re.compile("^Hugging Face model ID"))
        words.fill("small")
        expect(page.get_by_role("button", name="Download", exact=True)).to_be_disabled()
        page.get_by_role("button", name="Search Hugging Face").click()
        page.get_by_role("button", name="Download some-org/Small").click()
        model = page.get_by_role("radio", name=re.compile("Small"))
        expect(model).to_be_checked()
        words.fill("some-org/Small")
        expect(page.get_by_text("This model is already on this machine.")).to_be_visible()
        context.close()
