"""What all pages are told: runs that came or changed, the queue, jobs."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

from cptstudio.web.live.status_watch import StatusWatch
from cptstudio.workspace import Workspace
from tests.web.in_process import Web
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, train_row
from tests.web.server_process import RunningServer, running_server, wait_for

pytestmark = pytest.mark.slow


class Page:
    """A signed-in page that notes what it is told."""

    def __init__(self, server: RunningServer) -> None:
        self.server, self.cookie = server, server.sign_in()
        self.heard: list[tuple[str, Any]] = []
        self._lock = threading.Lock()
        self.client = socketio.Client(reconnection=False)
        for event in ("status", "runs", "job", "external"):
            self.client.on(event, self._note(event))
        self.client.connect(server.origin, headers=self.cookie.headers, transports=["websocket"])

    def _note(self, event: str) -> Any:
        return lambda data=None: self.heard.append((event, data))

    def wait_for(self, event: str, condition: Any) -> Any:
        def look() -> Any:
            return next(
                (data for name, data in self.heard if name == event and condition(data)), None
            )

        return wait_for(look, f"{event}")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with running_server(tmp_path) as server:
        made = Page(server)
        yield made
        made.client.disconnect()


def test_pages_hear_of_runs_that_come_change_and_go(page: Page) -> None:
    workspace = Workspace(page.server.workspace)
    status = page.wait_for("status", lambda data: True)
    assert status["active"] == []
    assert status["queue"] == {"paused": False, "problem": None, "waiting": []}
    append(make_run(workspace, "one"), train_row(1, 1))
    page.wait_for("runs", lambda data: data["changed"] == ["one"])
    page.heard.clear()
    answer = page.server.api(page.cookie, "PUT", "/api/runs/one/labels", {"tags": ["a"]})
    assert answer.status == 200
    page.wait_for("runs", lambda data: data["changed"] == ["one"])
    page.heard.clear()
    shutil.rmtree(workspace.run("one"))
    page.wait_for("runs", lambda data: data["changed"] == ["one"])


def test_nothing_is_told_while_nothing_happens(web: Web) -> None:
    make_run(web.studio.workspace, "one")
    watch = StatusWatch(web.studio)
    assert [event for event, _ in watch.look()] == ["status"]
    for _ in range(3):
        watch._next_look = 0.0
        watch._next_all = 0.0
        assert watch.look() == []
    make_run(web.studio.workspace, "two")
    watch._next_look = 0.0
    assert watch.look() == [("runs", {"changed": ["two"]})]


def test_a_page_that_slept_is_told_what_is_true_now(web: Web) -> None:
    """It connects by polling and then does not poll, which is how a page sleeps."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = web.request("GET", path)
    sid = json.loads(opened.text[1:])["sid"]
    path += f"&sid={sid}"
    answer = web.request("POST", path, data=b"40", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200, answer.text
    socket = web.socketio.server.eio.sockets[sid]
    (live,) = web.studio.news._subscribers
    wait_for(lambda: live._pages, "the page")
    for _ in range(500):
        web.studio.news.publish("job", {"id": "x"})
    assert socket.queue.qsize() < 50
    heard = ""

    def woken() -> bool:
        nonlocal heard
        heard += web.request("GET", path).text
        return '["runs",{"changed":[]}]' in heard and '["external",{}]' in heard

    wait_for(woken, "the state of things")
    assert heard.count('"job"') < 50
    assert '["status",{' in heard
    web.studio.news.close()
