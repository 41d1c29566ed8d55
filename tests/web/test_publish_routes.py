"""Publishing over HTTP: a preview, its digest confirmed, and then exactly that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cptstudio.workspace import Workspace
from tests.models.conftest import hub_server
from tests.models.fake_hub import FakeHub
from tests.publishing.conftest import workspace
from tests.web.in_process import Web, make_web

__all__ = ["hub_server", "workspace"]  # Fixtures, which pytest finds by their names here.

pytestmark = pytest.mark.slow

TOKEN = "hf_may_write"
CHOICES: dict[str, Any] = {
    "model": "full-completed@step-00000024",
    "repo_id": "ada/river-model",
    "data": "Texts of a river.",
}


@pytest.fixture
def studio(
    workspace: Workspace, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Web]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    web = make_web(workspace.root)
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


def test_nothing_leaves_before_the_preview_is_confirmed(studio: Web, hub_server: FakeHub) -> None:
    hub_server.users[TOKEN] = "ada"
    job = studio.post("/api/publish/preview", CHOICES, 202)
    assert (job["on"], job["about"]) == ("model", CHOICES["model"])
    shown = studio.studio.jobs.wait(job["id"], 120).result
    assert shown["private"] and shown["files"][0]["path"] == "README.md"
    assert "Texts of a river." in shown["card"]
    for confirmed in ({}, {"confirmed": ""}):
        refused = studio.request("POST", "/api/publish", json=CHOICES | confirmed)
        assert refused.status_code == 422 and "confirm it by its digest" in refused.text
    other = CHOICES | {"private": False, "confirmed": shown["digest"]}
    ended = studio.studio.jobs.wait(studio.post("/api/publish", other, 202)["id"], 120)
    assert ended.state == "failed" and "not what you confirmed" in ended.error
    assert not hub_server.requests
    confirmed = CHOICES | {"confirmed": shown["digest"]}
    ended = studio.studio.jobs.wait(studio.post("/api/publish", confirmed, 202)["id"], 120)
    assert ended.state == "done", ended.error
    repo = hub_server.repos["ada/river-model"]
    assert repo.is_private and repo.files["README.md"].decode() == shown["card"]
    assert TOKEN not in studio.request("GET", "/api/jobs").text


def test_what_cannot_be_published_is_refused_at_once(studio: Web, hub_server: FakeHub) -> None:
    for body, words in (
        (CHOICES | {"model": "../../etc"}, "no model"),
        (CHOICES | {"model": "tiny"}, "it is there already"),
        (CHOICES | {"repo_id": "http://127.0.0.1/x"}, "not a model ID"),
        (CHOICES | {"to": "x"}, "to"),
    ):
        refused = studio.request("POST", "/api/publish/preview", json=body)
        assert refused.status_code in (404, 422) and words in refused.text
    assert not hub_server.requests
