"""A workspace that is moved, deleted or replaced while it is served: told, and never made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cptstudio.web.api.openapi import described_routes
from cptstudio.workspace import Workspace
from tests.web.in_process import Web, make_web
from tests.web.run_directories import make_run
from tests.web.server_process import running_server, wait_for
from tests.web.test_connections import Page
from tests.web.test_hostile_requests import filled


def _renamed(root: Path, aside: Path) -> None:
    root.rename(aside)


def _replaced(root: Path, aside: Path) -> None:
    root.rename(aside)
    root.mkdir()


@pytest.mark.parametrize("take_away", [_renamed, _replaced])
def test_every_route_says_that_the_workspace_is_away(
    tmp_path: Path, take_away: Callable[[Path, Path], None]
) -> None:
    root, aside = tmp_path / "workspace", tmp_path / "aside"
    root.mkdir()
    make_run(Workspace(root), "done")
    web: Web = make_web(root)
    assert [run["id"] for run in web.get("/api/runs")["runs"]] == ["done"]
    take_away(root, aside)
    before = sorted(aside.rglob("*"))
    for path, described in described_routes(web.app):
        if path == "/api/session/end":
            continue
        response = web.request(described.method, filled(path, "sample"), json={"confirmed": True})
        assert response.status_code == 503, (described.method, path, response.text)
        assert f"The workspace {root} no longer exists" in response.json["detail"]
    for name in ("runs", "base_models", "corpora", "private"):
        workspace = web.studio.workspace
        with pytest.raises(Exception, match="no longer exists"):
            workspace.make(getattr(workspace, name))
    assert not root.exists() or list(root.iterdir()) == []
    assert sorted(aside.rglob("*")) == before
    if root.exists():
        root.rmdir()
    aside.rename(root)
    assert [run["id"] for run in web.get("/api/runs")["runs"]] == ["done"]
    web.studio.news.close()
    web.studio.manager.close()


@pytest.mark.slow
def test_a_served_workspace_may_go_and_come_back(tmp_path: Path) -> None:
    root, aside = tmp_path / "workspace", tmp_path / "aside"
    root.mkdir()
    make_run(Workspace(root), "done")
    with running_server(root) as server:
        cookie = server.sign_in()
        page = Page(server, cookie)
        assert page.connected()
        root.rename(aside)
        assert server.api(cookie, "GET", "/api/runs").status == 503
        upload = server.request(
            "POST",
            "/api/uploads?name=a.txt",
            b"x" * 2_000_000,
            {
                **cookie.headers,
                "Origin": server.origin,
                "Content-Type": "application/octet-stream",
            },
        )
        assert upload.status == 503 and "no longer exists" in upload.json["detail"]
        assert server.request("GET", "/").status == 200
        assert not root.exists()
        aside.rename(root)
        answer = server.api(cookie, "GET", "/api/runs")
        assert [run["id"] for run in answer.json["runs"]] == ["done"]
        wait_for(lambda: page.until('42["runs",'), "the pages to be told")
        page.close()
        root.rename(aside)
        server.stop()
        assert not root.exists() and "Traceback" not in server.text
