"""Requests that wait for ever leave threads to the others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest

from cptstudio.web import api
from cptstudio.web.api import crowding
from cptstudio.web.api.crowding import LONG_SECONDS, MOST, MOST_OF_A_KIND, Crowding
from cptstudio.web.problems import Problem
from tests.web.server_process import wait_for


def test_a_kind_that_waits_is_refused_and_others_are_not() -> None:
    now = 0.0
    crowd = Crowding(lambda: now)
    for number in range(2 * MOST_OF_A_KIND):
        crowd.enter(number, "plan")  # All at once, as a script may ask.
    now = LONG_SECONDS + 1
    with pytest.raises(Problem, match="32 such requests are already waiting"):
        crowd.enter("one more", "plan")
    crowd.enter("another", "runs")
    for number in range(MOST_OF_A_KIND + 1):
        crowd.leave(number)
    crowd.enter("one more", "plan")


def test_some_threads_are_never_waited_with() -> None:
    now = 0.0
    crowd = Crowding(lambda: now)
    for number in range(MOST):
        crowd.enter(number, f"kind {number}")
    now = LONG_SECONDS + 1
    with pytest.raises(Problem):
        crowd.enter("one more", "any")


def test_an_application_that_hangs_answers_on_its_other_routes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowding, "LONG_SECONDS", -1.0)
    app = flask.Flask(__name__)
    api.prepare(app)
    crowding.watch(app)
    release, waiting = threading.Event(), threading.Semaphore(0)

    @app.get("/slow")
    def slow() -> str:
        waiting.release()
        release.wait()
        return "late"

    app.add_url_rule("/quick", "quick", lambda: "at once")

    def get(path: str) -> tuple[int, str]:
        answer = app.test_client().get(path)
        return answer.status_code, answer.text

    with ThreadPoolExecutor(MOST_OF_A_KIND) as threads:
        asked = [threads.submit(get, "/slow") for _ in range(MOST_OF_A_KIND)]
        for _ in asked:
            waiting.acquire()
        status, text = get("/slow")
        assert status == 503 and "16 such requests are already waiting" in text
        assert get("/quick") == (200, "at once")
        release.set()
        assert [one.result() for one in asked] == [(200, "late")] * MOST_OF_A_KIND
    wait_for(lambda: get("/slow") == (200, "late"), "room for another")
