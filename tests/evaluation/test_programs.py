"""The testing programs as processes: their protocol, what they keep, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio.durable import dump_json
from cptstudio.evaluation import inference
from cptstudio.evaluation.model_requests import Sampling
from cptstudio.evaluation.references import request_of, resolve_reference
from cptstudio.evaluation.reports import Reports
from cptstudio.evaluation.suites import Suite, write_suite
from cptstudio.workspace import Workspace
from tests.evaluation.small_corpus import build_words
from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow

MODELS = ("qwen3", "llama")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    for name in MODELS:
        make_toy_model(name, root / "models" / "base" / name)
    build_words(root, root / "models" / "base" / "qwen3", 0.3, words=50)
    place = Workspace(root)
    write_suite(place, "basics", Suite(prompts=("a", "b"), sampling=Sampling(max_tokens=4)))
    # A text that takes the toys minutes.
    endless = Sampling(max_tokens=100_000, temperature=5.0, context_length=64)
    write_suite(place, "endless", Suite(prompts=("a",), sampling=endless))
    (root / "upload").write_text('{"context": "a", "answer": "b"}\n', encoding="utf-8")
    (root / "texts").write_text('{"text": "import os"}\n{"text": "a b"}\n', encoding="utf-8")
    return place


def request(workspace: Workspace, **more: Any) -> dict[str, Any]:
    models = [request_of(resolve_reference(name, workspace)) for name in MODELS]
    return {"workspace": workspace.root, "models": models, "fast_blas": True, **more}


def evaluation(workspace: Workspace, **more: Any) -> dict[str, Any]:
    given = {
        "corpora": [{"name": "words", "path": workspace.corpus("words")}],
        "texts": [{"name": "notes.jsonl", "path": workspace.root / "texts"}],
        "side": "validation",
        "max_bytes": 400_000,
        "context_length": None,
        "stride": None,
    }
    return request(workspace, **given, **more)


def start(module: str, asked: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"cptstudio.evaluation.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(dump_json(asked) + "\n")
    process.stdin.flush()
    return process


def answers(module: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    process = start(module, asked)
    assert process.stdout is not None
    # Read to the end before communicate() closes the input, which would cancel the work.
    lines = [json.loads(line) for line in process.stdout]
    _, errors = process.communicate()
    assert process.returncode == (0 if "result" in lines[-1] else 1), errors
    return lines


def test_an_evaluation_tells_its_progress_and_keeps_a_report(workspace: Workspace) -> None:
    *told, last = answers("evaluate", evaluation(workspace))
    steps = [line["progress"] for line in told]
    assert any(
        step["phase"] == "qwen3 on words" and step.get("done") and step["done"] == step["total"]
        and step["unit"] == "tokens" and step["detail"] == "model 1 of 2"
        for step in steps
    )  # fmt: skip
    assert last["result"]["title"] == "qwen3, llama on words, notes.jsonl"
    report = Reports(workspace).read(last["result"]["report"])
    assert report["kind"] == "evaluation"
    assert report["request"]["max_bytes"] == 400_000
    first, second = report["result"]["models"]
    assert "changed" not in first["corpora"]["words"]
    changed = second["corpora"]["words"]["changed"]
    entries = [*changed["improved"], *changed["worsened"]]
    assert entries
    assert all(len(part) <= 10 for part in changed.values())
    for entry in entries:
        assert (workspace.root / "source" / Path(entry["label"]).name).exists()
        assert entry["bytes"] > 0
    gains = [one["bits_per_byte"] - one["base_bits_per_byte"] for one in changed["improved"]]
    assert gains == sorted(gains)
    assert all(gain < 0 for gain in gains)
    losses = [one["bits_per_byte"] - one["base_bits_per_byte"] for one in changed["worsened"]]
    assert losses == sorted(losses, reverse=True)
    of_texts = second["corpora"]["notes.jsonl"]["changed"]
    labels = [one["label"] for part in of_texts.values() for one in part]
    assert sorted(labels) == ["notes.jsonl:1", "notes.jsonl:2"]


def test_merge_tells_shares_and_roles(workspace: Workspace) -> None:
    paths = [workspace.base_model("qwen3")] * 2
    points = [
        {
            "label": f"{share:g}",
            "share": share,
            "parts": [
                {"model": paths[0], "adapter": None, "weight": 1 - share},
                {"model": paths[1], "adapter": None, "weight": share},
            ],
        }
        for share in (0.0, 0.5)
    ]
    asked = {**evaluation(workspace), "title": "a title", "points": points, "save": None}
    asked["roles"] = {"words": "domain"}
    *told, last = answers("merge", asked)
    assert {"tensors", "tokens"} <= {line["progress"].get("unit") for line in told}
    report = Reports(workspace).read(last["result"]["report"])
    assert (report["kind"], report["title"]) == ("merge", "a title")
    assert [point["share"] for point in report["result"]["points"]] == [0.0, 0.5]
    assert report["result"]["roles"] == {"words": "domain", "notes.jsonl": None}


def test_a_suite_and_questions_keep_reports(workspace: Workspace) -> None:
    *told, last = answers("suite_program", request(workspace, suite="basics"))
    assert told[-1]["progress"] == {"phase": "llama", "done": 4, "total": 4, "unit": "prompts"}
    found = Reports(workspace).read(last["result"]["report"])["result"]
    assert found["suite"] == "basics"
    assert found["models"] == list(MODELS)
    assert [len(row["texts"]) for row in found["rows"]] == [2, 2]
    file = workspace.root / "upload"
    *told, last = answers("question_program", request(workspace, file=file, name="quiz.jsonl"))
    assert told[-1]["progress"]["unit"] == "questions"
    found = Reports(workspace).read(last["result"]["report"])["result"]
    assert found["file"] == "quiz.jsonl"
    assert list(found["models"]) == list(MODELS)
    (question,) = found["models"]["llama"]["questions"]
    assert question["cloze"] and isinstance(question["right"], bool)


@pytest.mark.parametrize(
    ("module", "changes", "says"),
    [
        ("evaluate", {"corpora": [{"name": "x", "path": "/nowhere/x"}]}, "no corpus"),
        ("suite_program", {"suite": "other"}, "No suite named 'other'"),
        ("question_program", {"file": "/nowhere/q", "name": "q.jsonl"}, "no file q.jsonl"),
    ],
)
def test_what_is_not_there_is_a_sentence_and_no_report(
    workspace: Workspace, module: str, changes: dict[str, Any], says: str
) -> None:
    before = Reports(workspace).list()
    last = answers(module, {**evaluation(workspace), **changes})[-1]
    assert says in last["error"]["message"]
    assert Reports(workspace).list() == before


def test_an_interrupted_suite_ends_its_worker_and_leaves_no_report(workspace: Workspace) -> None:
    before = Reports(workspace).list()
    process = start("suite_program", request(workspace, suite="endless"))
    assert process.stdout is not None
    process.stdout.readline()
    family = psutil.Process(process.pid)
    while not (children := family.children()):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    rest, errors = process.communicate()
    assert json.loads(rest.splitlines()[-1]) == {"cancelled": True}, errors
    assert process.returncode == 130
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert gone and not alive
    assert Reports(workspace).list() == before


def test_a_program_ends_when_nobody_waits_for_it(workspace: Workspace) -> None:
    process = start("suite_program", request(workspace, suite="endless"))
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    process.stdin.close()
    process.stdin = None
    process.communicate(timeout=60)
    assert process.returncode != 0


def test_ctrl_c_in_the_terminal_ends_all_of_it(workspace: Workspace) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("whoever started the tests has them ignore Ctrl-C, as a shell's background")
    arguments = ["suite", "run", "endless", "qwen3", "-w", str(workspace.root)]
    terminal = subprocess.Popen(
        [sys.executable, "-m", "cptstudio.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    family = psutil.Process(terminal.pid)

    def has_worker() -> bool:
        return any(inference.MODULE in one.cmdline() for one in children)

    while not (children := family.children(recursive=True)) or not has_worker():
        assert terminal.poll() is None
    terminal.send_signal(signal.SIGINT)
    _, errors = terminal.communicate(timeout=60)
    assert terminal.returncode == 130
    assert "Traceback" not in errors
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert len(gone) >= 2 and not alive
