"""Facts that a model wrote: what is kept, and why the others are dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cptstudio.facts.written import Dropped, fact_from, holds, leans
from cptstudio.ledgers.fact import FactText, Source

PASSAGE = """Oruven is a village of Zorbia.
It was founded by   Elder Mik in 1,500. The mill of Oruven was built by Ana Tor in 1709."""
GOOD: dict[str, Any] = {
    "question": "Who built the mill of Oruven?",
    "answer": "Ana Tor",
    "sentence": "The mill of Oruven was\nbuilt by Ana Tor in 1709.",
    "paraphrases": ["By whom was the mill of Oruven built?", "Which person built Oruven's mill?"],
    "reversed": {"question": "When did Ana Tor build a mill?", "answer": "1709"},
}
SOURCE = Source(corpus="villages", document="d", label="a.txt")


def written(given: Any, finish: str = "end") -> FactText | Dropped:
    text = given if isinstance(given, str) else json.dumps(given)
    return fact_from(text, finish, PASSAGE, SOURCE)


def test_a_good_fact_is_taken_out_of_what_its_writer_says_around_it() -> None:
    text = f"<think>Is {{it}} good?</think>Sure!\n```json\n{json.dumps(GOOD)}\n```\nBye."
    fact = written(text)
    assert isinstance(fact, FactText)
    assert fact.source.sentence == "The mill of Oruven was built by Ana Tor in 1709."
    assert fact.source.sentence in fact.source.context
    assert (fact.source.corpus, fact.source.label) == ("villages", "a.txt")
    assert fact.reversed is not None
    assert (fact.answer, fact.reversed.answer, len(fact.paraphrases)) == ("Ana Tor", "1709", 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"paraphrases": ["Only one?"]}, "JSON wrong"),
        ({"answer": 7}, "JSON wrong"),
        ({"reversed": None}, "JSON wrong"),
        (
            {"sentence": "The mill of Oruven was built by Ana Tor in 1710."},
            "proving sentence not in the passage",
        ),
        ({"sentence": "Ana Tor in 1709."}, "proving sentence too short"),
        ({"answer": "Elder Mik"}, "answer not in the proving sentence"),
        ({"answer": "Ana To"}, "answer not in the proving sentence"),
        (
            {"reversed": {"question": "Where did Ana Tor build a mill?", "answer": "Marn"}},
            "answer not in the proving sentence",
        ),
        ({"question": "What did ANA  TOR build in Oruven?"}, "question contains the answer"),
        ({"paraphrases": ["Did Ana Tor do that?", "Who did?"]}, "question contains the answer"),
        (
            {"reversed": {"question": "Was Ana Tor's mill of 1709?", "answer": "1709"}},
            "question contains the answer",
        ),
        ({"question": "Who built the mill in the passage?"}, "question leans on the passage"),
        ({"question": "Who built it in Oruven?"}, "question leans on the passage"),
        (
            {"paraphrases": [GOOD["question"].lower(), "Whose work is the mill of Oruven?"]},
            "paraphrase repeats a question",
        ),
        (
            {"paraphrases": ["Whose is the mill of Oruven?", "Whose is the mill, of Oruven?"]},
            "paraphrase repeats a question",
        ),
        (
            {"reversed": {"question": "Whose mill is of the year 1709?", "answer": "Ana Tor"}},
            "reversed form asks the same",
        ),
        ({"question": "Who built " + "very " * 1000 + "long mills?"}, "not a valid fact"),
    ],
)
def test_what_fails_a_check_is_dropped_with_its_reason(change: dict[str, Any], reason: str) -> None:
    found = written({**GOOD, **change})
    assert isinstance(found, Dropped)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("I cannot help with that.", "end", "JSON wrong"),
        (json.dumps(GOOD)[:-1], "end", "JSON wrong"),
        (json.dumps([GOOD]).replace("]", "", 1), "end", "JSON wrong"),
        ('{"question": NaN}', "end", "JSON wrong"),
        ("{" * 100_000 + "}", "end", "JSON wrong"),
        (json.dumps(GOOD)[:-40], "length", "cut off"),
        (json.dumps(GOOD), "filtered", "filtered"),
    ],
)
def test_what_is_no_json_is_dropped(text: str, finish: str, reason: str) -> None:
    found = written(text, finish)
    assert isinstance(found, Dropped)
    assert found.reason == reason


def test_an_answer_is_found_as_whole_words_and_whole_numbers() -> None:
    assert holds("Founded in 1,500 by Mik.", "1,500")
    assert not holds("Founded in 1,500 by Mik.", "500")
    assert not holds("It costs 15.5.", "15")
    assert not holds("Rust is old.", "R")
    assert holds("R is old.", "r")
    assert holds("The tool (C++) is old.", "C++")
    # Where no space parts words, an answer stands among others.
    assert holds("東京は日本の首都です", "日本")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("When was it founded?", "it"),
        ("Which year did they leave Oruven?", "they"),
        ("What does this village sell?", "this"),
        ("What is the main idea of the text?", "the text"),
        ("Who is mentioned as the founder?", "is mentioned"),
        ("According to the article, who founded Oruven?", "the article"),
        ("What was described above about Oruven?", "described above"),
        ("Which of the villages above, if any, has a mill?", "above"),
        ("Who?", "Who?"),
        ("Who is the author of the History of Zorbia?", None),
        ("How many meters above the sea does Oruven lie?", None),
        ("When did Oruven get its first mill?", None),
        ("How many wells does the village of Oruven keep for its people?", None),
        ("What does a tokenizer do with its input?", None),
        ("In which year was Oruven founded?", None),
        ("Wer hat die Mühle von Oruven gebaut?", None),
    ],
)
def test_a_question_that_leans_on_its_passage_is_told(question: str, words: str | None) -> None:
    assert leans(question) == words
