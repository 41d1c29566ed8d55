"""Prompt suites and likelihood questions, put to real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import mlx_lm
import numpy as np
import pytest

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Sampling
from cptstudio.evaluation.questions import ask_questions, read_questions
from cptstudio.evaluation.references import ModelReference
from cptstudio.evaluation.suites import (
    Suite,
    delete_suite,
    parse_prompts,
    read_suite,
    run_suite,
    suite_names,
    write_suite,
)
from cptstudio.workspace import Workspace

pytestmark = pytest.mark.slow

PROMPTS = ("import os", "def main():", "class A")


@pytest.fixture(scope="module")
def worker() -> Iterator[InferenceWorker]:
    with InferenceWorker() as worker:
        yield worker


def test_a_suite_is_saved_listed_read_and_deleted(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    suite = Suite(prompts=PROMPTS, sampling=Sampling(max_tokens=8, seed=3))
    write_suite(workspace, "basics", suite)
    assert suite_names(workspace) == ["basics"]
    assert read_suite(workspace, "basics") == suite
    delete_suite(workspace, "basics")
    with pytest.raises(UserError, match="No suite named 'basics'"):
        read_suite(workspace, "basics")
    with pytest.raises(UserError, match="is not a valid suite name"):
        write_suite(workspace, "../up", suite)


def test_a_damaged_suite_is_named(tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "bad.json").write_text('{"prompts": [], "more": 1}', encoding="utf-8")
    with pytest.raises(UserError, match=r"bad\.json is not a valid suite") as caught:
        read_suite(Workspace(tmp_path), "bad")
    assert len(caught.value.problems) == 2


def test_a_matrix_of_prompts_and_models_is_kept_and_marks_differences(
    worker: InferenceWorker, tmp_path: Path, base: ModelReference, adapted: list[ModelReference]
) -> None:
    workspace = Workspace(tmp_path)
    suite = Suite(prompts=PROMPTS, sampling=Sampling(max_tokens=6))
    told: list[tuple[str, int, int]] = []
    references = [base, adapted[0], ModelReference("again", base.model)]
    matrix = run_suite(worker, workspace, suite, references, lambda *moment: told.append(moment))
    assert matrix["models"] == ["base", "adapter-1", "again"]
    assert told[-1] == ("again", 9, 9)
    model, tokenizer = mlx_lm.load(str(base.model))
    for row in matrix["rows"]:
        said = mlx_lm.generate(model, tokenizer, row["prompt"], max_tokens=6)
        assert row["texts"][0]["text"].removeprefix(" ") == said.removeprefix(" ")
        assert row["texts"][2] == row["texts"][0]
        assert row["changed"][0] is False
        assert row["changed"][1] == (row["texts"][1]["text"] != said)
    assert any(row["changed"][1] for row in matrix["rows"])
    worker.end()
    assert run_suite(worker, workspace, suite, references) == matrix
    assert worker.state().pid is None, "everything was kept, so no model was loaded"


def test_prompts_are_read_from_files(tmp_path: Path) -> None:
    lines = tmp_path / "prompts.txt"
    lines.write_text("one\n\n two \n", encoding="utf-8")
    assert parse_prompts(lines) == ["one", " two "]
    objects = tmp_path / "prompts.jsonl"
    objects.write_text('{"prompt": "a\\nb"}\n{"text": "c"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 2"):
        parse_prompts(objects)


def log_probability(model, start: int, ids: list[int], first: int) -> float:
    logits = model(mx.array([[start, *ids[:-1]]]))[0].astype(mx.float32)
    values = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True), dtype=np.float64)
    return float(values[np.arange(first, len(ids)), ids[first:]].sum())


def test_choices_are_scored_by_the_tokens_after_the_context(
    worker: InferenceWorker, base: ModelReference, tmp_path: Path
) -> None:
    file = tmp_path / "questions.jsonl"
    question = {"context": "import", "choices": [" os", " functools", "\n"], "answer": 1}
    tokenizer = load_tokenizer(base.model)
    model, _ = mlx_lm.load(str(base.model))
    context = list(tokenizer.backend.encode("import", add_special_tokens=False).ids)
    start = tokenizer.facts.start
    logits = model(mx.array([[start, *context]]))[0, -1]
    greedy = tokenizer.decode([int(mx.argmax(logits).item())])
    lines = [question, {"context": "import", "answer": greedy}, {"context": "a", "answer": "zq"}]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    worker.load([base])
    found = ask_questions(worker, "base", read_questions(file))
    expected = []
    for choice in question["choices"]:
        ids = list(tokenizer.backend.encode("import" + choice, add_special_tokens=False).ids)
        assert ids[: len(context)] == context
        expected.append(log_probability(model, start, ids, len(context)))
    np.testing.assert_allclose(found["log_probabilities"][0], expected, rtol=1e-4)
    right = float(int(np.argmax(expected)) == 1)
    assert found["multiple_choice"] == {
        "questions": 1,
        "accuracy": right,
        "accuracy_per_byte": float(
            int(
                np.argmax(
                    [value / len(c) for value, c in zip(expected, question["choices"], strict=True)]
                )
            )
            == 1
        ),
    }
    assert found["cloze"]["questions"] == 2
    assert found["cloze"]["accuracy"] in (0.5, 1.0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[]", "not a JSON object"),
        ('{"context": ""}', "“context” must be text"),
        ('{"context": "a"}', "must be text if there are no “choices”"),
        ('{"context": "a", "choices": ["b"], "answer": 0}', "two entries"),
        ('{"context": "a", "choices": ["b", ""], "answer": 0}', "must be text"),
        ('{"context": "a", "choices": ["b", "c"], "answer": 2}', "0 to 1"),
        ('{"context": "a", "choices": ["b", "c"], "answer": true}', "0 to 1"),
        ('{"context": "a", "answer": "b", "label": 1}', "'label'"),
        ("{", "line 2: invalid JSON"),
    ],
)
def test_questions_that_cannot_be(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"context": "a", "answer": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_questions(file)
    assert says in str(caught.value)
