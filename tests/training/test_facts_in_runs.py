"""A run's evaluations ask a ledger's facts: which, what is logged, and that a resume is exact."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from cptstudio.facts.asking import log_probability
from cptstudio.intervals import share_of
from cptstudio.ledgers.fact import Fact, FactText, Made, fact_of
from cptstudio.ledgers.ledger import add_facts, remove_facts
from cptstudio.ledgers.options import Asked
from cptstudio.lm.likelihood import score_tokens
from cptstudio.lm.loading import load_for_inference
from cptstudio.run_files import read_config
from cptstudio.runs.forking import forked
from cptstudio.settings import parse_settings
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.fact_answers import found_of
from cptstudio.training.fact_questions import planned_questions, questions_of
from cptstudio.training.planning import make_plan
from cptstudio.training.stop_requests import StopRequest
from cptstudio.workspace import Workspace
from tests.training.small_workspace import prepare, small_settings
from tests.training.test_exact_resume import assert_same_run
from tests.training.trainer_process import events, held_rows

LEDGER = "names"


def fact(number: int, **fields: object) -> Fact:
    names = [f"{one}{number}" for one in ("alpha", "beta", "gamma", "delta")]
    given = {
        "cloze": f"The name of value {number} is ___ in the module.",
        "answer": names.pop(number % 4),
        "distractors": tuple(names),
    }
    return fact_of(FactText.model_validate(given | fields), Made())


def test_what_leads_counts_as_right_and_only_what_leads_clearly_as_known() -> None:
    asked = [Asked(number // 2, "cloze", "", ("a", "b", "c", "d")) for number in range(80)]
    # 30 facts that are known, 5 that are guessed right by little, 5 that are not, in two wordings.
    margins = [9.0] * 30 + [0.1] * 5 + [-0.2] * 5
    values = [[margins[one.fact], 0.0, -1.0, -1.0] for one in asked]
    found = found_of(asked, values)
    assert found.figures == {"facts_right": 35 / 40, "facts_known": 30 / 40}
    right = share_of([True] * 35 + [False] * 5)
    assert right is not None
    assert found.words == f"facts right 35 of 40 ({right.low:.0%} to {right.high:.0%}), known 30"
    broken = found_of(asked, [[float("nan")] * 4, *values[1:]])
    assert broken.figures == {"facts_right": None, "facts_known": None}
    assert "NaN" in broken.words


def test_a_large_ledger_is_asked_in_part_the_same_part_in_any_order(tmp_path: Path) -> None:
    facts = [fact(number) for number in range(40)]
    backward = {"question": "Which?", "answer": "module", "distractors": ("one", "two", "three")}
    facts.append(fact(40, reversed=backward))
    chosen = []
    for name, order in (("there", facts), ("back", facts[::-1])):
        workspace = Workspace(tmp_path / name)
        add_facts(workspace, LEDGER, order)
        tree = small_settings(evaluation={"facts": LEDGER, "max_facts": 7})
        found = planned_questions(workspace, parse_settings(tree))
        assert found is not None and (found.facts, found.of) == (7, 41)
        assert found.chance == pytest.approx(1 / 4)
        assert "7 of 41 facts of the ledger 'names'" in found.note and "25%" in found.note
        assert all(one.form != "reversed" for one in found.asked)
        chosen.append({one.continuations for one in found.asked})
    assert chosen[0] == chosen[1] and len(chosen[0]) == 7
    other = parse_settings(small_settings(evaluation={"facts": "nothing"}))
    with pytest.raises(UserError, match="no ledger 'nothing'"):
        planned_questions(workspace, other)


def directly(workspace: Workspace, asked: tuple[Asked, ...]) -> dict[str, float | None]:
    """What the base answers, as `facts ask` computes it."""
    loaded = load_for_inference(workspace.base_model("toy"))
    tokenizer = load_tokenizer(workspace.base_model("toy"))
    values = []
    for one in asked:
        sums = []
        for text in one.continuations:
            encoding = tokenizer.backend.encode(one.context + text, add_special_tokens=False)
            [nats] = score_tokens(
                loaded.model,
                [np.array(encoding.ids)],
                start_token=tokenizer.facts.start,
                context_length=2048,
            )
            scored = {"nats": nats.tolist(), "places": encoding.offsets}
            sums.append(log_probability(scored, len(one.context)))
        values.append(sums)
    return found_of(asked, values).figures


@pytest.mark.slow
def test_facts_are_logged_and_a_resume_is_exact_or_refused_by_the_ledgers_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    add_facts(workspace, LEDGER, [fact(number) for number in range(12)])
    whole = prepare(
        workspace,
        "facts",
        length="4 steps",
        evaluation={
            "every": "2 steps", "max_tokens": 300, "samples": False,
            "facts": LEDGER, "max_facts": 10,
        },
        checkpoints={"every": "2 steps"},
    )  # fmt: skip
    planned = make_plan(workspace, read_config(whole).settings)
    assert planned.facts_part > 0.05
    assert "evaluation.max_facts" in {warning.field for warning in planned.warnings}
    resumed = whole.with_name(f"{whole.name}-resumed")

    def train(directory: Path, resume: str | None = None) -> tuple[str, str]:
        ending = ContinuedPretraining(directory, StopRequest(), resume=resume).run()
        return ending.outcome, ending.reason

    assert train(whole)[0] == "completed"
    questions = questions_of(read_config(whole))
    assert questions is not None and questions.facts == 10
    measured = [row for row in held_rows(whole) if row["kind"] == "evaluation"]
    assert [row["step"] for row in measured] == [0, 2, 4]
    base = directly(workspace, questions.asked)
    assert {name: measured[0][name] for name in base} == base
    assert base["facts_right"] is not None and 0 < base["facts_right"] < 1
    assert all("facts right" in one["message"] for one in events(whole, "evaluation"))

    shutil.copytree(whole, resumed)
    (resumed / "result.json").unlink()
    shutil.rmtree(resumed / "checkpoints" / "step-00000004")
    rows = held_rows(resumed)
    added = fact(99)
    add_facts(workspace, LEDGER, [added])
    outcome, reason = train(resumed, NEWEST)
    assert outcome == "failed" and "The ledger 'names' has changed" in reason
    assert "had 12 facts and now has 13" in reason and held_rows(resumed) == rows
    # A fork asks the ledger as it is then, another one, or none.
    forks = [
        forked(read_config(whole), whole, "step-00000002", "fork", changes)
        for changes in ({}, {"evaluation.facts": None})
    ]
    later = questions_of(forks[0])
    assert later is not None and later.of == 13
    assert questions_of(forks[1]) is None
    with pytest.raises(UserError, match="no ledger 'nothing'"):
        changes = {"evaluation.facts": "nothing"}
        forked(read_config(whole), whole, "step-00000002", "fork", changes)
    remove_facts(workspace, LEDGER, [added.id])
    folder = workspace.facts / LEDGER
    folder.rename(folder.with_name("elsewhere"))
    outcome, reason = train(resumed, NEWEST)
    assert outcome == "failed" and "The ledger 'names'" in reason and "is missing" in reason
    folder.with_name("elsewhere").rename(folder)
    assert train(resumed, NEWEST)[0] == "completed"
    assert_same_run(whole, resumed)
