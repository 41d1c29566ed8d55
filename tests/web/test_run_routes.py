"""Runs over HTTP: a real training from its start to its deletion."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cptstudio import run_files, run_rows
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.runs.preferences import Preferences, write_preferences
from cptstudio.settings import parse_settings
from cptstudio.training.prepare import prepare_run
from cptstudio.web.runs import logs
from tests.training.small_workspace import small_settings
from tests.web.in_process import Web, make_web
from tests.web.run_directories import make_run
from tests.web.series.metrics_files import append, evaluation_row, resume_row, train_row
from tests.web.server_process import wait_for
from tests.web.toy_workspace import make_toy_workspace

pytestmark = pytest.mark.slow

SETTINGS = small_settings(evaluation={"every": "4 steps", "max_tokens": 500, "prompts": ["def "]})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A workspace in which the run "first" was started over HTTP and has ended."""
    root = tmp_path_factory.mktemp("web")
    make_toy_workspace(root)
    made = make_web(root)
    write_preferences(made.studio.workspace.private, Preferences(prevent_sleep=False))
    body = {"name": "first", "settings": SETTINGS}
    started = made.post("/api/runs", body, 201)
    assert started["state"]["alive"]
    wait_until_ended(made, "first")
    yield made
    made.studio.news.close()
    made.studio.manager.close()


def wait_until_ended(web: Web, run: str) -> dict[str, Any]:
    def ended() -> Any:
        found = web.get(f"/api/runs/{run}")
        return found if not found["state"]["alive"] else None

    return wait_for(ended, f"the end of {run}")  # type: ignore[no-any-return]


def metrics(web: Web, run: str) -> list[dict[str, Any]]:
    directory = web.studio.workspace.run(run)
    return run_rows.current_rows(read_json_lines(directory / run_files.METRICS).records)


def test_what_cannot_fit_is_asked_about_with_the_numbers(trained: Web) -> None:
    large = small_settings(
        batch={"size": 65_536}, data=SETTINGS["data"] | {"sequence_length": 1_048_576}
    )
    endless = {"length": "1000000000 steps", "checkpoints.keep_last": 10**9}
    prepare_run(trained.studio.workspace, "prepared-large", parse_settings(large))
    for path, body, short in (
        ("/api/runs", {"name": "large", "settings": large}, "memory"),
        ("/api/runs", {"name": "large", "settings": large, "queue": True}, "memory"),
        ("/api/runs/prepared-large/start", {}, "memory"),
        ("/api/runs/first/fork", {"name": "large", "changes": endless}, "disk"),
    ):
        refused = trained.request("POST", path, json=body)
        assert refused.status_code == 409, refused.json
        needs = refused.json["needs"]
        assert (needs["memory_bytes"] > needs["memory_available_bytes"]) == (short == "memory")
        assert (needs["disk_needed_bytes"] > needs["disk_free_bytes"]) == (short == "disk")
        assert "GB" in refused.json["detail"] and short in refused.json["detail"]
    names = trained.studio.workspace.run_names()
    assert "large" not in names
    body = {"name": "large", "changes": endless, "anyway": True}
    trained.post("/api/runs/first/fork", body, 201)
    trained.post("/api/runs/large/kill", {"confirmed": True})
    wait_until_ended(trained, "large")
    for name in ("large", "prepared-large"):
        trained.request("DELETE", f"/api/runs/{name}", json={"confirmed": True})


def test_the_line_of_a_run_is_what_its_files_say(trained: Web) -> None:
    (line,) = [run for run in trained.get("/api/runs")["runs"] if run["id"] == "first"]
    rows = metrics(trained, "first")
    train = [row for row in rows if row["kind"] == "train"]
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    domain = [row["domain_bits_per_byte"] for row in evaluations]
    general = [row["general_bits_per_byte"] for row in evaluations]
    assert line["state"]["text"] == "ended (completed)"
    assert (line["step"], line["planned_steps"]) == (12, 12)
    assert line["loss"] == train[-1]["loss"]
    assert line["tokens_seen"] == train[-1]["tokens_seen"]
    assert line["domain"]["first"] == domain[0]
    assert line["domain"]["last"] == domain[-1]
    assert line["domain"]["best"] == min(domain)
    assert line["domain"]["best_step"] == evaluations[domain.index(min(domain))]["step"]
    assert (line["general"]["first"], line["general"]["last"]) == (general[0], general[-1])
    assert line["sparkline"][0] == train[0]["loss"]
    assert [use["role"] for use in line["corpora"]] == ["domain", "replay"]
    assert line["model"]["name"] == "toy"
    assert line["remaining_seconds"] is None
    assert line["memory_limit"] > 1e8
    assert line["created"] <= line["started"] <= line["ended"]


