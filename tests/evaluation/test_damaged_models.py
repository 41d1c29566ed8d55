"""A model whose weights are NaN, or whose numbers overflow, is told by name and never scored."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation import evaluate, merge
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling, Score
from cptstudio.evaluation.questions import Question, ask_questions
from cptstudio.evaluation.references import ModelReference, request_of
from cptstudio.evaluation.suites import Suite, run_suite
from cptstudio.settings import parse_settings
from cptstudio.training.planning import make_plan
from cptstudio.workspace import Workspace
from tests.evaluation.silence import Silence
from tests.evaluation.small_corpus import build_words
from tests.toy_adapters import make_toy_adapter
from tests.toy_models import make_toy_model

pytestmark = pytest.mark.slow

TENSOR = "model.layers.1.mlp.up_proj.weight"
_QUESTION = Question("a b", (" c", " d"), 0, False)
_CLOZE = Question("a b", (" c",), 0, True)


def _copy(base: Path, name: str, changed: dict[str, mx.array]) -> None:
    folder = shutil.copytree(base, base.with_name(name))
    tensors = mx.load(str(base / "model.safetensors")) | changed
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A good toy, one of NaN, one with a single infinity, and one whose logits overflow."""
    root = tmp_path_factory.mktemp("workspace")
    good = make_toy_model("qwen3", root / "models" / "base" / "good")
    build_words(root, good, 0.3, documents=20, words=30)
    tensors = mx.load(str(good / "model.safetensors"))
    _copy(good, "nan", {name: value * mx.nan for name, value in tensors.items()})
    one = mx.array(tensors[TENSOR])
    one[3, 5] = mx.inf
    _copy(good, "one", {TENSOR: one})
    _copy(good, "large", {"lm_head.weight": 3e38 * mx.sign(tensors["lm_head.weight"])})
    adapter = make_toy_adapter(good, root / "adapter", 1)
    factors = mx.load(str(adapter / "adapters.safetensors"))
    first = sorted(factors)[0]
    factors[first] = factors[first] * mx.nan
    mx.save_safetensors(str(adapter / "adapters.safetensors"), factors)
    return Workspace(root)


@pytest.fixture(scope="module")
def worker() -> Iterator[InferenceWorker]:
    with InferenceWorker() as worker:
        yield worker


def reference(workspace: Workspace, name: str) -> ModelReference:
    return ModelReference(name, workspace.base_model(name))


@pytest.mark.parametrize("name", ["nan", "one"])
def test_no_program_loads_it(workspace: Workspace, worker: InferenceWorker, name: str) -> None:
    """The playground, generate, compare, score, questions and suites load models like this."""
    said = rf"models/base/{name} is damaged: {re.escape(TENSOR) if name == 'one' else ''}.*NaN"
    worker.load([reference(workspace, "good")])
    with pytest.raises(UserError, match=said):
        worker.load([reference(workspace, name)])
    assert [model["label"] for model in worker.state().models] == ["good"]
    with pytest.raises(UserError, match=said):
        run_suite(worker, workspace, Suite(prompts=("a",)), [reference(workspace, name)])
    with pytest.raises(UserError, match=said):
        evaluate.evaluate(evaluation(workspace, "good", name), Silence())
    settings = parse_settings({"model": {"path": name}, "data": {"corpora": [{"name": "words"}]}})
    with pytest.raises(UserError, match="cannot be prepared") as refused:
        make_plan(workspace, settings)
    (finding,) = refused.value.findings
    assert re.search(said, finding.sentence) and finding.field == "model.path"


def test_an_adapter_of_nan_is_named(workspace: Workspace, worker: InferenceWorker) -> None:
    adapted = ModelReference("adapted", workspace.base_model("good"), workspace.root / "adapter")
    with pytest.raises(UserError, match=r"adapter is damaged: .*lora_a holds NaN"):
        worker.load([adapted])


def evaluation(workspace: Workspace, *names: str) -> dict[str, Any]:
    return {
        "workspace": workspace.root,
        "models": [request_of(reference(workspace, name)) for name in names],
        "corpora": [{"name": "words", "path": workspace.corpus("words")}],
        "side": "validation",
        "max_bytes": 4000,
        "context_length": None,
        "stride": None,
        "fast_blas": True,
    }


def test_numbers_that_overflow_are_no_scores(workspace: Workspace, worker: InferenceWorker) -> None:
    worker.load([reference(workspace, "large"), reference(workspace, "good")])
    with pytest.raises(UserError, match=r"large computes NaN or infinity in 1 of 1 scores"):
        worker.result(Score(labels=("good", "large"), texts=("a",)))
    for question in (_QUESTION, _CLOZE):
        with pytest.raises(UserError, match="large computes NaN"):
            ask_questions(worker, "large", [question])
    ask = Complete(
        labels=("large",),
        prompts=(Prompt(text="a"),),
        sampling=Sampling(max_tokens=3),
        alternatives=2,
    )
    with pytest.raises(UserError, match=r"models/base/large computes NaN, so"):
        list(worker.ask(ask))
    with pytest.raises(UserError, match="computes NaN"):
        run_suite(worker, workspace, Suite(prompts=("a",)), [reference(workspace, "large")])
    for _ in range(2):
        # Nothing of it was kept, so it is told again.
        with pytest.raises(UserError, match="large computes NaN"):
            evaluate.evaluate(evaluation(workspace, "good", "large"), Silence())
    assert ask_questions(worker, "good", [_QUESTION])["multiple_choice"]["questions"] == 1


def test_a_merge_names_the_part_and_what_overflows(workspace: Workspace) -> None:
    def point(**weights: float) -> dict[str, Any]:
        parts = [
            {"model": str(workspace.base_model(name)), "adapter": None, "weight": weight}
            for name, weight in weights.items()
        ]
        return {"label": "sum", "share": None, "parts": parts}

    def merged(one: dict[str, Any]) -> None:
        asked = evaluation(workspace) | {"points": [one], "save": None}
        merge.merge_points(asked, Silence())

    with pytest.raises(UserError, match=rf"models/base/one is damaged: {re.escape(TENSOR)}"):
        merged(point(good=0.5, one=0.5))
    with pytest.raises(UserError, match=r"The sum of lm_head\.weight is too large for float32"):
        merged(point(large=2.0, good=-1.0))
