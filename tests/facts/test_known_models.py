"""The four states of models of which it is known by construction what they know."""

from __future__ import annotations

from pathlib import Path

import pytest

from cptstudio.evaluation.reports import Reports
from cptstudio.facts.ask_program import work
from cptstudio.ledgers.ledger import add_facts
from cptstudio.workspace import Workspace
from tests.evaluation.silence import Silence
from tests.facts.known_models import river_facts, train_on


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_states_are_right_for_models_that_know_these_facts_alone(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    facts = river_facts()
    kept, lost, new, never = (facts[start : start + 5] for start in (0, 5, 10, 15))
    train_on(tmp_path / "before", known=kept + lost, unknown=new + never)
    train_on(tmp_path / "after", known=kept + new, unknown=lost + never)
    add_facts(place, "rivers", facts)
    request = {
        "workspace": tmp_path,
        "ledger": "rivers",
        "models": [
            {"label": name, "model": tmp_path / name, "adapter": None, "run": None}
            for name in ("before", "after")
        ],
        "how": {"open_book": False, "said": False, "per_byte": False},
        "fast_blas": True,
    }
    found = []
    for _ in range(2):
        answer = work(request, Silence())
        found.append(Reports(place).read(answer["report"])["result"])
    # Nothing is drawn, and what was answered is kept.
    assert found[0] == found[1]
    states = [one["models"][1]["state"] for one in found[0]["facts"]]
    assert states == [
        *["known_before"] * 5,
        *["forgotten"] * 5,
        *["learned"] * 5,
        *["unknown"] * 5,
    ]
