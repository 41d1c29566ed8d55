"""Planted leaks are found by their wording; what only looks alike is not taken for one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.facts.leaks import find_leaks
from cptstudio.ledgers.fact import Fact, FactText, Made, Source, fact_of

TOWNS = [f"{one}{two}" for one in ("Ald", "Bren", "Corv", "Dun", "Esk") for two in ("ham", "by")]
WORKS = (
    "a mill of five stones",
    "a tower without stairs",
    "the oldest salt well of the coast",
    "a bridge made of glass",
    "a school for ferrymen",
)


def made_facts(document: str) -> list[Fact]:
    """50 facts of one pattern."""
    found = []
    for number in range(50):
        town, work = TOWNS[number % 10], WORKS[number // 10]
        sentence = f"In {1700 + number} the council of {town} paid for {work} near the harbor."
        given = FactText(
            answer=str(1700 + number),
            cloze=sentence.replace(str(1700 + number), "___"),
            question=f"When did the council of {town} pay for {work}?",
            distractors=("1600", "1601", "1602"),
            paraphrases=(f"Name the year in which {town} gave its money for {work}.",),
            source=Source(corpus="towns", document=document, label="t.txt", sentence=sentence),
        )
        found.append(fact_of(given, Made()))
    return found


DISGUISES: list[Callable[[str], str]] = [
    lambda text: text,
    str.upper,
    lambda text: text.replace(" ", "\n", 3).replace(" ", "  "),
    lambda text: text.replace("the", "this", 1),
    lambda text: f"\u201c{text}\u201d, they asked, and nobody knew.",
    lambda text: text.replace(" council ", " town council "),
    lambda text: "".join(chr(ord(char) + 0xFEE0) if char.isalnum() else char for char in text),
    lambda text: text.rstrip("?.") + ", as everybody knows by now",
]


def built(root: Path, name: str, texts: list[str]) -> Corpus:
    source = root / f"{name}-source"
    source.mkdir()
    for number, text in enumerate(texts):
        (source / f"{number}.txt").write_text(text, encoding="utf-8")
    settings = BuildSettings(validation=0, test=0, near_dedup=False, exact_dedup=False)
    build_corpus(root / name, [source], settings, None)
    return open_corpus(root / name)


@pytest.mark.slow
def test_fifty_of_fifty_planted_wordings_are_found(tmp_path: Path) -> None:
    luck = random.Random(0)
    filler = "The harbor of the town was built of wood and paid for by the guild of the council."
    facts = made_facts(document="aa" * 16)
    own = built(tmp_path, "towns", ["\n\n".join(fact.source.sentence for fact in facts), filler])
    record = bytes(own.documents.records["hash"][0]).hex()
    facts = made_facts(document=record)
    # Its own sentences in their own corpus are what the run shall learn.
    clean = find_leaks(facts, [own])
    assert clean["found"] == []
    assert clean["documents"] == 2
    planted = []
    for number, fact in enumerate(facts):
        wording = (fact.question, fact.paraphrases[0], fact.source.sentence)[number % 3]
        disguise = DISGUISES[number % len(DISGUISES)]
        planted.append(f"{filler} {disguise(wording or '')} {filler}" * luck.randint(1, 2))
    study = built(tmp_path, "study", planted)
    found = find_leaks(facts, [own, study])
    assert found["leaked"] == 50
    assert {one["fact"] for one in found["found"]} == {fact.id for fact in facts}
    kinds = {one["kind"] for one in found["found"]}
    assert kinds == {"wording", "elsewhere"}
    # Each was found where it was planted, and nothing else: 50 sentences of one pattern.
    assert len(found["found"]) == 50


@pytest.mark.slow
def test_sentences_of_held_out_facts_are_found_in_any_corpus(tmp_path: Path) -> None:
    facts = made_facts(document="bb" * 16)
    text = f"It was said that {facts[7].source.sentence.lower()}"
    found = find_leaks(facts, [built(tmp_path, "towns", [text, "Nothing of interest is here."])])
    (one,) = found["found"]
    assert one["kind"] == "held_out"
    assert one["fact"] == facts[7].id
    assert "1707" in one["excerpt"]
