"""A disk without room or without inodes: every route and every start answers with a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cptstudio.web.api.openapi import described_routes
from cptstudio.workspace import Workspace
from tests.small_disk import fill, needs_mount, small_disk, take_all_files
from tests.web.in_process import Web, make_web
from tests.web.run_directories import make_run
from tests.web.server_process import PROGRAM, running_server
from tests.web.test_hostile_requests import filled

pytestmark = needs_mount

FULL: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "no-space": ("size=14m", fill, "The disk is full"),
    "no-inodes": ("size=14m,nr_inodes=120", take_all_files, "can't hold more files"),
}
BODIES: dict[str, dict[str, Any]] = {
    "/api/evaluation/suites/sample": {"prompts": ["Once"]},
    "/api/runs/done/labels": {"tags": ["a"], "note": "b"},
    "/api/pinned": {"run": "done"},
    "/api/corpora": {"name": "new", "sources": [{"root": "workspace", "path": ""}]},
    "/api/models/download": {"id": "owner/model"},
}


@pytest.fixture(params=FULL)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Web, str]]:
    """An application whose workspace is on a disk that became full after it was made."""
    options, take, sentence = FULL[request.param]
    with small_disk(tmp_path / "disk", options) as disk:
        root = disk / "workspace"
        root.mkdir()
        make_run(Workspace(root), "done")
        web = make_web(root)
        assert web.request("PUT", "/api/preferences", json={"detect": False}).status_code < 300
        (root / "allowed").mkdir()
        taken = take(disk)
        yield web, sentence
        shutil.rmtree(taken) if taken.is_dir() else taken.unlink()
        # With room again, all is as before.
        web.session = web.access.sessions.begin()
        assert web.request("PUT", "/api/preferences", json={"detect": True}).status_code < 300
        web.studio.news.close()
        web.studio.manager.close()


def test_every_route_answers_on_a_full_disk(full: tuple[Web, str]) -> None:
    web, sentence = full
    refused = {}
    # What deletes makes room, so it comes last.
    routes = sorted(described_routes(web.app), key=lambda route: route[1].method == "DELETE")
    for path, described in routes:
        if path.startswith(("/api/external", "/api/session/end")) or "hub" in path:
            continue
        if path.startswith("/api/inference/"):
            continue  # Models in memory; nothing of it is written.
        place = filled(path, "done" if path.startswith(("/api/runs", "/api/queue")) else "sample")
        body = {"confirmed": True} | BODIES.get(place, {})
        if place == "/api/roots":
            body["path"] = str(web.studio.workspace.root / "allowed")
        if described.body is None or "confirmed" not in described.body.model_fields:
            body.pop("confirmed")
        arguments: dict[str, Any] = {} if described.method == "GET" else {"json": body}
        if place == "/api/uploads" and described.method == "POST":
            arguments = {
                "query_string": {"name": "a.txt"},
                "data": b"x" * 100_000,
                "headers": {"Content-Type": "application/octet-stream"},
            }
        response = web.request(described.method, place, **arguments)
        assert response.status_code in (200, 201, 202, 204, 400, 404, 409, 422, 507), (
            described.method,
            place,
            response.text,
        )
        if response.status_code == 507:
            assert sentence in response.json["detail"], response.json
            refused[described.method, place] = response.json["detail"]
        if (described.method, place) == ("GET", "/api/runs"):
            assert [run["id"] for run in response.json["runs"]] == ["done"]
        if (described.method, place) == ("DELETE", "/api/runs/done"):
            assert response.status_code == 200  # Deleting is how one makes room.
            assert response.json["undo"] is None, "there was no room for a note"
            assert not [*web.studio.workspace.runs.iterdir()]
    for one in (
        *(("PUT", "/api/preferences"), ("PUT", "/api/runs/done/labels"), ("PUT", "/api/pinned")),
        *(("PUT", "/api/evaluation/suites/sample"), ("POST", "/api/roots")),
    ):
        assert one in refused, (one, refused)
    assert web.get("/api/status")["active"] == []


def test_signing_in_and_out_on_a_full_disk(full: tuple[Web, str]) -> None:
    web, sentence = full
    response = web.request("POST", "/api/session/end")
    assert response.status_code in (204, 507)
    if response.status_code == 507:
        assert sentence in response.json["detail"]
    assert web.request("GET", "/api/session").status_code == 401


@pytest.mark.slow
@pytest.mark.parametrize("kind", FULL)
def test_the_server_on_a_full_disk(kind: str, tmp_path: Path) -> None:
    options, take, sentence = FULL[kind]
    with small_disk(tmp_path / "disk", options) as disk:
        new, old = disk / "new", disk / "old"
        new.mkdir()
        old.mkdir()
        with running_server(old) as server:
            cookie = server.sign_in()
            taken = take(disk)
            # The entry file is good for one more time; after that there is none.
            assert server.sign_in()
            more = fill(disk / "old") if taken.is_file() else take_all_files(disk / "old")
            assert server.api(cookie, "PUT", "/api/preferences", {"detect": True}).status == 507
            assert server.api(cookie, "GET", "/api/runs").status == 200
            assert "Traceback" not in server.text
        with running_server(old) as server:
            assert "sign in with the token" in server.text and "Traceback" not in server.text
        for program in ([str(PROGRAM)], ["-m", "cptstudio.cli", "serve"]):
            command = [sys.executable, *program, "-w", str(new), "--no-browser"]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 1
            assert sentence in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
        for path in (taken, more):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with running_server(new) as server:
            assert server.sign_in()
