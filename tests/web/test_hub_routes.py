"""The hub over HTTP: the account, cards, datasets; a token is told to nobody but the hub."""

from __future__ import annotations

import contextlib
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cptstudio.models import account
from tests.models.conftest import hub_server
from tests.models.fake_hub import FakeHub
from tests.web.in_process import Web, make_web

__all__ = ["hub_server"]  # A fixture, which pytest finds by its name here.

pytestmark = pytest.mark.slow

TOKEN = "hf_TheTokenThatNobodyMaySee"
ID = "some-org/texts"
HOSTILE = '---\nlicense: "<b>mit</b>"\n---\n<script>alert(1)</script> [x](javascript:alert(2))'


@pytest.fixture
def studio(tmp_path: Path, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    token = tmp_path / "home" / "token"
    monkeypatch.setenv("HF_TOKEN_PATH", str(token))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(token))
    web = make_web(tmp_path / "w")
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


def test_a_token_is_kept_for_its_owner_alone_and_never_told(
    studio: Web, hub_server: FakeHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    assert studio.get("/api/hub/account")["token"] is None
    assert not hub_server.requests
    for wrong in ("", "two words here", "x", "hf_" + "y" * 3000):
        refused = studio.request("POST", "/api/hub/account", json={"token": wrong})
        assert refused.status_code in (409, 422)
        assert "no access token" in refused.json["detail"]
        assert len(wrong) < 5 or wrong not in refused.text
    assert not hub_server.requests
    refused = studio.request("POST", "/api/hub/account", json={"token": TOKEN})
    assert refused.status_code == 422 and "does not know this token" in refused.json["detail"]
    seen.append(refused.text)
    file = Path(account.account().file)
    assert not file.exists()
    hub_server.users[TOKEN] = "ada"
    answer = studio.request("POST", "/api/hub/account", json={"token": f" {TOKEN}\n"})
    seen.append(answer.text)
    assert answer.json == {"name": "ada"}
    assert file.read_text() == TOKEN and stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = studio.request("GET", "/api/hub/account")
    seen.append(shown.text)
    assert (shown.json["token"], shown.json["file"]) == ("file", str(file))
    assert studio.post("/api/hub/account/name", {}) == {"name": "ada"}
    unconfirmed = studio.request("DELETE", "/api/hub/account", json={})
    assert unconfirmed.status_code == 422 and str(file) in unconfirmed.json["detail"]
    gone = studio.request("DELETE", "/api/hub/account", json={"confirmed": True})
    assert gone.status_code == 200 and not file.exists()
    commands = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # It has ended meanwhile.
            commands.append(" ".join(one.cmdline()))
    kept = [path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()]
    assert not any(TOKEN in text for text in (*seen, *commands, caplog.text))
    assert not any(TOKEN.encode() in data for data in kept)


def test_a_token_of_the_environment_comes_first_and_is_not_replaced(
    studio: Web, hub_server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert studio.get("/api/hub/account")["variable"] == "HF_TOKEN"
    refused = studio.request("POST", "/api/hub/account", json={"token": "hf_another_one"})
    assert refused.status_code == 409 and "HF_TOKEN is set" in refused.json["detail"]
    assert not hub_server.requests


def test_a_card_is_text_and_a_dataset_is_looked_into(studio: Web, hub_server: FakeHub) -> None:
    records = b"".join(json.dumps({"body": f"text {n}"}).encode() + b"\n" for n in range(40))
    repo = hub_server.add_dataset(ID, {"README.md": HOSTILE.encode(), "train.jsonl": records})
    card = studio.request("GET", "/api/hub/card", query_string={"id": ID, "kind": "dataset"})
    assert card.content_type == "application/json"
    assert card.json["text"].startswith("<script>") and card.json["license"] == "<b>mit</b>"
    [found] = studio.get("/api/hub/datasets", query="texts")["datasets"]
    assert found["id"] == ID
    told = studio.get("/api/hub/dataset", id=ID)
    assert told["commit"] == repo.commit
    assert told["configurations"][0]["splits"][0]["bytes"] == len(records)
    rows = studio.get("/api/hub/dataset/rows", id=ID, split="train")
    assert rows["fields"][0] == {
        "name": "body",
        "is_text": True,
        "examples": ["text 0", "text 1", "text 2"],
    }
    wanted = {"name": "web", "id": ID, "text_field": "body", "rows": 20, "near_dedup": False}
    job = studio.post("/api/hub/corpora", wanted, 202)
    assert studio.studio.jobs.wait(job["id"], 120).state == "done"
    shown = studio.get("/api/corpora/web")
    assert sum(shown["report"]["documents"].values()) == 20
    [hub] = shown["given"]["hub"]
    assert (hub["id"], hub["commit"], hub["license"]) == (ID, repo.commit, "<b>mit</b>")
    again = studio.request("POST", "/api/hub/corpora", json=wanted)
    assert again.status_code == 422 and "already" in again.text


@pytest.mark.parametrize("wrong", ["../../etc", "http://127.0.0.1/x", "a/b/c", "a b", "-x/y"])
def test_only_ids_are_asked_for(studio: Web, hub_server: FakeHub, wrong: str) -> None:
    for path in ("/api/hub/card", "/api/hub/dataset", "/api/hub/dataset/rows"):
        refused = studio.request("GET", path, query_string={"id": wrong})
        assert refused.status_code == 422 and " ID. Use an ID such as" in refused.text
    body = {"name": "x", "id": wrong}
    assert studio.request("POST", "/api/hub/corpora", json=body).status_code == 422
    assert not hub_server.requests
