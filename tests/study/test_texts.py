"""Passages, rules, names and numbers, checks: what needs no writer."""

from __future__ import annotations

import pytest

from benchmarks import study_checks
from cptstudio.study import templates
from cptstudio.study.checks import Checker, cleaned
from cptstudio.study.strategies import strategies
from cptstudio.study.words import doubtful, invented, kept_share, look, names_in
from cptstudio.writers.passages import cut, estimated_tokens

BRIDGE = (
    "The Orlin Bridge was built by Ana Orr in 1912. Marn is the capital of Zorbia. In 1950, the "
    "bridge carried 3,400 carts a day. It stands 42 m above the river Teel."
)


@pytest.mark.parametrize(
    "text",
    [
        "However, Ana Orr built the bridge in 1912, and 3400 carts a day crossed it in 1950.",
        "1. Marn: the capital of Zorbia.\n2. Teel: a river, 42 metres below the Orlin Bridge.",
        "Question 7: What stands forty-two metres above the Teel?\nAnswer: The Orlin Bridge does.",
        "Imagine two friends who visit Marn, Zorbia's capital. Zorbians are proud of one bridge.",
        "What The Orlin Bridge Is\nThe bridge of Orlin isn't small. It's 42m high.",
        "I'm told that Orr's bridge carried 3,400 carts. They've crossed it since 1912.",
    ],
)
def test_what_a_true_text_says_is_not_invented(text: str) -> None:
    source = look(BRIDGE)
    made = look(text, made=True)
    assert invented(made, source) == doubtful(made, source, source.small) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Ana Orr built it in 1921.", ["1921"]),
        ("Anna Orr built it in 1912.", ["anna"]),
        ("Marlow is the capital of Zorbia.", ["marlow"]),
        ("Some 34,000 carts crossed it.", ["34000"]),
        ("It stands forty-three metres above the Teel.", ["43"]),
        ("It carried 3.4 million carts.", ["3400000"]),
        ("Its plan is called B-12, by NATO rules of 12.5.1950.", ["12.5.1950", "b-12", "nato"]),
        ("A 42 m high bridge from the 1920s.", ["1920"]),
    ],
)
def test_what_is_invented_is_found(text: str, wrong: list[str]) -> None:
    source = look(BRIDGE)
    made = look(text, made=True)
    assert sorted(invented(made, source) + doubtful(made, source, source.small)) == wrong


def test_the_measured_error_is_the_one_in_the_documentation() -> None:
    assert (len(study_checks.alarms()), len(study_checks.alarms(unsure=True))) == (1, 5)
    found = study_checks.planted(seeds=3)
    right, count = (sum(found[kind][at] for kind in study_checks.SEEN) for at in (0, 2))
    assert 0.75 < right / count < 0.85


def test_which_names_and_numbers_are_kept() -> None:
    source = look(BRIDGE)
    assert kept_share(source, source, source.small) == (11, 11)
    assert kept_share(look("Ana Orr built a bridge in 1912."), source, source.small) == (4, 11)
    assert names_in(BRIDGE) == ["Orlin Bridge", "Ana Orr", "Marn", "Zorbia", "Teel"]
    # All nouns are capitalized in German: no word is a name for that alone.
    german = look("Die Brücke hat einen Turm und die Nummer B12.", "German")
    assert german.names(frozenset()) == {"b12"}


def test_passages_leave_nothing_out() -> None:
    text = "\n\n".join([BRIDGE, "Short.", " ".join([BRIDGE] * 6), "word " * 900, "x" * 3000])
    passages = cut(text, 60, estimated_tokens)
    assert all(estimated_tokens(one) <= 60 for one in passages)
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert passages[0].startswith(f"{BRIDGE}\n\nShort.\n\n")
    assert cut("", 60, estimated_tokens) == []


