"""What is called known, where the likelihoods are known: guesses, real knowledge, both together."""

from __future__ import annotations

import random

from cptstudio.facts.asking import begins_with
from cptstudio.ledgers.fact import Fact, FactText, Made, fact_of
from cptstudio.ledgers.knowing import GUESSES, Answer, answer_of, guesses_of, state_of
from cptstudio.ledgers.options import asked_of, options_of


def values(luck: random.Random, known: bool, wordings: int, options: int) -> list[list[float]]:
    """Likelihoods of a model that prefers some option anyway, the same in part in all wordings."""
    usual = [luck.gauss(0, 0.7) for _ in range(options)]
    found = [[one + luck.gauss(0, 0.7) for one in usual] for _ in range(wordings)]
    for wording in found:
        wording[0] += 3.5 if known else 0.0
    return found


def test_of_what_is_called_known_few_are_guesses_and_most_that_is_known_is_found() -> None:
    luck = random.Random(0)
    guessed = called = found = 0
    for _ in range(25):
        answers = [answer_of(values(luck, number < 30, 2, 10)) for number in range(100)]
        known = [share <= GUESSES for share in guesses_of(answers)]
        called += sum(known)
        guessed += sum(known[30:])
        found += sum(known[:30])
    assert guessed / called < 0.06
    assert found > 0.85 * 30 * 25


def test_a_model_that_knows_nothing_is_said_to_know_nothing() -> None:
    luck = random.Random(1)
    wrong = 0
    for _ in range(20):
        answers = [answer_of(values(luck, False, 1, 10)) for _ in range(200)]
        # It prefers the right one in a tenth of them all the same.
        assert sum(answer.leads for answer in answers) > 5
        wrong += any(share <= GUESSES for share in guesses_of(answers))
    assert wrong <= 2


def test_an_answer_that_leads_in_few_of_its_wordings_is_not_known() -> None:
    # Far ahead in one of three wordings, behind in two: the sum leads all the same.
    odd = answer_of([[9.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert odd.leads
    assert not odd.consistent
    sure = [answer_of([[9.0 + n, 0.0, 0.0]] * 3) for n in range(20)]
    assert guesses_of([odd, *sure])[0] == 1.0
    assert max(guesses_of([odd, *sure])[1:]) <= GUESSES
    assert guesses_of([]) == []
    # An answer that is only as likely as a distractor is none.
    assert not answer_of([[1.0, 1.0]]).leads


def test_states_do_not_take_what_the_base_prefers_for_learned() -> None:
    leads, lags = (Answer(lead, 1.0, 1, 1, 9) for lead in (True, False))
    assert state_of(lags, 1.0, leads, 0.01) == "learned"
    assert state_of(leads, 0.3, leads, 0.01) == "known_before"
    assert state_of(leads, 0.01, leads, 0.3) == "known_before"
    assert state_of(leads, 0.01, lags, 1.0) == "forgotten"
    assert state_of(leads, 0.3, lags, 1.0) == "unknown"
    assert state_of(lags, 1.0, leads, 0.3) == "unknown"


def fact(**given: object) -> Fact:
    return fact_of(FactText.model_validate(given), Made())


def test_texts_that_are_compared_differ_in_their_option_alone() -> None:
    cloze = fact(
        answer="Rome", cloze="The capital is ___ since 1871.", distractors=("Bari", "Pisa", "Turin")
    )
    quiz = fact(
        answer="1871",
        question="Since when?",
        paraphrases=("From when on?",),
        source={"sentence": "It is so since 1871."},
    )
    others = [fact(answer=str(1860 + n), question=f"When was {n}?") for n in range(4)]
    facts = [cloze, quiz, *others]
    asked = asked_of(facts)
    assert asked[0].context == "The capital is"
    cities = ("Rome", "Bari", "Pisa", "Turin")
    assert asked[0].continuations == tuple(f" {city} since 1871." for city in cities)
    assert [one.form for one in asked[:3]] == ["cloze", "question", "paraphrase"]
    # Answers of the same form are borrowed, the same ones for all wordings of a fact.
    assert options_of(facts)[1][0] == "1871"
    assert set(options_of(facts)[1][1:]) == {"1860", "1861", "1862", "1863"}
    assert asked[1].continuations == asked[2].continuations
    (opened,) = (one for one in asked_of(facts, open_book=True) if one.form == "question")
    assert opened.context.startswith("It is so since 1871.\n\nQuestion: ")


def test_an_answer_is_found_at_the_beginning_of_what_was_said() -> None:
    assert begins_with(" The Velmar, which is long.", "Velmar")
    assert begins_with("1,871 people", "1,871")
    assert not begins_with("Velmarshire", "Velmar")
    assert not begins_with("Not the Velmar", "Velmar")
