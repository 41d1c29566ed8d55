"""Ledgers on disk: what is taken, what is refused by line and field, what a kill leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.ledgers.fact import stored
from cptstudio.ledgers.ledger import (
    FACTS,
    add_facts,
    ledger_names,
    read_fact_lines,
    read_ledger,
    remove_facts,
)
from cptstudio.workspace import Workspace

WHOLE = {
    "answer": "Ross Ihaka",
    "cloze": "R was first written by ___ and Robert Gentleman.",
    "question": "Who wrote R together with Robert Gentleman?",
    "distractors": ["Kurt Hornik", "John Chambers"],
    "paraphrases": ["Name the first author of R beside Robert Gentleman."],
    "reversed": {"question": "What did Ross Ihaka write?", "answer": "R", "distractors": ["S"]},
    "source": {"corpus": "manuals", "document": "R-FAQ.html", "sentence": "R was written."},
}


def lines(*values: object) -> str:
    return "".join(f"{json.dumps(value)}\n" for value in values)


def test_what_is_added_is_read_again_once_and_can_be_removed(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    facts = read_fact_lines(lines(WHOLE, {"answer": "4", "question": "How many?"}), "f")
    assert add_facts(place, "one", facts) == 2
    assert add_facts(place, "one", [*facts, *facts]) == 0
    ledger = read_ledger(place, "one")
    assert list(ledger.facts) == facts
    assert [wording.form for wording in facts[0].wordings] == [
        "cloze",
        "question",
        "paraphrase",
        "reversed",
    ]
    # What a ledger prints can be added to another one, and is the same fact there.
    assert read_fact_lines(lines(*map(stored, facts)), "f") == facts
    with pytest.raises(UserError, match="no fact 'f00'"):
        remove_facts(place, "one", [facts[0].id, "f00"])
    remove_facts(place, "one", [facts[0].id])
    assert [fact.id for fact in read_ledger(place, "one").facts] == [facts[1].id]
    assert add_facts(place, "one", facts[:1]) == 1
    assert ledger_names(place) == ["one"]
    assert read_ledger(place, "one").fingerprint != ledger.fingerprint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: "),
        ("[1]", "line 2: not a JSON object"),
        ('{"answer": 3, "question": "q"}', "line 2: “answer”"),
        ('{"answer": "a"}', "line 2: Add a “question” or a “cloze” sentence."),
        ('{"answer": "a", "cloze": "no gap"}', "line 2: “cloze”: Put ___ once"),
        ('{"answer": "a", "cloze": "___ ___"}', "line 2: “cloze”: Put ___ once"),
        ('{"answer": "a", "question": "q", "distractors": ["b", "A "]}', "“distractors”: One of"),
        ('{"answer": "a", "question": "q", "distractors": ["b", "B"]}', "“distractors”: Two of"),
        ('{"answer": "a", "question": "q", "paraphrases": "b"}', "line 2: “paraphrases”"),
        ('{"answer": "a", "question": "q", "wrong": "b"}', "line 2: “wrong”"),
        ('{"answer": "a\\u0007", "question": "q"}', "“answer”: Control characters"),
        ('{"answer": "a", "question": "\\ud800"}', "“question”: text that is no Unicode"),
        ('{"answer": "a", "question": "q", "reversed": {"question": "r"}}', "“reversed.answer”"),
        ('{"answer": "a", "question": "q", "source": {"page": 3}}', "“source.page”"),
    ],
)
def test_a_bad_line_is_named_with_its_field_and_nothing_is_taken(line: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_fact_lines(lines(WHOLE) + line, "facts.jsonl")
    assert said in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_a_torn_line_is_told_and_a_line_that_is_no_fact_refused(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    facts = read_fact_lines(lines(WHOLE, {"answer": "4", "question": "How many?"}), "f")
    add_facts(place, "one", facts[:1])
    path = tmp_path / "facts" / "one" / FACTS
    # What a writer left that was killed within its line.
    with path.open("ab") as file:
        file.write(b'{"answer": "5", "ques')
    assert len(read_ledger(place, "one").facts) == 1
    add_facts(place, "one", facts[1:])
    ledger = read_ledger(place, "one")
    assert list(ledger.facts) == facts
    assert len(ledger.problems) == 1
    assert "line 2" in ledger.problems[0]
    # A changed answer is another fact under the old one's id.
    text = path.read_text(encoding="utf-8").replace('"answer":"4"', '"answer":"3"')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"line 3: its content has changed"):
        read_ledger(place, "one")
