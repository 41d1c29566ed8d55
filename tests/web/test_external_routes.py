"""Training of other programs over HTTP: shown with its evidence, touched only when confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs.external import TRAIN, make_package, running, tree_hash
from tests.web.in_process import Web, make_web
from tests.web.server_process import wait_for


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    """A stand-in for mlx_lm that logs into a file and waits."""
    packages = make_package(tmp_path / "packages")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with (
        (folder / "train.log").open("wb") as log,
        running(TRAIN, folder, packages, output=log) as started,
    ):
        yield started


def the_process(web: Web, pid: int) -> dict[str, Any]:
    found = web.get("/api/external")["processes"]
    return next(one for one in found if one["pid"] == pid)


def test_it_is_shown_watched_and_stopped_only_as_confirmed(
    web: Web, process: Any, tmp_path: Path
) -> None:
    before = tree_hash(tmp_path / "elsewhere")
    found = the_process(web, process.pid)
    assert found["command"][1:] == TRAIN[1:]
    assert found["log"] == str(tmp_path / "elsewhere" / "train.log")
    assert found["adapter_path"] == str(tmp_path / "elsewhere" / "out")
    assert not found["watched"]
    place = f"/api/external/{found['id']}"
    assert web.request("GET", f"{place}/rows").status_code == 404
    refused = web.request("POST", f"{place}/watch")
    assert refused.status_code == 422
    assert "Confirm" in refused.json["detail"]
    web.post(f"{place}/watch", {"confirmed": True})
    rows = wait_for(lambda: web.get(f"{place}/rows")["rows"], "a row")
    assert rows[0]["kind"] == "evaluation"
    assert the_process(web, process.pid)["watched"]
    for body in ({}, {"confirmed": True}, {"confirmed_again": True}):
        refused = web.request("POST", f"{place}/stop", json=body)
        assert refused.status_code == 422
        assert str(process.pid) in refused.json["detail"]
    assert process.poll() is None
    web.post(f"{place}/stop", {"confirmed": True, "confirmed_again": True})
    assert process.wait(60) == -15
    wait_for(lambda: web.get(f"{place}/rows")["ended"], "the end of watching")
    assert web.request("POST", f"{place}/stop").status_code == 404
    assert tree_hash(tmp_path / "elsewhere") == before


def test_another_id_of_the_same_pid_is_another_process(web: Web, process: Any) -> None:
    found = the_process(web, process.pid)
    place = f"/api/external/{process.pid}-{int(found['started'] * 1000) - 5000}"
    body = {"confirmed": True, "confirmed_again": True}
    assert web.request("POST", f"{place}/stop", json=body).status_code == 404
    assert process.poll() is None


def test_detection_that_is_off_looks_at_nothing(tmp_path: Path, process: Any) -> None:
    web = make_web(tmp_path / "workspace", detect=False)
    found = web.get("/api/external")
    assert found == {"enabled": False, "decisions": [], "processes": []}
    web.studio.news.close()