def test_all_of_a_run(trained: Web) -> None:
    found = trained.get("/api/runs/first")
    directory = trained.studio.workspace.run("first")
    assert found["config"] == json.loads((directory / "config.json").read_text())
    assert found["result"]["outcome"] == "completed"
    assert found["exit"]["code"] == 0
    assert found["last_seq"] == metrics(trained, "first")[-1]["seq"]
    names = [checkpoint["name"] for checkpoint in found["checkpoints"]]
    assert names == [path.name for path in run_files.checkpoints_of(directory)]
    sizes = [checkpoint["bytes"] for checkpoint in found["checkpoints"]]
    assert all(size > 100_000 for size in sizes)
    assert sum(checkpoint["best"] for checkpoint in found["checkpoints"]) == 1
    assert found["command"].startswith("cpt-studio train --name first --model toy")


def test_rows_come_by_pages(trained: Web) -> None:
    expected = metrics(trained, "first")
    got: list[dict[str, Any]] = []
    while True:
        page = trained.get("/api/runs/first/rows", after=got[-1]["seq"] if got else 0, limit=5)
        got += page["rows"]
        assert page["last_seq"] == expected[-1]["seq"]
        assert page["boot_id"] == trained.studio.boot_id
        if not page["more"]:
            break
    assert got == expected


def test_the_series_is_the_rows(trained: Web) -> None:
    train = [row for row in metrics(trained, "first") if row["kind"] == "train"]
    for x, field in (("step", "step"), ("tokens", "tokens_seen"), ("time", "elapsed")):
        found = trained.get("/api/runs/first/series", x=x, keys="loss,learning_rate")
        for key in ("loss", "learning_rate"):
            assert found["keys"][key]["x"] == [row[field] for row in train]
            assert found["keys"][key]["last"] == [row[key] for row in train]
        assert found["complete"] is True
        assert [one["best"] for one in found["evaluations"]].count(True) >= 1
    zoomed = trained.get("/api/runs/first/series", **{"from": 3, "to": 7})
    assert zoomed["keys"]["loss"]["x"] == [3, 4, 5, 6, 7]
    refused = trained.request("GET", "/api/runs/first/series", query_string={"keys": "loss,nix"})
    assert refused.status_code == 422
    assert "nix" in refused.json["detail"]


def test_story_log_samples_and_settings(trained: Web) -> None:
    directory = trained.studio.workspace.run("first")
    events = trained.get("/api/runs/first/events")["events"]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "ended"
    samples = trained.get("/api/runs/first/samples")["samples"]
    assert [sample["step"] for sample in samples] == [0, 4, 8, 12]
    whole = (directory / "train.log").read_text()
    log = trained.get("/api/runs/first/log")
    assert (log["text"], log["start"], log["end"]) == (whole, 0, len(whole.encode()))
    part = trained.get("/api/runs/first/log", bytes=60)
    assert whole.endswith(part["text"])
    assert part["end"] == log["size"]
    before = trained.get("/api/runs/first/log", before=part["start"])
    assert before["text"] + part["text"] == whole
    after = trained.get("/api/runs/first/log", after=part["start"])
    assert (after["text"], after["end"]) == (part["text"], log["size"])
    assert trained.request("GET", "/api/runs/first/log/file").text == whole
    saved = [line for line in whole.splitlines() if line.startswith("Saved")]
    found = trained.get("/api/runs/first/log/search", words="SAVED STEP", limit=2)
    assert [line["text"] for line in found["lines"]] == saved[:2] and found["more"]
    assert (found["total"], found["capped"]) == (len(saved), False)
    place = found["lines"][1]["offset"]
    assert whole.encode()[place:].startswith(saved[1].encode())
    rest = trained.get("/api/runs/first/log/search", words="saved step", after=place + 1)
    assert [line["text"] for line in rest["lines"]] == saved[2:] and not rest["more"]
    system = trained.get("/api/runs/first/system")
    lengths = {len(values) for values in system["numbers"].values()}
    assert lengths in ({len(system["run_seconds"])}, set())
    assert system["memory"] > 0 and "computes on the CPU" in system["missing"]["gpu"]
    (directory / "system.jsonl").rename(directory / "aside")
    reason = trained.get("/api/runs/first/system")["reason"]
    assert reason == "This run was trained by an earlier version, which didn't record it."
    (directory / "aside").rename(directory / "system.jsonl")
    detail = trained.get("/api/runs/first")
    changed = {one["setting"]: one["value"] for one in detail["changed_settings"]}
    assert changed["length"] == "12 steps" and "compute.dtype" not in changed
    assert "compute.dtype" in detail["config"]["chosen"]
    assert detail["phases"][-1]["name"] == "ending" and detail["phase"] is None
    text = trained.request("GET", "/api/runs/first/settings.yaml").text
    parsed = trained.post("/api/plan/parse", {"yaml": text})["settings"]
    assert parsed == trained.get("/api/runs/first")["config"]["settings"]


