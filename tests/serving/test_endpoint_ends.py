"""An endpoint outlives the studio and ends whole: no orphan, and nothing starts again by itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio.serving import records
from cptstudio.serving.endpoints import Endpoints
from cptstudio.serving.records import State
from cptstudio.workspace import Workspace
from tests.serving.conftest import loaded
from tests.toy_models import make_toy_model
from tests.web.server_process import PATIENCE, RunningServer, free_port, running_server, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    found = Workspace(tmp_path / "workspace")
    make_toy_model("llama", found.make(found.base_models) / "toy")
    return found


def worker_of(place: Workspace) -> psutil.Process:
    state = records.read(place.private / records.FOLDER / "toy" / records.STATE, State)
    assert state is not None
    assert state.worker is not None
    return psutil.Process(state.worker)


def ask(address: str, key: str) -> tuple[int, Any]:
    body = json.dumps({"model": "toy", "prompt": "x", "max_tokens": 2, "temperature": 0})
    request = urllib.request.Request(
        f"{address}/completions",
        body.encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_an_endpoint_outlives_the_studio_and_ends_whole(place: Workspace) -> None:
    first = RunningServer(place.root, free_port(), "--no-detect")
    here = Endpoints(place)
    try:
        first.wait_until_up()
        session = first.sign_in()
        # A port of its own: at the end nobody may answer there, not another test's endpoint either.
        asked = {"reference": "toy", "port": free_port()}
        assert first.api(session, "GET", "/api/endpoints/key").status == 404
        started = first.api(session, "POST", "/api/endpoints", asked)
        assert started.status == 201, started.body
        again = first.api(session, "POST", "/api/endpoints", {"reference": "toy"})
        assert again.status == 422 and "served already at http://127.0.0.1" in again.json["detail"]
        address = started.json["address"]
        key = first.api(session, "GET", "/api/endpoints/key").json["key"]
        assert loaded(here, "toy").state == "ready"
        status, made = ask(address, key)
        assert status == 200
        for process in [psutil.Process(first.process.pid), *first.workers()]:
            process.kill()
        first.process.wait(PATIENCE)

        # The studio is gone, and the endpoint answers.
        assert ask(address, key)[1]["choices"] == made["choices"]
        server = records.read(
            place.private / records.FOLDER / "toy" / records.SERVER, records.Server
        )
        assert server is not None
        endpoint, worker = psutil.Process(server.pid), worker_of(place)
        with running_server(place.root, "--no-detect") as second:
            session = second.sign_in()
            (found,) = second.api(session, "GET", "/api/endpoints").json["endpoints"]
            assert (found["state"], found["address"]) == ("ready", address)
            (shown,) = second.api(session, "GET", "/api/status").json["endpoints"]
            assert (shown["id"], shown["state"]) == ("toy", "ready")
            assert second.api(session, "DELETE", "/api/endpoints/one/toy", {}).status == 409

            # Training needs its memory: it refuses in words until somebody loads it again.
            assert [one.id for one in here.make_room(10**18, every=False)] == ["toy"]
            wait_for(lambda: not worker.is_running(), "the worker's end")
            status, said = ask(address, key)
            assert (status, said["error"]["code"]) == (503, "model_unloaded")
            assert "A training run needed its memory." in said["error"]["message"]
            assert second.api(session, "POST", "/api/endpoints/one/toy/load", {}).status == 200
            assert loaded(here, "toy").state == "ready"
            assert ask(address, key)[1]["choices"] == made["choices"]

            # kill -9 of what holds the model: the endpoint ends, and says why.
            worker = worker_of(place)
            worker.kill()
            psutil.wait_procs([endpoint, worker], timeout=PATIENCE)
            assert not endpoint.is_running()
            one = second.api(session, "GET", "/api/endpoints/one/toy").json
            assert one["endpoint"]["state"] == "failed"
            assert "The process that held the model has ended" in one["endpoint"]["reason"]
            assert one["endpoint"]["reason"] in one["log"]
            assert second.api(session, "GET", "/api/status").json["endpoints"] == []

            # kill -9 of the endpoint itself: what holds the model ends with it.
            started = second.api(session, "POST", "/api/endpoints", asked)
            assert started.status == 201, started.body
            assert loaded(here, "toy").state == "ready"
            server = records.read(
                place.private / records.FOLDER / "toy" / records.SERVER, records.Server
            )
            assert server is not None
            worker = worker_of(place)
            psutil.Process(server.pid).kill()
            wait_for(lambda: not here.one("toy").alive, "the lock to be free")
            psutil.wait_procs([worker], timeout=PATIENCE)
            assert not worker.is_running()
            (found,) = second.api(session, "GET", "/api/endpoints").json["endpoints"]
            assert found["state"] == "failed" and "killed" in found["reason"]
            assert second.api(session, "DELETE", "/api/endpoints/one/toy", {}).json == {
                "endpoints": []
            }
            with pytest.raises(OSError):
                ask(address, key)
    finally:
        first.process.kill()
        for one in here.all():
            here.stop(one.id)
