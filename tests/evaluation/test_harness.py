"""lm-evaluation-harness through mlx-lm's adapter; where it is not installed, that is said."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cptstudio.evaluation.questions import ask_questions, read_questions
from cptstudio.evaluation.references import ModelReference
from cptstudio.workspace import Workspace
from tests.toy_adapters import make_toy_adapter
from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow

needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None,
    reason="lm-evaluation-harness is not installed: pip install lm_eval",
)

TASK = """\
task: completing
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
target_delimiter: ""
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
QUESTIONS = [
    {"context": "import", "choices": [" os", " zebra"], "answer": 0},
    {"context": "def main", "choices": ["():", "=="], "answer": 0},
    {"context": "for i in", "choices": [" range", "class", "!"], "answer": 1},
    {"context": "return", "choices": [" None", "\n\n"], "answer": 1},
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("workspace")
    make_toy_model("llama", root / "models" / "base" / "llama")
    data = root / "questions.jsonl"
    data.write_text("".join(json.dumps(one) + "\n" for one in QUESTIONS), encoding="utf-8")
    tasks = root / "tasks"
    tasks.mkdir()
    (tasks / "completing.yaml").write_text(TASK.format(data=data), encoding="utf-8")
    return Workspace(root)


def harness(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cptstudio.cli", "harness", *arguments, "-w", str(workspace.root)],
        capture_output=True,
        text=True,
    )


def test_without_the_package_a_sentence_says_what_to_install(
    workspace: Workspace, tmp_path: Path
) -> None:
    # Wherever the package is installed, this makes the search for it find nothing.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "stock = importlib.util.find_spec\n"
        "def find_spec(name, package=None):\n"
        "    return None if name == 'lm_eval' else stock(name, package)\n"
        "importlib.util.find_spec = find_spec\n",
        encoding="utf-8",
    )
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "cptstudio.cli", "harness", "llama", "--task", "arc_easy"),
            *("-w", str(workspace.root)),
        ],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PATH": "/usr/bin:/bin"},
    )
    assert ended.returncode == 1
    assert "-m pip install lm_eval" in ended.stderr
    assert "Traceback" not in ended.stderr


@needs_harness
def test_a_task_of_ones_own_is_scored_as_our_questions_are(workspace: Workspace) -> None:
    arguments = ("llama", "--task", "completing", "--include", str(workspace.root / "tasks"))
    ended = harness(workspace, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)["models"]["llama"]["completing"]
    assert found["questions"] == len(QUESTIONS)
    from cptstudio.evaluation.inference import InferenceWorker

    with InferenceWorker() as worker:
        worker.load([ModelReference("llama", workspace.base_model("llama"))])
        asked = read_questions(workspace.root / "questions.jsonl")
        ours = ask_questions(worker, "llama", asked)
    assert found["metrics"]["acc"]["value"] == ours["multiple_choice"]["accuracy"]
    shown = harness(workspace, *arguments)
    assert "completing" in shown.stdout and "acc" in shown.stdout


@needs_harness
def test_an_adapter_is_on_the_model_that_is_asked(workspace: Workspace, tmp_path: Path) -> None:
    from cptstudio.evaluation.harness_program import run_tasks
    from tests.evaluation.silence import Silence

    base = workspace.base_model("llama")
    adapter = make_toy_adapter(base, tmp_path / "adapter", 1)
    silence = Silence()
    found = run_tasks(
        {
            "models": [
                {"label": "base", "model": base, "adapter": None},
                {"label": "adapted", "model": base, "adapter": adapter},
            ],
            "tasks": ["completing"],
            "include": str(workspace.root / "tasks"),
            "shots": 1,
            "limit": 2,
            "download": False,
            "fast_blas": True,
        },
        silence,
    )
    assert [one["completing"]["questions"] for one in found["models"].values()] == [2, 2]
    assert any(told.get("unit") == "questions" for told in silence.told)


@needs_harness
@pytest.mark.parametrize(
    ("task", "says"), [("no_such_task", "has no task"), ("arc_easy", "--download")]
)
def test_what_is_not_there_is_a_sentence(workspace: Workspace, task: str, says: str) -> None:
    ended = harness(workspace, "llama", "--task", task)
    assert ended.returncode == 1
    assert says in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr
