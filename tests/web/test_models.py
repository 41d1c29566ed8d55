"""Models, system and preferences over HTTP."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import cptstudio
from cptstudio.child_limits import CHECK_SECONDS, SILENT_SECONDS
from cptstudio.models.origin import ORIGIN
from cptstudio.training.machine import Machine
from tests.models.conftest import hub_server, model_files
from tests.models.fake_hub import FakeHub
from tests.web.corpus_sources import MODEL, install_demo_model
from tests.web.in_process import Web, make_web
from tests.web.server_process import wait_for

__all__ = ["hub_server", "model_files"]  # Fixtures, which pytest finds by their names here.

ID = "some-org/Small"
PATIENCE = 120.0


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """The application on a workspace with the demo's model, and an empty cache."""
    install_demo_model(tmp_path / "w")
    web = make_web(tmp_path / "w")
    web.studio.models.cache = tmp_path / "cache"
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


def test_recommended_models_are_told_without_asking_anybody(studio: Web, tmp_path: Path) -> None:
    told = studio.get("/api/models/recommended")
    assert told["room"] <= told["available"] and len(told["models"]) >= 10
    first = told["models"][0]
    assert first["there"] is None and set(first["fits"]) <= {"full", "lora", "qlora"}
    here = tmp_path / "w" / "models" / "base" / "mine"
    shutil.copytree(here.with_name(MODEL), here)
    origin = {"id": first["id"], "commit": "0" * 40, "revision": "main", "downloaded": 1.0}
    (here / ORIGIN).write_text(json.dumps(origin))
    assert studio.get("/api/models/recommended")["models"][0]["there"] == "mine"


def test_models_are_listed_with_what_decides_the_choice(studio: Web) -> None:
    [model] = studio.get("/api/models")["models"]
    assert (model["id"], model["place"], model["architecture"]) == (MODEL, "workspace", "qwen3")
    assert model["bytes"] > 1e6
    assert model["parameters"] > 1e6
    assert model["vocabulary_size"] == 4096
    assert model["full_training"] == {"possible": True, "reason": None}


