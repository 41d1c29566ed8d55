"""Deletions are undone: what is gone from every list comes back as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cptstudio.evaluation.reports import Reports
from cptstudio.runs import launching, records
from cptstudio.runs.launching import Beginning
from cptstudio.runs.records import Spec
from tests.toy_models import save_toy_tokenizer
from tests.web.in_process import Web
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, train_row

CONFIRMED = {"confirmed": True}


def delete(web: Web, path: str, **arguments: Any) -> str:
    """Delete something; returns what puts it back."""
    answer = web.request("DELETE", path, json=CONFIRMED, **arguments)
    assert answer.status_code == 200, answer.text
    assert answer.json["seconds"] == 60
    undo: str = answer.json["undo"]
    assert undo in [thing["id"] for thing in web.get("/api/trash")["things"]]
    return undo


def undo(web: Web, id: str) -> Any:
    return web.post(f"/api/trash/{id}/restore")


def test_a_run_comes_back_with_all_that_was_known_of_it(web: Web) -> None:
    workspace, queue = web.studio.workspace, web.studio.manager.queue
    for name in ("before", "run", "after"):
        append(make_run(workspace, name), train_row(1, 1, loss=2.5))
        queue.add(name, Beginning("step-00000010" if name == "run" else None), None)
    kept = workspace.make(launching.private_folder(workspace.private, "run"), 0o700)
    directory = str(workspace.run("run"))
    records.write(kept / records.SPEC, Spec("a1", "run", directory, 1.0, [], None, False, 1.0))
    web.request("PUT", "/api/runs/run/labels", json={"tags": ["x"], "note": "mine"})
    web.request("PUT", "/api/pinned", json={"run": "run"})
    before, waiting = web.get("/api/runs/run"), web.get("/api/status")["queue"]
    id = delete(web, "/api/runs/run")
    assert [run["id"] for run in web.get("/api/runs")["runs"]] == ["after", "before"]
    assert web.get("/api/runs")["pinned"] is None
    assert [one["run"] for one in web.get("/api/status")["queue"]["waiting"]] == ["before", "after"]
    assert web.get("/api/trash")["bytes"] > 0
    assert undo(web, id) == {"kind": "run", "name": "run"}
    # Its curves are read anew, which their generation tells.
    assert web.get("/api/runs/run") | {"generation": before["generation"]} == before
    assert web.get("/api/status")["queue"] == waiting
    assert (kept / records.SPEC).is_file()
    assert web.get("/api/trash") == {"things": [], "bytes": 0}
    assert web.request("POST", f"/api/trash/{id}/restore").status_code == 404


def test_a_run_whose_name_was_taken_again_is_not_put_over_it(web: Web) -> None:
    make_run(web.studio.workspace, "run")
    id = delete(web, "/api/runs/run")
    append(make_run(web.studio.workspace, "run"), train_row(1, 1, loss=7.0))
    answer = web.request("POST", f"/api/trash/{id}/restore")
    assert answer.status_code == 409 and "another run 'run'" in answer.json["detail"]
    assert web.get("/api/runs/run")["loss"] == 7.0


def test_all_else_that_is_deleted_comes_back(web: Web, tmp_path: Path) -> None:
    workspace = web.studio.workspace
    web.request("PUT", "/api/evaluation/suites/basics", json={"prompts": ["a"]})
    report = Reports(workspace).keep("harness", "A title", {}, {"a": 1})["report"]
    save_toy_tokenizer(workspace.make(workspace.base_model("model")))
    (workspace.make(workspace.corpus("corpus")) / "manifest.json").write_text("{}")
    (other := tmp_path / "other").mkdir()
    root = web.post("/api/roots", {"path": str(other), "confirmed": True}, 201)["id"]
    upload = web.request(
        "POST",
        "/api/uploads?name=a.txt",
        data=b"abc",
        headers={"Content-Type": "application/octet-stream"},
    ).json["id"]
    make_run(workspace, "waits")
    web.studio.manager.queue.add("waits", Beginning(), None)
    lists = ("evaluation/suites", "evaluation/reports", "models", "corpora", "uploads")

    def look() -> list[Any]:
        others = [web.get("/api/files")["roots"], web.get("/api/status")["queue"]]
        return [web.get(f"/api/{name}") for name in lists] + others

    before = look()
    places: list[tuple[str, dict[str, Any]]] = [
        ("/api/evaluation/suites/basics", {}),
        (f"/api/evaluation/reports/{report}", {}),
        ("/api/models", {"query_string": {"id": "model"}}),
        ("/api/corpora/corpus", {}),
        (f"/api/roots/{root}", {}),
        (f"/api/uploads/{upload}", {}),
        ("/api/queue/waits", {}),
    ]
    ids = [delete(web, place, **arguments) for place, arguments in places]
    assert all(now != then for now, then in zip(look(), before, strict=True)), look()
    for id in ids:
        undo(web, id)
    assert look() == before


@pytest.mark.parametrize("asked_since", [False, True])
def test_the_history_comes_back_in_its_order(web: Web, asked_since: bool) -> None:
    history = web.studio.playground_history
    text = {"label": "m", "seed": 0, "text": "t", "tokens": 1}
    for number in range(3):
        history.put_back(
            {
                "id": f"e{number}",
                "created": number,
                "prompts": [],
                "sampling": {},
                "seeds": [0],
                "texts": [text],
            }
        )
    path = "/api/playground/history"
    before = web.get(path)
    undo(web, delete(web, f"{path}/e1"))
    assert web.get(path) == before
    id = delete(web, path)
    assert web.get(path)["total"] == 0
    if asked_since:
        history.put_back(before["entries"][0] | {"id": "since", "created": 9.0})
    undo(web, id)
    ids = [entry["id"] for entry in web.get(path)["entries"]]
    assert ids == ["since"] * asked_since + ["e2", "e1", "e0"]


def test_the_queue_is_put_in_another_order(web: Web) -> None:
    for name in "abc":
        make_run(web.studio.workspace, name)
        web.studio.manager.queue.add(name, Beginning(), None)
    queue = web.post("/api/queue/c/move", {"place": 1})
    assert [one["run"] for one in queue["waiting"]] == ["c", "a", "b"]
    answer = web.request("POST", "/api/queue/c/move", json={"place": 4})
    assert answer.status_code == 422 and "Use 1 to 3" in answer.json["fields"]["place"][0]
    assert web.request("POST", "/api/queue/x/move", json={"place": 1}).status_code == 422
    assert web.request("POST", "/api/queue/c/move", json={"place": "soon"}).status_code == 422


def test_a_stop_that_fails_leaves_the_queue_as_it_was(web: Web) -> None:
    make_run(web.studio.workspace, "run")
    with web.studio.manager.serve("a test") as runner:
        web.studio.queue_runner = runner
        for verb in ("stop", "kill"):
            body = {"pause_queue": True} | (CONFIRMED if verb == "kill" else {})
            assert web.request("POST", f"/api/runs/run/{verb}", json=body).status_code == 422
            assert not runner.paused
        web.studio.queue_runner = None
