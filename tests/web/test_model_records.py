"""All models over HTTP: the list, one of them, its texts, and deletions that say what depends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files
from cptstudio.run_files import Parent
from cptstudio.runs import locks
from cptstudio.runs.launching import Beginning
from cptstudio.serving import records
from cptstudio.training.run_lock import RunLock
from tests.models.model_workspace import make_models, write_run
from tests.web.in_process import Web, make_web

pytestmark = pytest.mark.slow


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Web]:
    make_models(tmp_path / "w")
    web = make_web(tmp_path / "w")
    web.studio.models.cache = tmp_path / "cache"
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


def delete(web: Web, reference: str, confirmed: bool = True) -> Any:
    return web.request(
        "DELETE", "/api/models", query_string={"id": reference}, json={"confirmed": confirmed}
    )


def test_all_models_are_listed_with_their_place_on_the_disk(studio: Web) -> None:
    told = studio.get("/api/models/all")
    assert [(use["kind"], use["count"]) for use in told["use"]] == [
        ("base", 0),
        ("downloaded", 1),
        ("merged", 1),
        ("exported", 1),
        ("checkpoint", 4),
    ]
    assert told["bytes"] == sum(model["bytes"] for model in told["models"]) and told["free"] > 0
    lora = next(one for one in told["models"] if one["reference"] == "lora@step-00000010")
    assert (lora["architecture"], lora["dtype"], lora["license"]) == ("qwen3", None, "apache-2.0")
    assert (lora["context_length"], lora["has_chat_template"]) == (512, False)
    out = next(one for one in told["models"] if one["kind"] == "exported")
    assert (out["format"], out["weights"], out["license_of"]) == ("gguf", "Q8_0", "base")


def test_what_can_be_tested_is_of_the_same_list(studio: Web) -> None:
    every = {one["reference"]: one for one in studio.get("/api/models/all")["models"]}
    told = {one["reference"]: one for one in studio.get("/api/evaluation/models")["models"]}
    assert told.keys() == every.keys() - {"exports/out"}  # A GGUF file, which MLX does not load.
    adapter = "lora@step-00000010"
    loaded = every[adapter]["bytes"] - every[adapter]["training_bytes"]
    assert (told[adapter]["bytes"], told[adapter]["base"]) == (loaded, "base")
    assert [told[name]["group"] for name in ("base", "half", adapter)] == [
        "Base models",
        "Merged models",
        "lora",
    ]


def test_one_model_tells_its_files_texts_and_lineage(studio: Web) -> None:
    told = studio.get("/api/models/one", id="base")
    assert [text["name"] for text in told["texts"]] == ["README.md", "LICENSE"]
    assert {"config.json", "model.safetensors"} < {file["name"] for file in told["files"]}
    assert [node["label"] for node in told["descendants"] if node["depth"] == 0] == [
        "half",
        "first",
        "lora",
    ]
    card = studio.get("/api/models/text", id="base", name="README.md")
    assert card["text"] == "# Small\n"
    for query in ({"id": "none", "name": "LICENSE"}, {"id": "base", "name": "config.json"}):
        answer = studio.request("GET", "/api/models/text", query_string=query)
        assert answer.status_code in (404, 422)
    assert studio.request("GET", "/api/models/one", query_string={"id": "x"}).status_code == 404


def test_a_deletion_says_what_depends_and_is_undone(studio: Web) -> None:
    said = studio.get("/api/models/one", id="base")["deletion"]
    assert said["refusal"] is None
    assert said["consequences"] == [
        "The adapters of fork and lora can't be loaded without it.",
        "first, fork and lora can't be resumed or forked without it.",
    ]
    waiting = write_run(
        studio.studio.workspace,
        "waiting",
        studio.studio.workspace.base_model("base"),
        parent=Parent(run="lora", path="x", checkpoint=str(checkpoint_of(studio, "lora", 10))),
    )
    assert waiting.is_dir()
    said = studio.get("/api/models/one", id="lora@step-00000010")["deletion"]
    assert said["consequences"] == [
        "It is the newest: a resume would continue from step 5.",
        "waiting can't start without it: no checkpoint was saved there yet.",
    ]
    [only] = studio.get("/api/models/one", id="first@step-00000010")["deletion"]["consequences"]
    assert only.startswith("It is the only checkpoint of first")
    before = studio.get("/api/models/all")["models"]
    undo = []
    for reference in ("base", "half", "exports/out", "lora@step-00000010"):
        assert delete(studio, reference, confirmed=False).status_code == 422
        answer = delete(studio, reference)
        assert answer.status_code == 200, answer.json
        undo.append(answer.json["undo"])
        assert delete(studio, reference).status_code == 404
    assert [one["kind"] for one in studio.get("/api/trash")["things"]] == [
        "checkpoint",
        "export",
        "model",
        "model",
    ]
    left = {one["reference"]: one["error"] for one in studio.get("/api/models/all")["models"]}
    assert "does not exist" in left["lora@step-00000005"] and left["first@step-00000010"] is None
    for id in undo:
        studio.post(f"/api/trash/{id}/restore")
    assert studio.get("/api/models/all")["models"] == before


def checkpoint_of(studio: Web, run: str, step: int) -> Path:
    directory = studio.studio.workspace.run(run)
    return directory / run_files.CHECKPOINTS / run_files.checkpoint_name(step)


def test_what_is_at_work_is_not_deleted(studio: Web, tmp_path: Path) -> None:
    studio.studio.manager.queue.add("fork", Beginning("step-00000005"), None)
    refused = delete(studio, "fork@step-00000005")
    assert refused.status_code == 409 and "queue" in refused.json["detail"]
    job = studio.post("/api/models/check", {"id": "half"}, 202)
    busy = delete(studio, "half")
    assert busy.status_code == 409 and "Checking half" in busy.json["detail"]
    studio.post(f"/api/jobs/{job['id']}/cancel")
    served = studio.studio.workspace.private / records.FOLDER / "mine"
    served.mkdir(parents=True)
    base, adapter = studio.studio.workspace.base_model("base"), checkpoint_of(studio, "fork", 5)
    spec = records.Spec(
        start="x", label="fork@5", name="mine", model=str(base), adapter=str(adapter), context=8,
        port=None, at_once=1, fast_blas=True, requested=1.0,
    )  # fmt: skip
    records.write(served / records.SPEC, spec)
    studio.studio.manager.queue.remove("fork")
    lock = locks.take(served / records.LOCK)
    assert lock is not None
    with lock:
        for reference in ("fork@step-00000005", "base"):
            refusal = delete(studio, reference)
            assert refusal.status_code == 409 and "Stop the endpoint" in refusal.json["detail"]
        whole = studio.request("DELETE", "/api/runs/fork", json={"confirmed": True})
        assert whole.status_code == 409 and "Stop the endpoint first" in whole.json["detail"]
    assert studio.get("/api/models/one", id="base")["deletion"]["refusal"] is None
    with closing(RunLock(studio.studio.workspace.run("lora"))):
        for reference in ("lora@step-00000005", "base"):
            trained = delete(studio, reference)
            assert trained.status_code == 409 and "lora" in trained.json["detail"]
    assert delete(studio, "lora@step-00000005").status_code == 200
