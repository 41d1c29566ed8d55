"""Models in memory over HTTP: loaded when asked, followed, cancelled, killed, making room."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio import child_limits
from cptstudio.evaluation.references import ModelReference
from cptstudio.run_files import RunConfig, read_config
from cptstudio.serving.endpoints import REASON
from cptstudio.web.work import free_memory as making_room
from tests.training.small_workspace import prepare
from tests.web.hostile_models import growing_tokenizer
from tests.web.in_process import Web, make_web
from tests.web.server_process import wait_for
from tests.web.toy_workspace import make_toy_workspace

pytestmark = pytest.mark.slow

PROMPT = {"text": "import "}
ENDLESS = {"max_tokens": 5_000, "temperature": 3.0, "context_length": 64}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inference")
    make_toy_workspace(root)
    return root


@pytest.fixture(scope="module")
def web(place: Path) -> Iterator[Web]:
    made = make_web(place)
    yield made
    made.studio.inference.end("The tests have ended.")
    made.studio.news.close()
    made.studio.manager.close()


def ended(web: Web, task: Any) -> Any:
    """The whole task at its end."""

    def over() -> Any:
        now = web.get(f"/api/inference/tasks/{task['id']}", after=0, wait=10)
        return now if now["state"] != "running" else None

    return wait_for(over, "the end of a task")


def done(web: Web, task: Any) -> Any:
    found = ended(web, task)
    assert found["state"] == "done", found
    return found


@pytest.fixture
def loaded(web: Web) -> Web:
    done(web, web.post("/api/inference/load", {"references": ["toy"]}, 202))
    return web


def complete(web: Web, **changes: Any) -> Any:
    body = {"labels": ["toy"], "prompts": [PROMPT], "remember": False, **changes}
    return web.post("/api/inference/complete", body, 202)


def test_nothing_runs_before_models_are_loaded(place: Path) -> None:
    web = make_web(place)
    try:
        before = web.get("/api/inference")
        assert (before["running"], before["models"], before["tasks"]) == (False, [], [])
        body = {"labels": ["toy"], "prompts": [PROMPT]}
        refused = web.request("POST", "/api/inference/complete", json=body)
        assert refused.status_code == 409
        assert "Load some first" in refused.json["detail"]
        assert not web.get("/api/inference")["running"]
    finally:
        web.studio.news.close()


def test_only_models_of_the_studio_are_loaded(web: Web, place: Path, tmp_path: Path) -> None:
    outside = place / "models" / "base" / "toy"
    for reference in ("nothing", str(outside), "../toy", "nothing@last", str(tmp_path)):
        answer = web.request("POST", "/api/inference/load", json={"references": [reference]})
        assert answer.status_code == 422, reference
        assert answer.json["fields"]["references.0"]
    twice = web.request("POST", "/api/inference/load", json={"references": ["toy", "toy"]})
    assert "twice" in twice.json["fields"]["references.1"][0]


def test_a_completion_is_followed_to_its_end(loaded: Web) -> None:
    facts = loaded.get("/api/inference")
    assert [model["label"] for model in facts["models"]] == ["toy"]
    assert facts["memory_process"] > facts["memory_active"] > 0
    task = complete(loaded, seeds=[1, 2], sampling={"max_tokens": 8, "temperature": 1.0})
    whole = done(loaded, task)
    assert [text["seed"] for text in whole["texts"]] == [1, 2]
    assert whole["texts"][0]["shown"][0] == "<|begin_of_text|>"
    assert len(whole["pieces"]) == whole["next"]
    assert {piece["text_number"] for piece in whole["pieces"]} == {0, 1}
    assert all(len(piece["alternatives"]) == 10 for piece in whole["pieces"])
    rest = loaded.get(f"/api/inference/tasks/{task['id']}", after=3)
    assert rest["pieces"] == whole["pieces"][3:]
    again = done(
        loaded, complete(loaded, seeds=[1, 2], sampling={"max_tokens": 8, "temperature": 1.0})
    )
    assert again["pieces"] == whole["pieces"]


def test_stopping_keeps_what_was_made(loaded: Web) -> None:
    task = complete(loaded, sampling=ENDLESS, alternatives=0, remember=True)
    wait_for(lambda: loaded.get(f"/api/inference/tasks/{task['id']}")["next"] >= 3, "some tokens")
    assert [one["id"] for one in loaded.get("/api/inference")["tasks"]] == [task["id"]]
    loaded.post(f"/api/inference/tasks/{task['id']}/cancel")
    stopped = ended(loaded, task)
    assert stopped["state"] == "cancelled" and stopped["next"] >= 3
    entry = loaded.get("/api/playground/history")["entries"][0]
    assert entry["id"] == task["id"] and entry["texts"][0]["tokens"] == stopped["next"]
    assert entry["texts"][0]["finish"] is None
    assert entry["sampling"]["temperature"] == 3.0 and entry["prompts"] == [PROMPT]


def test_the_history_outlives_the_server_and_is_deleted_on_request(
    loaded: Web, place: Path
) -> None:
    for text in ("one", "two"):
        done(loaded, complete(loaded, prompts=[{"text": text}], remember=True))
    other = make_web(place)
    try:
        page = other.get("/api/playground/history", limit=1)
        assert page["total"] >= 2 and page["entries"][0]["prompts"] == [{"text": "two"}]
        exported = other.request("GET", "/api/playground/history/export")
        assert "attachment" in exported.headers["Content-Disposition"]
        assert len(exported.json) == page["total"]
        path = f"/api/playground/history/{page['entries'][0]['id']}"
        assert other.request("DELETE", path).status_code == 422
        assert other.request("DELETE", path, json={"confirmed": True}).status_code == 200
        assert other.request("DELETE", path, json={"confirmed": True}).status_code == 404
        left = other.get("/api/playground/history")["entries"]
        assert left[0]["prompts"] == [{"text": "one"}]
        everything = "/api/playground/history"
        assert other.request("DELETE", everything).status_code == 422
        assert other.request("DELETE", everything, json={"confirmed": True}).status_code == 200
        assert other.get(everything) == {"entries": [], "total": 0}
        assert other.request("GET", "/api/playground/history/export").json == []
    finally:
        other.studio.news.close()


def test_texts_and_documents_are_scored(loaded: Web) -> None:
    documents = loaded.get("/api/corpora/domain/documents", limit=1)
    first = documents["documents"][0]
    text = "import os\n# größer 💥\n"
    task = loaded.post(
        "/api/inference/score",
        {
            "labels": ["toy"],
            "texts": [{"text": text}, {"corpus": "domain", "document": first["document"]}],
        },
        202,
    )
    result = done(loaded, task)["result"]
    assert result["texts"][0] == {"text": text, "label": None}
    assert result["texts"][1]["label"] == first["label"]
    (model,) = result["models"]
    mine = model["texts"][0]
    assert mine["bytes"] == len(text.encode()) and mine["places"][-1][1] == len(text)
    assert sum(mine["nats"]) == pytest.approx(mine["total_nats"])
    assert model["texts"][1]["bytes"] == first["bytes"]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("complete", {"labels": ["toy"], "prompts": []}),
        ("complete", {"labels": ["toy"], "prompts": [PROMPT], "sampling": {"max_tokens": 50_001}}),
        ("complete", {"labels": ["toy"], "prompts": [PROMPT], "sampling": {"heat": 1}}),
        ("score", {"labels": ["toy"], "texts": [{}]}),
        ("score", {"labels": ["toy"], "texts": [{"text": "a", "corpus": "b", "document": 1}]}),
        ("score", {"labels": ["toy"], "texts": [{"corpus": "nothing", "document": 1}]}),
        ("score", {"labels": ["toy"], "texts": [{"corpus": "domain", "document": 10**9}]}),
        ("score", {"labels": ["toy"], "texts": [{"text": "a" * 300_000}] * 2}),
    ],
)
def test_what_cannot_be_asked(loaded: Web, route: str, body: Any) -> None:
    assert loaded.request("POST", f"/api/inference/{route}", json=body).status_code == 422


def test_a_model_that_is_not_loaded_fails_the_task(loaded: Web) -> None:
    failed = ended(loaded, complete(loaded, labels=["other"]))
    assert failed["state"] == "failed" and "'other' is not loaded" in failed["error"]


def test_a_model_that_hangs_is_refused_and_the_loaded_one_stays(
    loaded: Web, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing_tokenizer(place / "models" / "base" / "hanging", 27)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    # The libraries alone take longer to load.
    monkeypatch.setattr(child_limits, "QUICK_SECONDS", 0.2)
    body = {"references": ["hanging"], "keep": True}
    failed = ended(loaded, loaded.post("/api/inference/load", body, 202))
    assert failed["state"] == "failed" and "did not answer within < 1 s" in failed["error"]
    assert [one["label"] for one in loaded.get("/api/inference")["models"]] == ["toy"]
    assert done(loaded, complete(loaded))["result"]["texts"]


def test_a_killed_worker_fails_what_runs_and_loading_starts_another(loaded: Web) -> None:
    pid = loaded.get("/api/inference")["pid"]
    running = complete(loaded, sampling=ENDLESS, alternatives=0)
    behind = complete(loaded, sampling=ENDLESS, alternatives=0)
    wait_for(lambda: loaded.get(f"/api/inference/tasks/{running['id']}")["next"] >= 1, "a token")
    os.kill(pid, signal.SIGKILL)
    for task in (running, behind):
        failed = ended(loaded, task)
        assert failed["state"] == "failed" and "ended from outside" in failed["error"]
    facts = loaded.get("/api/inference")
    assert not facts["running"] and "ended from outside" in facts["last_end"]
    refused = loaded.request(
        "POST", "/api/inference/complete", json={"labels": ["toy"], "prompts": [PROMPT]}
    )
    assert refused.status_code == 409 and "ended from outside" in refused.json["detail"]
    done(loaded, loaded.post("/api/inference/load", {"references": ["toy"]}, 202))
    assert loaded.get("/api/inference")["pid"] != pid


def test_ending_frees_the_process(loaded: Web) -> None:
    pid = loaded.get("/api/inference")["pid"]
    assert loaded.post("/api/inference/end")["running"] is False
    assert not psutil.pid_exists(pid)


def test_a_loaded_model_is_not_deleted_at_work_and_else_unloaded(loaded: Web, place: Path) -> None:
    shutil.copytree(place / "models/base/toy", place / "models/base/second")
    done(loaded, loaded.post("/api/inference/load", {"references": ["second"], "keep": True}, 202))
    task = complete(loaded, labels=["second"], sampling=ENDLESS)
    query = {"query_string": {"id": "second"}, "json": {"confirmed": True}}
    refused = loaded.request("DELETE", "/api/models", **query)
    assert refused.status_code == 409 and "which is at work" in refused.json["detail"]
    loaded.post(f"/api/inference/tasks/{task['id']}/cancel")
    ended(loaded, task)
    said = loaded.get("/api/models/one", id="second")["deletion"]["consequences"]
    assert said == ["second is loaded in the Playground, and will be unloaded."]
    assert loaded.request("DELETE", "/api/models", **query).status_code == 200
    assert [one["label"] for one in loaded.get("/api/inference")["models"]] == ["toy"]


def test_unknown_tasks(web: Web) -> None:
    assert web.request("GET", "/api/inference/tasks/nothing").status_code == 404
    assert web.request("POST", "/api/inference/tasks/nothing/cancel").status_code == 404


def run_that_needs(web: Web, name: str, context: int) -> RunConfig:
    directory = prepare(web.studio.workspace, name, model={"path": "toy"})
    config = read_config(directory)
    rows = config.settings.data.model_copy(update={"sequence_length": context})
    settings = config.settings.model_copy(update={"data": rows})
    return config.model_copy(update={"settings": settings})


def test_training_gets_the_memory_when_it_needs_it(loaded: Web) -> None:
    tree = {"model": {"path": "toy"}, "data": {"corpora": [{"name": "domain"}]}}
    tasks, endpoints = loaded.studio.inference, loaded.studio.endpoints
    assert making_room.warning(tasks, endpoints, 1_000_000) is None
    assert "unloaded" in (making_room.warning(tasks, endpoints, 10**15) or "")
    plan = loaded.post("/api/plan", {"settings": tree})
    assert not any("unloaded" in one["sentence"] for one in plan["warnings"])
    served = endpoints.start(ModelReference("toy", loaded.studio.workspace.base_model("toy")))
    try:
        said = making_room.warning(tasks, endpoints, 10**15) or ""
        assert "toy will be unloaded from its endpoint" in said
        making_room.make_room(tasks, endpoints, run_that_needs(loaded, "small", 64))
        assert loaded.get("/api/inference")["running"]
        assert endpoints.one(served.id).state != "unloaded"
        making_room.make_room(tasks, endpoints, run_that_needs(loaded, "vast", 2**40))
        facts = loaded.get("/api/inference")
        assert endpoints.one(served.id).state == "unloaded"
        assert endpoints.one(served.id).reason == REASON
    finally:
        endpoints.stop(served.id)
    assert not facts["running"] and facts["last_end"] == REASON
