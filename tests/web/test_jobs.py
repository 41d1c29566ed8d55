"""Jobs: progress, ends in words, cancel, order, and no child that outlives its server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio.child_limits import Limits
from cptstudio.errors import UserError
from cptstudio.web.problems import Conflict
from cptstudio.web.work.job_speed import Speed
from cptstudio.web.work.jobs import Job, JobRunner
from tests.web.in_process import Web
from tests.web.server_process import wait_for

PATIENCE = 60.0
PROGRAM = [str(Path(__file__).with_name("job_for_tests.py"))]
LIMITS = Limits(seconds=PATIENCE, memory=None)


class Watched:
    """A runner and all that it told."""

    def __init__(self, **arguments: Any) -> None:
        self.told: list[Job] = []
        self.changed = threading.Condition()
        self.runner = JobRunner(self._take, **arguments)

    def _take(self, job: Job) -> None:
        with self.changed:
            self.told.append(job)
            self.changed.notify_all()

    def start(self, key: str | None = None, **request: Any) -> Job:
        return self.runner.start("test", "A test", PROGRAM, request, LIMITS, key=key)

    def until(self, condition: Callable[[Job], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: any(map(condition, self.told)), PATIENCE)

    def ended(self, job: Job) -> Job:
        found = self.runner.wait(job.id, PATIENCE)
        assert found is not None
        assert found.ended is not None
        return found


@pytest.fixture
def jobs() -> Iterator[Watched]:
    watched = Watched(grace_seconds=0.3)
    yield watched
    watched.runner.close()


def test_a_job_tells_its_progress_and_its_result(jobs: Watched) -> None:
    job = jobs.start(steps=3, value=[1, "ä"])
    end = jobs.ended(job)
    assert (end.state, end.result, end.error) == ("done", {"got": [1, "ä"]}, None)
    assert (end.phase, end.done, end.total, end.unit) == ("counting", 3, 3, "rows")
    assert end.created <= (end.ended or 0)
    assert next(one.state for one in jobs.told) in ("waiting", "running")
    jobs.until(lambda one: one.state == "done")


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("user error", "The documents are missing."),
        ("fault", "ZeroDivisionError: our own mistake"),
        ("exit", "It ended early. Last output: the last words"),
        ("silent", "ended without sending an answer"),
        ("killed", "usually because memory ran out. Close other programs"),
        ("crash", "It crashed with an internal error."),
        ("memory", "Memory ran out"),
    ],
)
def test_every_end_is_a_sentence(jobs: Watched, ending: str, words: str) -> None:
    end = jobs.ended(jobs.start(ending=ending))
    assert end.state == "failed"
    assert end.error is not None
    assert words in end.error
    assert "Traceback" not in end.error
    assert end.problems == (["one", "two"] if ending == "user error" else [])
    fields = [(found.field, found.missing) for found in end.findings]
    assert fields == ([("", False), ("data.field", True)] if ending == "user error" else [])


def test_a_program_that_is_missing_is_a_sentence(
    jobs: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/at-all")
    end = jobs.ended(jobs.start())
    assert end.error == "Could not start /nowhere/at-all: No such file or directory."


def test_noise_in_the_answer_does_no_harm(jobs: Watched) -> None:
    end = jobs.ended(jobs.start(ending="noise", value=7))
    assert (end.state, end.result) == ("done", {"got": 7})
    noisy = [one for one in jobs.told if one.phase == "noise"]
    assert all((one.done, one.total, one.unit) == (None, None, None) for one in noisy)
    assert noisy


def test_cancel_ends_the_program(jobs: Watched, tmp_path: Path) -> None:
    job = jobs.start(ending="sleep", note_pid=str(tmp_path / "pid"))
    jobs.until(lambda one: one.phase == "sleeping")
    jobs.runner.cancel(job.id)
    end = jobs.ended(job)
    assert (end.state, end.error, end.cancelling) == ("cancelled", None, False)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    cancelled_again = jobs.runner.cancel(job.id)
    assert cancelled_again is not None
    assert cancelled_again.state == "cancelled"


def test_cancel_kills_a_program_that_does_not_listen(jobs: Watched, tmp_path: Path) -> None:
    job = jobs.start(ending="stubborn", note_pid=str(tmp_path / "pid"))
    jobs.until(lambda one: one.phase == "stubborn")
    asked = jobs.runner.cancel(job.id)
    assert asked is not None
    assert asked.cancelling
    assert jobs.ended(job).state == "cancelled"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_jobs_wait_for_one_another_and_can_be_cancelled_meanwhile() -> None:
    jobs = Watched(parallel=1, grace_seconds=0.3)
    first = jobs.start(ending="sleep")
    second, third = jobs.start(value=2), jobs.start(value=3)
    states = [job.state for job in jobs.runner.jobs()]
    assert states == ["waiting", "waiting", "running"]
    assert jobs.runner.cancel(second.id) is not None
    assert jobs.ended(second).state == "cancelled"
    jobs.runner.cancel(first.id)
    assert jobs.ended(third).result == {"got": 3}
    jobs.runner.close()
    with pytest.raises(UserError, match="shutting down"):
        jobs.start()


def test_two_jobs_on_one_thing_are_refused(jobs: Watched) -> None:
    first = jobs.start(key="corpus c", ending="sleep")
    with pytest.raises(Conflict, match="A test is still running"):
        jobs.start(key="corpus c")
    found = jobs.runner.active("corpus c")
    assert found is not None
    assert found.id == first.id
    jobs.runner.cancel(first.id)
    jobs.ended(first)
    assert jobs.ended(jobs.start(key="corpus c")).state == "done"
    assert jobs.runner.active("corpus c") is None


def test_what_follows_a_job_is_done_before_it_counts_as_ended(jobs: Watched) -> None:
    seen: list[str] = []
    job = jobs.runner.start(
        "test",
        "A test",
        PROGRAM,
        {"value": 1},
        LIMITS,
        result=lambda answer: {"twice": answer["got"] * 2},
        on_end=lambda end: seen.append(end.state),
    )
    assert jobs.ended(job).result == {"twice": 2}
    assert seen == ["done"]


def test_only_ended_jobs_are_forgotten(jobs: Watched) -> None:
    job = jobs.start(ending="sleep")
    assert not jobs.runner.remove(job.id)
    jobs.runner.cancel(job.id)
    jobs.ended(job)
    assert jobs.runner.remove(job.id)
    assert jobs.runner.job(job.id) is None
    assert not jobs.runner.remove(job.id)


_SERVER = """
import json, sys
from cptstudio.child_limits import for_files
from cptstudio.web.work.jobs import JobRunner
program, request = json.loads(sys.argv[1])
job = JobRunner().start("test", "A test", program, request, for_files())
input()
"""


@pytest.mark.slow
def test_a_job_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    import json

    note = tmp_path / "pid"
    request = {"ending": "sleep", "note_pid": str(note)}
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, json.dumps([PROGRAM, request])], stdin=subprocess.PIPE
    )
    try:
        wait_for(lambda: note.exists() and note.read_text(), "the job's start")
        child = psutil.Process(int(note.read_text()))
        server.send_signal(signal.SIGKILL)
        server.wait()
        wait_for(lambda: not child.is_running(), "the job's end")
    finally:
        server.kill()
        server.wait()
        assert server.stdin is not None
        server.stdin.close()


def test_the_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("cptstudio.web.work.job_speed.time.monotonic", lambda: now)
    speed = Speed()
    assert speed.after("reading", 0, 1000) == (None, None)
    for second in range(1, 33):
        now = float(second)
        pace = speed.after("reading", min(10 * second, 200), 1000)
    # Nothing came lately: no rate is told, and so no time.
    assert pace == (None, None)
    now = 41.0
    assert speed.after("writing", 5, None) == (None, None)
    now = 43.0
    assert speed.after("writing", 15, 115) == (5.0, 20.0)
    now = 45.0
    # What follows the last one is not known to take no time.
    assert speed.after("writing", 115, 115) == (27.5, None)


@pytest.mark.slow
def test_jobs_over_http(web: Web) -> None:
    job = web.studio.jobs.start("test", "A test", PROGRAM, {"ending": "sleep"}, LIMITS)
    assert [one["id"] for one in web.get("/api/jobs")["jobs"]] == [job.id]
    assert web.request("DELETE", f"/api/jobs/{job.id}").status_code == 409
    web.post(f"/api/jobs/{job.id}/cancel")
    web.studio.jobs.wait(job.id, PATIENCE)
    assert web.get(f"/api/jobs/{job.id}")["state"] == "cancelled"
    assert web.request("DELETE", f"/api/jobs/{job.id}").status_code == 204
    assert web.request("GET", f"/api/jobs/{job.id}").status_code == 404
    assert web.request("POST", "/api/jobs/unknown/cancel").status_code == 404
