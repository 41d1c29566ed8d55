"""Routes are found by the names that they had before, for one version more."""

from __future__ import annotations

from cptstudio.web.api import FORMER_PREFIXES
from tests.web.in_process import Web


def test_a_route_is_found_by_its_former_name(web: Web) -> None:
    for former, path in (
        ("/api/bench", "/api/inference"),
        ("/api/testing/models", "/api/evaluation/models"),
        ("/api/testing/reports", "/api/evaluation/reports"),
    ):
        assert path.startswith(tuple(FORMER_PREFIXES.values()))
        answer = web.request("GET", former)
        assert answer.status_code == 200, answer.text
        assert answer.json == web.request("GET", path).json
    assert web.request("GET", "/api/benchmarks").status_code == 404