def test_a_model_tells_which_ways_of_training_fit(
    studio: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = studio.get("/api/models/fits", id=MODEL)["fits"]
    assert list(fits) == ["full", "lora", "qlora"]
    assert {one["fit"] for one in fits.values()} == {"good"}
    assert fits["full"]["needed"] > fits["lora"]["needed"] > fits["qlora"]["needed"]
    assert all(one["checkpointing"] <= one["needed"] for one in fits.values())
    # On a machine between the two, what saves memory makes it fit.
    between = (fits["full"]["needed"] + fits["full"]["checkpointing"]) // 2
    monkeypatch.setattr(Machine, "room", property(lambda machine: between))
    fits = studio.get("/api/models/fits", id=MODEL)["fits"]
    assert (fits["full"]["fit"], fits["qlora"]["fit"]) == ("tight", "good")
    monkeypatch.setattr(Machine, "room", property(lambda machine: 1))
    fits = studio.get("/api/models/fits", id=MODEL)["fits"]
    assert {one["fit"] for one in fits.values()} == {"none"}


def test_a_folder_is_added_and_forgotten_but_never_deleted(studio: Web, tmp_path: Path) -> None:
    source = studio.studio.workspace.base_model(MODEL)
    elsewhere = tmp_path / "elsewhere"
    source.rename(elsewhere)
    body = {"path": str(elsewhere)}
    assert studio.request("POST", "/api/models/folders", json=body).status_code == 422
    model = studio.post("/api/models/folders", body | {"confirmed": True}, 201)
    assert (model["place"], model["id"]) == ("folder", str(elsewhere))
    assert [one["id"] for one in studio.get("/api/models")["models"]] == [str(elsewhere)]
    query = {"id": str(elsewhere)}
    deleted = studio.request("DELETE", "/api/models", query_string=query, json={"confirmed": True})
    assert deleted.status_code == 409 and "Remove the folder" in deleted.json["detail"]
    forgotten = studio.request(
        "DELETE", "/api/models/folders", query_string=query, json={"confirmed": True}
    )
    assert forgotten.status_code == 200
    assert studio.get("/api/models")["models"] == []
    assert (elsewhere / "config.json").exists()


def test_a_folder_without_a_model_is_not_added(studio: Web, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    answer = studio.request(
        "POST", "/api/models/folders", json={"path": str(tmp_path / "empty"), "confirmed": True}
    )
    assert answer.status_code == 422
    assert "no config.json" in answer.json["detail"]
    assert len(studio.get("/api/models")["models"]) == 1


def test_a_check_is_one_job_a_model_with_a_time_of_its_own(studio: Web) -> None:
    job = studio.post("/api/models/check", {"id": MODEL}, 202)
    assert (job["kind"], job["about"]) == ("check", MODEL) and MODEL in job["title"]
    assert studio.request("POST", "/api/models/check", json={"id": MODEL}).status_code == 409
    assert studio.studio.jobs._entries[job["id"]].limits.seconds == CHECK_SECONDS < SILENT_SECONDS
    assert studio.post(f"/api/jobs/{job['id']}/cancel")["cancelling"]
    unknown = studio.request("POST", "/api/models/check", json={"id": "none-such"})
    assert unknown.status_code == 422 and "none-such" in unknown.json["detail"]


def test_deleting_a_model_needs_a_confirmation(studio: Web) -> None:
    query = {"id": MODEL}
    refused = studio.request("DELETE", "/api/models", query_string=query)
    assert refused.status_code == 422
    done = studio.request("DELETE", "/api/models", query_string=query, json={"confirmed": True})
    assert done.status_code == 200
    assert studio.get("/api/models")["models"] == []
    for model_id in ("../corpora", "/etc", "", "x"):
        again = studio.request(
            "DELETE", "/api/models", query_string={"id": model_id}, json={"confirmed": True}
        )
        assert again.status_code in (404, 422)


@pytest.mark.slow
def test_a_model_is_searched_and_downloaded_with_progress(
    studio: Web, hub_server: FakeHub, model_files: dict[str, bytes]
) -> None:
    hub_server.add(ID, model_files)
    assert hub_server.requests == []
    [found] = studio.get("/api/models/hub", query="small")["models"]
    assert (found["id"], found["there"]) == (ID, False)
    hub_server.faults.hold = threading.Event()
    job = studio.post("/api/models/download", {"id": ID}, 202)
    assert (job["kind"], job["about"]) == ("download", ID)
    again = studio.request("POST", "/api/models/download", json={"id": ID})
    assert again.status_code == 409
    part = wait_for(
        lambda: (now := studio.get(f"/api/jobs/{job['id']}"))["done"] and now, "the first part"
    )
    assert (part["phase"], part["unit"]) == ("downloading", "bytes")
    assert 0 < part["done"] < part["total"]
    hub_server.faults.hold.set()
    studio.studio.jobs.wait(job["id"], PATIENCE)
    end = studio.get(f"/api/jobs/{job['id']}")
    assert end["state"] == "done", end
    assert end["result"]["id"] == "Small"
    models = {one["id"]: one for one in studio.get("/api/models")["models"]}
    assert models["Small"]["error"] is None
    assert models["Small"]["origin"]["id"] == ID
    [found] = studio.get("/api/models/hub", query="small")["models"]
    assert found["there"] is True


def test_a_gated_download_fails_in_words(
    studio: Web, hub_server: FakeHub, model_files: dict[str, bytes]
) -> None:
    hub_server.add(ID, model_files, gated=True)
    job = studio.post("/api/models/download", {"id": ID}, 202)
    studio.studio.jobs.wait(job["id"], PATIENCE)
    end = studio.get(f"/api/jobs/{job['id']}")
    assert (end["state"], end["result"]) == ("failed", None)
    assert "is gated" in end["error"]


@pytest.mark.parametrize(
    "model_id", ["http://169.254.169.254/x", "../../x", "a b", "x/y/z", "file:///etc/passwd"]
)
def test_no_address_from_a_request_is_fetched(
    studio: Web, hub_server: FakeHub, model_id: str
) -> None:
    answer = studio.request("POST", "/api/models/download", json={"id": model_id})
    assert answer.status_code == 422
    assert "id" in answer.json["fields"]
    assert hub_server.requests == []
    assert studio.get("/api/jobs")["jobs"] == []


def test_an_unreachable_hub_is_a_sentence(studio: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    answer = studio.request("GET", "/api/models/hub", query_string={"query": "x"})
    assert answer.status_code == 422
    assert "Can't reach" in answer.json["detail"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    answer = studio.request("POST", "/api/models/download", json={"id": ID})
    assert "HF_HUB_OFFLINE" in answer.json["detail"]
    assert studio.get("/api/models")["offline"] is True


def test_the_system_is_described(web: Web) -> None:
    system = web.get("/api/system")
    assert system["version"] == cptstudio.__version__
    assert system["boot_id"] == web.studio.boot_id
    assert system["workspace"] == str(web.studio.workspace.root)
    assert 0 < system["memory_available"] <= system["memory_total"]
    assert 0 < system["disk_free"] <= system["disk_total"]
    assert system["cpus"] >= 1
    assert system["mlx"] == system["versions"]["mlx"]
    assert system["device"]


def test_preferences_are_shown_checked_and_kept(web: Web) -> None:
    before = web.get("/api/preferences")
    schema = before.pop("schema")
    assert before == {
        "detect": True,
        "prevent_sleep": True,
        "keep_last": 2,
        "keep_every": 0,
        "unload_after_minutes": 10,
    }
    assert set(schema["properties"]) == set(before)
    assert all(one["title"] and one["description"] for one in schema["properties"].values())
    changed = before | {"detect": False, "keep_last": 5}
    answer = web.request("PUT", "/api/preferences", json=changed)
    assert answer.status_code == 200, answer.text
    after = make_web(web.studio.workspace.root).get("/api/preferences")
    assert {name: after[name] for name in before} == changed
    wrong = web.request("PUT", "/api/preferences", json=before | {"keep_last": 0, "other": 1})
    assert set(wrong.json["fields"]) == {"keep_last", "other"}
    private = web.studio.workspace.private / "settings.json"
    stored = json.loads(private.read_text())
    private.write_text(json.dumps(stored | {"later": 1}))
    web.request("PUT", "/api/preferences", json=before)
    assert json.loads(private.read_text())["later"] == 1
