"""The whole journey in the terminal, as the README tells it, on the demo workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cptstudio import demo, run_files, run_rows
from cptstudio.corpus.corpus import open_corpus
from cptstudio.json_lines import read_json_lines
from cptstudio.workspace import Workspace
from tests.demo_workspace import copy_of_demo, demo_as_made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
STUDIO = [sys.executable, "-m", "cptstudio.cli"]


def studio(workspace: Path, *arguments: str, status: int = 0) -> str:
    completed = subprocess.run(
        [*STUDIO, *arguments], cwd=workspace, capture_output=True, text=True, check=False
    )
    text = completed.stdout + completed.stderr
    assert completed.returncode == status, text
    assert "Traceback" not in text, text
    return completed.stdout if status == 0 else text


def studio_json(workspace: Path, *arguments: str) -> Any:
    return json.loads(studio(workspace, *arguments, "--json"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journey") / "demo"
    copy_of_demo(tmp_path_factory, folder)
    return folder


def wait_for_step(run: Path, step: int, process: subprocess.Popen[Any]) -> None:
    """Follow the run's rows until a step is there or the process has ended."""
    while process.poll() is None:
        rows = read_json_lines(run / run_files.METRICS).records
        if any(row["kind"] == "train" and row["step"] >= step for row in rows):
            return
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"the trainer ended with {process.returncode} before step {step}")


def test_a_demo_that_was_interrupted_is_completed_and_then_stays(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, said = demo_as_made(tmp_path_factory)
    assert "cpt-studio train" in said
    for name in (demo.DOMAIN, demo.GENERAL):
        corpus = open_corpus(Workspace(workspace).corpus(name))
        assert corpus.manifest.report.documents["train"] > 100
    manifest = workspace / "corpora" / "python-source" / "manifest.json"
    before = manifest.read_bytes()
    studio(workspace.parent, "demo", "demo")
    assert manifest.read_bytes() == before


def test_training_is_interrupted_resumed_measured_and_used(workspace: Path) -> None:
    mixture = ["--corpus", "python-source", "--replay", "python-documentation"]
    settings = [
        "--model",
        "demo-base",
        *mixture,
        "--length",
        "60 steps",
        "--sequence-length",
        "128",
    ]
    settings += ["--batch-size", "4", "--learning-rate", "1e-3", "--evaluation.max-tokens", "2000"]
    plan = studio_json(workspace, "plan", *settings)
    assert plan["plan"]["steps"] == 60
    assert not (workspace / "models" / "cpt").exists()

    run = workspace / "models" / "cpt" / "first"
    with subprocess.Popen(
        [*STUDIO, "train", "--name", "first", *settings],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        wait_for_step(run, 20, process)
        os.killpg(process.pid, signal.SIGINT)
        output = process.communicate()[0].decode()
    assert process.returncode == run_files.EXIT_CODES["stopped"], output
    assert "Traceback" not in output
    result = run_files.read_result(run)
    assert result is not None and result.outcome == "stopped" and result.step >= 20
    assert result.checkpoint == run_files.checkpoint_name(result.step)

    studio(workspace, "resume", "first")
    result = run_files.read_result(run)
    assert result is not None and result.outcome == "completed" and result.step == 60
    rows = run_rows.current_rows(read_json_lines(run / run_files.METRICS).records)
    assert [row["step"] for row in rows if row["kind"] == "train"] == list(range(1, 61))

    measured = studio_json(
        workspace, "evaluate", "demo-base", "first", "-c", "python-source",
        "-c", "python-documentation", "--max-bytes", "15000",
    )  # fmt: skip
    base, trained = (model["corpora"] for model in measured["models"])
    gain = base["python-source"]["bits_per_byte"] - trained["python-source"]["bits_per_byte"]
    assert gain > 0.1

    greedy = ["generate", "first", "--prompt", "import os\n", "--max-tokens", "12"]
    first, second = (studio_json(workspace, *greedy) for _ in range(2))
    assert first["text"] == second["text"] != ""


def test_wrong_requests_are_refused_in_words(workspace: Path) -> None:
    train = ["train", "--model", "demo-base", "--corpus", "python-source"]
    for arguments, sentence in (
        ([*train, "--name", "../x"], "is not a valid run name"),
        ([*train, "--corpus", "nothing"], "nothing"),
        (["train", "--model", "nowhere", "--corpus", "python-source"], "no model 'nowhere'"),
        ([*train, "--learning-rate", "-1"], "(--learning-rate): Use a value above 0"),
        (["resume", "nothing"], "nothing"),
        (["evaluate", "first@7", "-c", "python-source"], "first"),
        (["corpus", "show", "nothing"], "nothing"),
    ):
        assert sentence in studio(workspace, *arguments, status=1).replace("\n", " "), arguments