def test_rules_word_a_sentence_in_many_ways_and_keep_its_names() -> None:
    source = look(BRIDGE)
    known = templates.rewordings("The Orlin Bridge was built by Ana Orr in 1912.")
    assert "Ana Orr built the Orlin Bridge in 1912." in known
    assert len(known) >= 16
    assert "The capital of Zorbia is Marn." in templates.rewordings(
        "Marn is the capital of Zorbia."
    )
    for name in templates.CAN:
        texts = [templates.write(name, BRIDGE, at, 0, ("Marn", "Teel")) for at in range(16)]
        assert texts == [templates.write(name, BRIDGE, at, 0, ("Marn", "Teel")) for at in range(16)]
        assert all(texts)
        for text in texts:
            assert invented(look(text, made=True), source) == [], text
        if name == "paraphrase":
            assert len(set(texts)) == 16
            assert all(kept_share(look(text), source, source.small) == (11, 11) for text in texts)
    assert templates.write("paraphrase", "No end here", 0, 0, ("", "")) == ""
    # A number within another one is no gap.
    asked = templates.write("questions", "The village has 33 houses and 3 wells.", 0, 0, ("", ""))
    assert "____3" not in asked


def test_what_is_asked_of_a_model() -> None:
    asked = strategies()["entities"].messages("A {style} of {first}.", 1, "Marn", "{second}")
    (message,) = asked
    assert "connected according to the passage: Marn and {second}." in message["content"]
    assert "as an answer to somebody who knows one of them only" in message["content"]
    assert message["content"].endswith("Passage:\nA {style} of {first}.")
    assert len({one.digest(0) for one in strategies().values()}) == len(strategies())


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "end", "empty"),
        ("I'm sorry, but I can't help with that request about bridges.", "end", "refused"),
        ("As an AI language model, I have no bridge to tell of.", "end", "refused"),
        ("Half of a text", "filtered", "filtered"),
        ("A text without an end that goes on and on and on", "length", "cut off"),
        (f"{'The bridge stands above the river. ' * 9}", "end", "repeats itself"),
        (BRIDGE, "end", "copies its passage"),
        ("Ana Orr built the Eiffel Tower in 1912.", "end", "invented names or numbers"),
        ("Somebody built something, and others went over it.", "end", "nothing of its passage"),
        (
            "Die Brücke wurde im Jahr 1912 von Ana Orr gebaut. Sie steht hoch über dem Fluss, und "
            "jeden Tag fuhren sehr viele Wagen darüber hinweg in die Hauptstadt des Landes.",
            "end",
            "another language",
        ),
        ("Marn is a capital. Ask me about Marn, then.", "end", "words a ledger question"),
    ],
)  # fmt: skip
def test_what_is_dropped(text: str, finish: str, reason: str) -> None:
    checker = Checker(
        "drop",
        look(BRIDGE).small,
        lambda told: "German" if "Brücke" in told else "English",
        lambda found: "What?" if "Ask me" in found else None,
    )
    assert checker.check(text, finish, checker.source(BRIDGE)).reason == reason


def test_what_is_kept() -> None:
    checker = Checker("flag", look(BRIDGE).small, lambda text: "English")
    source = checker.source(BRIDGE)
    cut_off = "Ana Orr is known for the Orlin Bridge. She built it in 1912. The bridge"
    found = checker.check(cut_off, "length", source)
    assert found.text == "Ana Orr is known for the Orlin Bridge. She built it in 1912."
    assert found.flags == ("cut at its last whole sentence",)
    assert (found.kept, found.named) == (5, 11)
    flagged = checker.check("Ana Orr built a bridge in 1913, not earlier.", "end", source)
    assert (flagged.reason, flagged.invented) == (None, ("1913",))
    text = "<think>Hm.</think>\nSure! Here is the text:\n\nMarn lies in Zorbia.\n\nLet me know!"
    assert cleaned(text) == (
        "Marn lies in Zorbia.",
        ["thoughts removed", "opening words removed", "closing words removed"],
    )
