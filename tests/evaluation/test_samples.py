"""A suite at each evaluation of a real run, and its matrix beside that of the checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation.samples import samples_matrix
from cptstudio.prompt_suites import Suite, delete_suite, with_suite, write_suite
from cptstudio.run_files import read_config
from cptstudio.sampling import Sampling
from cptstudio.settings import parse_settings
from cptstudio.workspace import Workspace
from tests.evaluation.small_corpus import build_words
from tests.toy_models import make_toy_model

PROMPTS = ("import os", "def main():")
SAMPLING = Sampling(max_tokens=8, temperature=0.9, top_p=0.95, top_k=50, seed=3)


def studio(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cptstudio.cli", *arguments, "-w", str(workspace.root)],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    base = make_toy_model("qwen3", root / "models" / "base" / "qwen3")
    build_words(root, base, 0.2)
    place = Workspace(root)
    write_suite(place, "basics", Suite(prompts=PROMPTS, sampling=SAMPLING))
    return place


@pytest.mark.slow
def test_a_run_says_at_its_end_what_its_last_checkpoint_says(workspace: Workspace) -> None:
    trained = studio(
        workspace,
        *("train", "-m", "qwen3", "-c", "words", "--name", "first", "--suite", "basics"),
        *("--length", "20 steps", "--sequence-length", "64", "--learning-rate", "1e-2"),
        *("--evaluate-every", "10 steps"),
    )
    assert trained.returncode == 0, trained.stderr
    evaluation = read_config(workspace.run("first")).settings.evaluation
    assert (evaluation.suite, evaluation.prompts) == ("basics", PROMPTS)
    assert (evaluation.sample_tokens, evaluation.sample_temperature) == (8, 0.9)
    assert (evaluation.sample_seed, evaluation.sample_top_k) == (3, 50)
    shown = studio(workspace, "suite", "show", "basics", "--run", "first", "--json")
    during = json.loads(shown.stdout)
    assert during["models"] == [f"first at step {step}" for step in (0, 10, 20)]
    asked = studio(workspace, "suite", "run", "basics", "qwen3", "first@last", "--json")
    after = json.loads(asked.stdout)
    for row, other in zip(during["rows"], after["rows"], strict=True):
        said = [text["text"] for text in row["texts"]]
        assert [said[0], said[-1]] == [text["text"] for text in other["texts"]]
        assert row["changed"] == [False, said[1] != said[0], said[2] != said[1]]
    assert any(any(row["changed"]) for row in during["rows"])
    as_text = studio(workspace, "suite", "show", "basics", "--run", "first")
    assert "first at step 20" in as_text.stdout


@pytest.mark.slow
def test_a_suite_that_is_not_there_is_named_before_anything_starts(workspace: Workspace) -> None:
    arguments = ("train", "-m", "qwen3", "-c", "words", "--name", "second", "--suite", "other")
    ended = studio(workspace, *arguments)
    assert ended.returncode == 1
    assert "No suite named 'other'" in ended.stderr
    assert "second" not in workspace.run_names()


def test_a_run_that_said_nothing_is_a_sentence(tmp_path: Path) -> None:
    run = tmp_path / "silent"
    run.mkdir()
    (run / "samples.jsonl").write_text(
        json.dumps({"session": 0, "step": 5, "index": 0, "prompt": "a", "completion": "b"}) + "\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match="has no samples of these prompts"):
        samples_matrix(run, ["c"])
    matrix = samples_matrix(run, ["a", "c"])
    assert matrix["models"] == ["silent at step 5"]
    assert [row["texts"][0] is None for row in matrix["rows"]] == [False, True]


def test_settings_take_over_a_suite_or_refuse_it(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    tree = {
        "model": {"path": "base"},
        "data": {"corpora": [{"name": "domain"}]},
        "evaluation": {"suite": "one", "prompts": ["former"]},
    }
    settings = parse_settings(tree)
    write_suite(place, "one", Suite(prompts=("a", "b"), sampling=Sampling(max_tokens=5)))
    resolved = with_suite(place, settings).evaluation
    assert (resolved.prompts, resolved.sample_tokens, resolved.sample_seed) == (("a", "b"), 5, 0)
    write_suite(place, "one", Suite(prompts=("a",), sampling=Sampling(stop=("\n",))))
    with pytest.raises(UserError, match="stop sequences"):
        with_suite(place, settings)
    write_suite(place, "one", Suite(prompts=("a",), sampling=Sampling(max_tokens=100_000)))
    with pytest.raises(UserError, match="Sample length: Use at most 4,096"):
        with_suite(place, settings)
    delete_suite(place, "one")
    with pytest.raises(UserError, match="No suite named 'one'"):
        with_suite(place, settings)
    assert with_suite(place, parse_settings({**tree, "evaluation": {}})).evaluation.prompts is None
