"""Planning over HTTP, and the command and YAML that are equal to it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cptstudio.cli import app
from cptstudio.settings import TrainingSettings, parse_settings
from cptstudio.web.cli_equivalent import command_line, yaml_text
from cptstudio.workspace import Workspace
from tests.toy_models import save_toy_tokenizer
from tests.training.small_workspace import small_settings
from tests.web.in_process import Web, make_web
from tests.web.server_process import wait_for
from tests.web.toy_workspace import make_toy_workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plan")
    make_toy_workspace(root)
    return root


@pytest.fixture(scope="module")
def web(place: Path) -> Web:
    return make_web(place)


def plan(web: Web, settings: Any, **more: Any) -> Any:
    return web.post("/api/plan", {"settings": settings, **more})


def test_a_plan_fills_in_what_is_left_open(web: Web) -> None:
    tree = {"model": {"path": "toy"}, "data": {"corpora": [{"name": "domain"}]}}
    answer = plan(web, tree, name="first")
    assert answer["problems"] == []
    settings = parse_settings(answer["settings"])
    assert settings.optimizer.learning_rate is not None
    facts = answer["facts"]
    assert facts["steps"] >= 1
    assert facts["tokens"] >= facts["steps"]
    assert 0 < facts["checkpoint_bytes"] <= facts["disk_needed_bytes"] < facts["disk_free_bytes"]
    assert facts["memory_bytes"] < facts["memory_available_bytes"]
    assert sum(facts["memory_parts"].values()) == facts["memory_bytes"]
    [about_replay] = [one for one in answer["warnings"] if "general text" in one["sentence"]]
    assert about_replay["field"] == "data.corpora"
    assert answer["command"] == "cpt-studio train --name first --model toy --corpus domain"
    assert yaml.safe_load(answer["yaml"]) == tree


def test_a_plan_names_the_corpora_that_lack_a_models_tokens(web: Web, place: Path) -> None:
    bases = Workspace(place).base_models
    shutil.copytree(bases / "toy", bases / "spelled")
    save_toy_tokenizer(bases / "spelled")
    other = small_settings(model={"path": "spelled"})
    answer = plan(web, other)
    assert answer["untokenized"] == ["domain", "general"], answer["problems"]
    unknown = {"corpora": [{"name": "nix"}, {"name": "domain"}]}
    assert plan(web, other | {"data": unknown})["untokenized"] == ["domain"]
    assert plan(web, small_settings(data=unknown))["untokenized"] == []
    shutil.rmtree(bases / "spelled")


def test_a_plan_for_another_machine(web: Web) -> None:
    names = web.get("/api/plan/machines")["machines"]
    assert "M3 Pro 36 GB" in names and "RTX 4090" in names
    facts = plan(web, small_settings(), machine="m3 pro 36gb")["facts"]
    assert (facts["machine"], facts["disk_free_bytes"]) == ("M3 Pro 36 GB", None)
    assert facts["memory_available_bytes"] == 27 * 2**30 - 1_000_000_000
    assert plan(web, small_settings())["facts"]["machine"] is None
    unknown = plan(web, small_settings(), machine="abacus")
    assert list(unknown["fields"]) == ["machine"] and unknown["facts"] is None


@pytest.mark.parametrize(
    ("tree", "fields"),
    [
        ({}, {"model", "data"}),
        (7 * [None], None),
        (small_settings(optimizer={"learning_rate": -1, "x": 1}),
         {"optimizer.learning_rate", "optimizer.x"}),
        (small_settings(data={"corpora": []}), {"data.corpora"}),
        (small_settings(data={"corpora": [{"name": "domain", "weight": -1}]}),
         {"data.corpora.0.weight"}),
        (small_settings(model={"path": "nix"}), {"model.path"}),
        (small_settings(data={"corpora": [{"name": "nix"}]}), {"data.corpora.0"}),
        (small_settings(evaluation={"suite": "domain"}), {"evaluation.suite"}),
        (small_settings(length="soon"), {"length"}),
    ],
)  # fmt: skip
def test_problems_are_in_the_answer_with_their_fields(
    web: Web, tree: Any, fields: set[str] | None
) -> None:
    if fields is None:
        assert web.request("POST", "/api/plan", json={"settings": tree}).status_code == 422
        return
    answer = plan(web, tree)
    assert set(answer["fields"]) == fields
    assert answer["problems"]
    assert answer["facts"] is None


CHANGES: list[dict[str, Any]] = [
    {},
    {"length": "1.5 epochs", "seed": 11},
    {"method": {"kind": "lora", "rank": 8, "targets": ["self_attn.q_proj", "mlp.up_proj"]}},
    {"evaluation": {"prompts": ["def a b", "it's $HOME; `x`"], "max_tokens": 100}},
    {"compute": {"fast_blas": False, "compile": True}},
    {"data": {"corpora": [{"name": "domain", "weight": 2.5}, {"name": "general", "role": "replay"}],
              "replay_share": 0.1}},
    {"guards": {"skip_spikes": False, "spike_sigma": 4.5}},
    {"schedule": {"kind": "wsd", "warmup": "3 steps"}, "optimizer": {"epsilon": 1e-9}},
]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES)
def test_the_equal_command_and_yaml_mean_the_same(
    place: Path, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse_settings(small_settings(**changes))
    assert parse_settings(yaml.safe_load(yaml_text(settings))) == settings
    seen: list[TrainingSettings] = []

    def stop_here(workspace: object, found: TrainingSettings, *_: object) -> None:
        seen.append(found)
        raise SystemExit(0)

    # What the real command line would plan with.
    monkeypatch.setattr("cptstudio.cli.train.make_plan", stop_here)
    program, train, *arguments = shlex.split(command_line(settings))
    assert (program, train) == ("cpt-studio", "train")
    CliRunner().invoke(app, ["plan", "--workspace", str(place), *arguments])
    assert seen == [settings]


def test_yaml_that_is_none_is_refused_in_words(web: Web) -> None:
    bomb = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(30))
    for text in (
        "",
        "[1]",
        "a: [",
        bomb,
        "x: !!python/object/apply:os.system [ls]",
        "{1: 2}",
        "\0",
    ):
        answer = web.request("POST", "/api/plan/parse", json={"yaml": text})
        assert answer.status_code == 422, text
        assert answer.json["detail"]
    parsed = web.post("/api/plan/parse", {"yaml": yaml.safe_dump(small_settings())})
    assert parsed["settings"]["optimizer"] == {"learning_rate": 3e-3}


def test_the_schema_tells_what_a_form_needs(web: Web) -> None:
    schema = web.get("/api/settings-schema")
    rate = schema["$defs"]["OptimizerSettings"]["properties"]["learning_rate"]
    assert rate["title"] == "Learning rate"
    assert rate["basic"] is True
    assert rate["default"] is None


@pytest.mark.slow
def test_calibration_is_a_job(web: Web) -> None:
    job = web.post("/api/plan/calibrate", {"settings": small_settings()}, 202)

    def ended() -> Any:
        found = web.get(f"/api/jobs/{job['id']}")
        return found if found["state"] not in ("waiting", "running") else None

    found = wait_for(ended, "the calibration")
    assert found["state"] == "done", found
    assert found["result"]["seconds_per_step"] > 0
    assert web.studio.workspace.run_names() == [], "nothing of it is kept"
