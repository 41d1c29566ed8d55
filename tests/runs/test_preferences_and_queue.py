"""What is kept in the workspace's private folder: preferences, queue, sleep prevention."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil
import pytest

from cptstudio import macos
from cptstudio.errors import UserError
from cptstudio.runs import sleep_prevention
from cptstudio.runs.launching import Beginning
from cptstudio.runs.preferences import Preferences, read_preferences, write_preferences
from cptstudio.runs.queue import Queue
from cptstudio.session_settings import SessionSettings
from tests.runs.keeping import eventually


def test_the_queue_survives_in_order_and_holds_each_run_once(tmp_path: Path) -> None:
    private = tmp_path / "private"
    assert Queue(private).waiting() == []
    assert not private.exists()
    queue = Queue(private)
    assert [queue.add(name, Beginning(), None) for name in ("a", "b", "c")] == [1, 2, 3]
    with pytest.raises(UserError, match="already"):
        queue.add("b", Beginning("step-00000010"), "attempt")
    halved = Beginning("step-00000010", SessionSettings(batch_size=2))
    assert queue.remove("c") and queue.add("c", halved, "attempt") == 3
    assert [item.beginning for item in Queue(private).waiting()] == [
        Beginning(),
        Beginning(),
        halved,
    ]
    assert queue.remove("b") and not queue.remove("b")
    assert [item.run for item in Queue(private).waiting()] == ["a", "c"]
    assert stat.S_IMODE((private / "queue.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_waiting_run_gets_another_place(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    for name in "abcd":
        queue.add(name, Beginning(), None)
    for run, place, order in (
        ("d", 1, "dabc"),
        ("a", 4, "dbca"),
        ("c", 2, "dcba"),
        ("c", 2, "dcba"),
    ):
        queue.move(run, place)
        assert "".join(item.run for item in queue.waiting()) == order
    for place in (0, 5, -1):
        with pytest.raises(UserError, match="Use 1 to 4") as refused:
            queue.move("a", place)
        assert refused.value.findings[0].field == "place"
    with pytest.raises(UserError, match="not in the queue"):
        queue.move("x", 1)
    removed = queue.remove("c")
    queue.put_back(removed)
    queue.put_back(removed)
    queue.put_back({})
    assert "".join(item.run for item in queue.waiting()) == "dcba"
    queue.put_back(queue.remove("a") | {"place": 9})
    assert [item.run for item in queue.waiting()][-1] == "a"


@pytest.mark.parametrize("text", ["[]", '{"waiting": [5]}', "nonsense", '{"waiting": 3}'])
def test_a_damaged_queue_or_preference_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "queue.json").write_text(text)
    with pytest.raises(UserError, match=r"queue\.json"):
        Queue(tmp_path).waiting()
    (tmp_path / "settings.json").write_text(text.replace("waiting", "detect"))
    with pytest.raises(UserError, match=r"settings\.json"):
        read_preferences(tmp_path)


def test_preferences_keep_what_others_store(tmp_path: Path) -> None:
    assert read_preferences(tmp_path) == Preferences()
    (tmp_path / "settings.json").write_text('{"theme": "dark"}')
    write_preferences(tmp_path, Preferences(detect=False))
    assert not read_preferences(tmp_path).detect
    assert "dark" in (tmp_path / "settings.json").read_text()


def test_sleep_is_prevented_by_the_systems_own_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(macos, "HERE", True)
    assert sleep_prevention.sleep_preventer(123, "x") == ["/usr/bin/caffeinate", "-i", "-w", "123"]
    monkeypatch.setattr(macos, "HERE", False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert sleep_prevention.sleep_preventer(123, "x") is None


def test_what_prevents_sleep_ends_when_nobody_holds_its_pipe() -> None:
    reading, writing = os.pipe()
    process = sleep_prevention.start(["/bin/cat"], reading)
    assert process is not None
    os.close(reading)
    assert psutil.Process(process.pid).is_running()
    os.close(writing)
    eventually(lambda: process.poll() == 0, "the end")
    assert sleep_prevention.start(["/nowhere/caffeinate"], 0) is None