def test_a_long_log_is_searched_in_pieces(trained: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    path = trained.studio.workspace.run("first") / "train.log"
    former = path.read_bytes()
    lines = [f"step {n} größer\n" if n % 3 else f"STEP {n} GRÖẞER, Größer\n" for n in range(999)]
    path.write_bytes("".join(lines).encode() + b"a torn \xff line of the end, step")
    monkeypatch.setattr(logs, "_PIECE", 1000)
    try:
        found = trained.get("/api/runs/first/log/search", words="step", limit=2000)
        assert found["total"] == len(found["lines"]) == 1000
        assert [line["text"] + "\n" for line in found["lines"]][:-1] == lines
        other = trained.get("/api/runs/first/log/search", words="gRÖ", limit=2000)
        assert other["total"] == 999 and other["lines"] == found["lines"][:-1]
        monkeypatch.setattr(logs, "MOST_COUNTED", 10)
        assert trained.get("/api/runs/first/log/search", words="step")["capped"]
        assert trained.get("/api/runs/first/log/search", words="nowhere")["total"] == 0
    finally:
        path.write_bytes(former)


def test_the_export_holds_every_row(trained: Web) -> None:
    expected = metrics(trained, "first")
    answer = trained.request("GET", "/api/runs/first/export?format=json")
    assert answer.json == expected
    assert "attachment" in answer.headers["Content-Disposition"]
    answer = trained.request("GET", "/api/runs/first/export?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["seq"]) for row in rows] == [row["seq"] for row in expected]
    assert [row["loss"] for row in rows] == [
        repr(row["loss"]) if "loss" in row else "" for row in expected
    ]
    evaluated = [row for row in rows if row["kind"] == "evaluation"]
    assert all(float(row["domain.bits_per_byte"]) > 0 for row in evaluated)


def test_labels_and_pin(trained: Web) -> None:
    body = {"tags": ["good", " good ", "", "late"], "note": "<b>look</b>"}
    answer = trained.request("PUT", "/api/runs/first/labels", json=body)
    assert answer.json["tags"] == ["good", "late"]
    assert trained.get("/api/runs/first")["note"] == "<b>look</b>"
    trained.request("PUT", "/api/pinned", json={"run": "first"})
    assert trained.get("/api/runs")["pinned"] == "first"
    trained.request("PUT", "/api/pinned", json={"run": None})
    assert trained.get("/api/runs")["pinned"] is None
    assert trained.request("PUT", "/api/pinned", json={"run": "nothing"}).status_code == 404


@pytest.mark.slow
def test_resume_and_fork_ask_and_say_from_where(trained: Web) -> None:
    refused = trained.request("POST", "/api/runs/first/resume", json={})
    assert refused.status_code == 422
    assert "nothing to resume" in refused.json["detail"]
    mistyped = {"checkpoint": "step-9999", "confirmed": True}
    refused = trained.request("POST", "/api/runs/first/resume", json=mistyped)
    assert refused.status_code == 422 and "'step-9999'" in refused.json["detail"]
    assert trained.get("/api/runs/first")["state"]["outcome"] == "completed"
    body = {"checkpoint": "step-00000009"}
    refused = trained.request("POST", "/api/runs/first/resume", json=body)
    assert refused.status_code == 422 and "step-00000009" in refused.json["detail"]
    once = trained.get("/api/runs/first")["trained_seconds"]
    before = trained.get("/api/runs/first/rows")["generation"]
    body = {"checkpoint": "step-00000009", "confirmed": True}
    for session, field in (
        ({"batch_size": 3}, "batch_size"),
        ({"batch_size": 0}, "session.batch_size"),
        ({"seed": 1}, ""),
    ):
        asked = body | {"session": session}
        refused = trained.request("POST", "/api/runs/first/resume", json=asked)
        assert refused.status_code == 422 and (not field or field in refused.json["fields"])
    body |= {"session": {"batch_size": 1}}
    assert trained.request("POST", "/api/runs/first/resume", json=body).status_code == 200
    twice = wait_until_ended(trained, "first")["trained_seconds"]
    told = trained.get("/api/runs/first")
    assert (told["session"]["batch_size"], told["session"]["gradient_accumulation_steps"]) == (1, 2)
    assert told["remedies"] == [] and told["longer"]["how"] == "fork"
    # A fork keeps its corpora, and may have a shorter context.
    fork_config = trained.studio.manager.fork_config
    shorter = fork_config("first", None, "shorter", {"data.sequence_length": 16})
    assert shorter.settings.data.sequence_length == 16
    with pytest.raises(UserError, match="A fork cannot change this"):
        fork_config("first", None, "other", {"data.packing": "decompose"})
    rows = [row for row in metrics(trained, "first") if row["kind"] == "train"]
    # All sessions count, the steps of the first one up to the checkpoint among them.
    assert twice == rows[-1]["elapsed"] > rows[8]["elapsed"] > 0 and once > rows[8]["elapsed"]
    body = {"name": "second", "checkpoint": None, "changes": {"optimizer.learning_rate": 1e-4}}
    forked = trained.post("/api/runs/first/fork", body, 201)
    assert forked["parent"] == {"run": "first", "checkpoint": "step-00000012"}
    second = wait_until_ended(trained, "second")
    assert second["parent_differences"] == [
        {"setting": "optimizer.learning_rate", "parent": 3e-3, "here": 1e-4}
    ]
    assert second["command"].startswith("cpt-studio runs fork first second")
    compared = trained.get("/api/compare", runs="first,second")
    assert [one["setting"] for one in compared["differences"]] == [
        "optimizer.learning_rate",
        "parent",
    ]
    deltas = {one["key"]: one for one in compared["deltas"]}
    assert deltas["loss"]["values"]["second"] == second["loss"]
    assert deltas["loss"]["baseline"] == compared["runs"][0]["loss"]
    rows = trained.get("/api/runs/first/rows")
    assert rows["generation"] != before
    assert rows["rows"] == metrics(trained, "first")


def test_start_is_refused_with_the_field(trained: Web) -> None:
    for change, field in (
        ({"optimizer": {"learning_rate": 7}}, "optimizer.learning_rate"),
        ({"model": {"path": "nothing-there"}}, "model.path"),
        ({"data": {"corpora": [{"name": "nothing"}]}}, "data.corpora.0"),
    ):
        body = {"name": "third", "settings": small_settings(**change)}
        answer = trained.request("POST", "/api/runs", json=body)
        assert answer.status_code == 422
        assert field in answer.json["fields"], answer.json
    answer = trained.request("POST", "/api/runs", json={"name": "../x", "settings": SETTINGS})
    assert "name" in answer.json["fields"]
    assert "third" not in trained.studio.workspace.run_names()


def test_deleting_asks_and_clears_all(trained: Web) -> None:
    workspace = trained.studio.workspace
    metrics_file = make_run(workspace, "gone")
    append(metrics_file, train_row(1, 1))
    trained.request("PUT", "/api/runs/gone/labels", json={"tags": ["x"]})
    trained.request("PUT", "/api/pinned", json={"run": "gone"})
    assert trained.request("DELETE", "/api/runs/gone", json={}).status_code == 422
    assert workspace.run("gone").is_dir()
    answer = trained.request("DELETE", "/api/runs/gone", json={"confirmed": True})
    assert answer.status_code == 200
    assert not workspace.run("gone").exists()
    assert trained.request("GET", "/api/runs/gone").status_code == 404
    assert trained.request("GET", "/api/runs/gone/series").status_code == 404
    assert trained.get("/api/runs")["pinned"] is None
    make_run(workspace, "gone")
    assert trained.get("/api/runs/gone")["tags"] == [], "a new run of the name begins anew"
    emptied = trained.request("DELETE", "/api/trash", json={"confirmed": True})
    assert emptied.status_code == 204
    left = [path for path in workspace.private.rglob("*") if b'"x"' in _content(path)]
    assert left == []


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.slow
def test_queue(trained: Web) -> None:
    body = {"name": "waits", "settings": SETTINGS, "queue": True}
    assert trained.post("/api/runs", body, 201)["queue_position"] == 1
    waiting = trained.get("/api/status")["queue"]["waiting"]
    assert [item["run"] for item in waiting] == ["waits"]
    with trained.studio.manager.serve("a test") as runner:
        trained.studio.queue_runner = runner
        assert runner.paused, "what a former server was asked for waits"
        assert trained.post("/api/queue/continue")["paused"] is False
        wait_for(lambda: trained.get("/api/runs/waits")["step"], "its first step")
        trained.post("/api/runs", body | {"name": "then"}, 201)
        trained.post("/api/runs/waits/stop", {"pause_queue": True})
        wait_until_ended(trained, "waits")
        assert runner.paused, "the user said that the next one is not to start"
        assert trained.get("/api/runs/then")["queue_position"] == 1
        trained.post("/api/queue/continue")
        assert trained.post("/api/queue/pause")["paused"] is True
    trained.studio.queue_runner = None
    assert trained.request("DELETE", "/api/queue/waits").status_code == 404


def test_superseded_rows_are_in_no_answer(web: Web) -> None:
    path = make_run(web.studio.workspace, "resumed")
    append(path, evaluation_row(1, 0, 3.0), *(train_row(seq, seq - 1) for seq in range(2, 12)))
    append(path, evaluation_row(12, 10, 1.0), resume_row(13, 6, 5))
    append(path, *(train_row(13 + n, 5 + n, loss=7.0) for n in range(1, 4)))
    append(path, evaluation_row(17, 8, 2.0))
    line = web.get("/api/runs/resumed")
    assert line["domain"] == {"first": 3.0, "last": 2.0, "best": 2.0, "best_step": 8}
    assert line["step"] == 8
    series = web.get("/api/runs/resumed/series")
    assert series["keys"]["loss"]["x"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [point["domain"] for point in series["evaluations"]] == [3.0, 2.0]
    exported = web.request("GET", "/api/runs/resumed/export?format=json").json
    assert [row["seq"] for row in exported] == [1, 2, 3, 4, 5, 6, 14, 15, 16, 17]


def test_damaged_files_are_told_and_break_nothing(web: Web) -> None:
    workspace = web.studio.workspace
    for name, damage in {
        "folder": lambda path: (path.unlink(), path.mkdir()),
        "link": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        "noise": lambda path: path.write_bytes(bytes(range(256)) * 1000),
        "numbers": lambda path: path.write_text(
            '{"seq":1,"kind":"train","loss":1e999,"step":-1}\n'
        ),
    }.items():
        path = make_run(workspace, name)
        damage(path)
        (path.parent / "events.jsonl").write_bytes(b"\xff\n[]\n{}\n")
        (path.parent / "samples.jsonl").write_bytes(b'{"step":"x"}\n')
        (path.parent / "result.json").write_text("{")
        (path.parent / "train.log").write_bytes(b"\xff\x00\n")
        for part in ("", "/series", "/rows", "/events", "/samples", "/log", "/export"):
            answer = web.request("GET", f"/api/runs/{name}{part}")
            assert answer.status_code < 500, (name, part, answer.text)
            assert b"root:" not in answer.data
        assert web.get(f"/api/runs/{name}")["id"] == name, "its page opens"
    (workspace.run("noise") / "config.json").write_text("{")
    assert {run["id"] for run in web.get("/api/runs")["runs"]} == {
        *("folder", "link", "noise", "numbers")
    }
    noise = web.get("/api/runs/noise")
    assert noise["config"] is None
    assert noise["problems"]
