"""Evaluations, merges, suites, questions and reports over HTTP, with really trained checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cptstudio.evaluation.reports import Reports
from tests.training import trainer_process
from tests.training.small_workspace import DOMAIN, GENERAL, make_workspace, prepare
from tests.web.in_process import Web, make_web

pytestmark = pytest.mark.slow

PATIENCE = 180.0
LAST = "learned@step-00000020"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A base model, two corpora, and a run with two checkpoints."""
    workspace = make_workspace(tmp_path_factory.mktemp("testing") / "workspace")
    directory = prepare(workspace, "learned", length="20 steps", checkpoints={"every": "10 steps"})
    status, said = trainer_process.run(directory)
    assert status == 0, said
    made = make_web(workspace.root)
    yield made
    made.studio.jobs.close()
    made.studio.news.close()
    made.studio.manager.close()


def report_of(web: Web, job: Any) -> Any:
    """What a job left."""
    ended = web.studio.jobs.wait(job["id"], PATIENCE)
    assert ended is not None and ended.state == "done", ended
    assert ended.result is not None
    return web.get(f"/api/evaluation/reports/{ended.result['report']}")


def upload(web: Web, name: str, text: str) -> str:
    answer = web.request(
        "POST",
        f"/api/uploads?name={name}",
        data=text.encode(),
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 201, answer.text
    found: str = answer.json["id"]
    return found


def refused(web: Web, route: str, body: Any) -> Any:
    answer = web.request("POST", f"/api/evaluation/{route}", json=body)
    assert answer.status_code == 422, answer.text
    return answer.json


def test_models_that_can_be_tested(web: Web) -> None:
    models = web.get("/api/evaluation/models")["models"]
    assert [(one["reference"], one["kind"]) for one in models] == [
        ("toy", "base"),
        ("learned@step-00000010", "checkpoint"),
        (LAST, "checkpoint"),
    ]
    assert [one["last"] for one in models] == [False, False, True]
    assert sum(one["best"] for one in models) == 1
    assert {one["base"] for one in models} == {None, "toy"}
    assert all(one["error"] is None for one in models)


def test_an_evaluation_leaves_a_report_and_is_not_measured_twice(web: Web) -> None:
    name = upload(web, "notes.txt", "import os\nprint(os.sep)\n" * 20)
    body = {"models": ["toy", LAST], "corpora": [DOMAIN, GENERAL], "texts": [name]}
    report = report_of(web, web.post("/api/evaluation/evaluations", body, 202))
    base, trained = report["result"]["models"]
    assert set(base["corpora"]) == {DOMAIN, GENERAL, "notes.txt"}
    assert trained["corpora"][DOMAIN]["difference"]["value"] == pytest.approx(
        trained["corpora"][DOMAIN]["bits_per_byte"] - base["corpora"][DOMAIN]["bits_per_byte"]
    )
    changed = trained["corpora"][DOMAIN]["changed"]
    document = (changed["improved"] + changed["worsened"])[0]
    shown = web.get(f"/api/corpora/{DOMAIN}/documents/{document['document']}")
    assert shown["bytes"] == document["bytes"] and shown["side"] == "validation"
    measurements = web.studio.workspace.private / "measurements"
    before = sorted(measurements.iterdir())
    again = report_of(web, web.post("/api/evaluation/evaluations", body, 202))
    assert again["result"] == report["result"] and again["id"] != report["id"]
    assert sorted(measurements.iterdir()) == before


def test_what_cannot_be_evaluated(web: Web) -> None:
    assert refused(web, "evaluations", {"models": ["toy"]})["fields"]["corpora"]
    body = {"models": ["toy", "gone", "toy"], "corpora": [DOMAIN]}
    assert set(refused(web, "evaluations", body)["fields"]) == {"models.1", "models.2"}
    body = {"models": ["toy"], "corpora": ["gone"]}
    assert "no corpus 'gone'" in refused(web, "evaluations", body)["detail"]
    body = {"models": ["toy"], "corpora": [DOMAIN], "texts": ["unothing"]}
    assert web.request("POST", "/api/evaluation/evaluations", json=body).status_code == 404


def test_a_frontier_and_a_saved_point(web: Web) -> None:
    body = {"run": LAST, "shares": [0, 0.5, 1], "corpora": [DOMAIN, GENERAL]}
    result = report_of(web, web.post("/api/evaluation/merges", body, 202))["result"]
    assert [point["share"] for point in result["points"]] == [0, 0.5, 1]
    assert result["roles"] == {DOMAIN: "domain", GENERAL: "general"}
    body = {"run": LAST, "shares": [0.5], "save": "half"}
    saved = report_of(web, web.post("/api/evaluation/merges", body, 202))["result"]
    assert Path(saved["saved"]) == web.studio.workspace.base_model("half")
    assert "half" in [one["id"] for one in web.get("/api/models")["models"]]
    assert refused(web, "merges", body)["fields"]["save"]
    assert refused(web, "merges", {**body, "save": "../half"})["fields"]["save"]
    assert refused(web, "merges", {"run": LAST})["fields"]["corpora"]
    assert refused(web, "merges", {"run": "toy", "corpora": [DOMAIN]})["fields"]["run"]
    assert refused(web, "merges", {"run": LAST, "kind": "average", "corpora": [DOMAIN]})
    two = {"run": LAST, "shares": [0.1, 0.2], "save": "two"}
    assert "Only one merged model" in refused(web, "merges", two)["detail"]


def test_a_suite_from_its_making_to_its_end(web: Web) -> None:
    suite = {"prompts": ["import ", "def "], "sampling": {"max_tokens": 5}}
    made = web.request("PUT", "/api/evaluation/suites/basics", json=suite)
    assert made.status_code == 200 and made.json["sampling"]["max_tokens"] == 5
    assert [one["name"] for one in web.get("/api/evaluation/suites")["suites"]] == ["basics"]
    job = web.post("/api/evaluation/suites/basics/run", {"models": ["toy", LAST]}, 202)
    result = report_of(web, job)["result"]
    assert result["models"] == ["toy", LAST]
    assert [row["prompt"] for row in result["rows"]] == suite["prompts"]
    empty = web.request("PUT", "/api/evaluation/suites/basics", json={"prompts": ["a", ""]})
    assert empty.json["fields"] == {"prompts.1": ["Prompt 2 is empty."]}
    path = "/api/evaluation/suites/basics"
    assert web.request("DELETE", path).status_code == 422
    assert web.request("DELETE", path, json={"confirmed": True}).status_code == 200
    assert web.request("DELETE", path, json={"confirmed": True}).status_code == 404
    gone = web.request("POST", f"{path}/run", json={"models": ["toy"]})
    assert gone.status_code == 404


def test_a_damaged_suite_is_listed_with_its_problem(web: Web) -> None:
    folder = web.studio.workspace.root / "suites"
    folder.mkdir(exist_ok=True)
    (folder / "broken.json").write_text('{"prompts": []}')
    (one,) = web.get("/api/evaluation/suites")["suites"]
    assert one["name"] == "broken" and "prompts" in one["problem"]
    (folder / "broken.json").unlink()


def test_questions_are_answered(web: Web) -> None:
    line = {"context": "import ", "choices": ["os", "zq"], "answer": 0}
    name = upload(web, "quiz.jsonl", json.dumps(line) + "\n")
    job = web.post("/api/evaluation/questions", {"models": ["toy"], "upload": name}, 202)
    result = report_of(web, job)["result"]
    assert result["file"] == "quiz.jsonl"
    assert result["models"]["toy"]["multiple_choice"]["accuracy"] in (0.0, 1.0)


def test_a_wrong_file_of_questions_is_told_by_its_line(web: Web) -> None:
    name = upload(web, "wrong.jsonl", "{}\n")
    job = web.post("/api/evaluation/questions", {"models": ["toy"], "upload": name}, 202)
    ended = web.studio.jobs.wait(job["id"], PATIENCE)
    assert ended is not None and ended.state == "failed"
    assert "line 1" in " ".join([ended.error or "", *ended.problems])


def test_reports_are_listed_by_kind_and_deleted(web: Web) -> None:
    kept = Reports(web.studio.workspace).keep("harness", "A title", {}, {"a": 1})
    listed = web.get("/api/evaluation/reports", kind="harness")["reports"]
    assert [(one["id"], one["title"]) for one in listed] == [(kept["report"], "A title")]
    path = f"/api/evaluation/reports/{kept['report']}"
    assert web.request("DELETE", path).status_code == 422
    assert web.request("DELETE", path, json={"confirmed": True}).status_code == 200
    assert web.request("GET", path).status_code == 404
    assert web.request("DELETE", path, json={"confirmed": True}).status_code == 404
    assert web.request("GET", "/api/evaluation/reports?kind=other").status_code == 422


def test_held_out_documents(web: Web) -> None:
    page = web.get(f"/api/corpora/{DOMAIN}/documents", side="validation", limit=3)
    assert len(page["documents"]) == min(3, page["total"])
    for one in page["documents"]:
        whole = web.get(f"/api/corpora/{DOMAIN}/documents/{one['document']}")
        assert whole["text"].startswith(one["excerpt"]) and whole["label"] == one["label"]
        assert not whole["shortened"] and len(whole["text"].encode()) == one["bytes"]
    for wrong in ("999999999", "ff" * 16, "x", "-1"):
        path = f"/api/corpora/{DOMAIN}/documents/{wrong}"
        assert web.request("GET", path).status_code == 404
    assert web.request("GET", "/api/corpora/gone/documents").status_code == 404
