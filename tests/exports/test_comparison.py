"""What a comparison finds and says, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from cptstudio.errors import UserError
from cptstudio.exports.comparison import (
    Answers,
    Gain,
    Reference,
    ReferencePrompt,
    ReferenceWindow,
    compare,
    prove,
)

REFERENCE = Reference(
    label="first@step-00000020",
    computed="float32",
    text="3 validation tokens of words",
    text_bytes=6,
    bytes=1000,
    prompts=[
        ReferencePrompt(tokens=[0, 5], greedy=[1, 2, 3, 4], margins=[1.0, 2.0, 0.5, 3.0]),
        ReferencePrompt(tokens=[0, 6], greedy=[7, 8, 9, 9], margins=[1.0, 0.0004, 0.5, 3.0]),
    ],
    windows=[
        ReferenceWindow(tokens=[0, 5, 6], log_probs=[-1.0, -2.0], best=[5, 9]),
        ReferenceWindow(tokens=[0, 7], log_probs=[-3.0], best=[1]),
    ],
)


def answers(**changed) -> Answers:
    given = {
        "by": "a program 1.0",
        "computed": "float16",
        "greedy": [[1, 2, 3, 4], [7, 8, 9, 9]],
        "log_probs": [[-1.0, -2.0], [-3.0]],
        "best": [[5, 9], [1]],
    }
    return Answers(**{**given, **changed})


def found(changed: dict, gain: float | None = None):
    comparison = compare(REFERENCE, answers(**changed), size=250, bits_per_weight=8.5)
    return prove(comparison, Gain(bits_per_byte=gain, why="the run has no evaluations."))


def test_equal_answers_cost_nothing() -> None:
    proof = found({}, gain=0.2)
    comparison = proof.comparison
    assert (comparison.cost, comparison.max_difference) == (0, 0)
    assert (comparison.best_agreement, comparison.greedy_agreement) == (1, 1)
    assert comparison.bits_per_byte == pytest.approx(6 / math.log(2) / 6)
    assert (comparison.equal_prompts, comparison.divergences) == (2, [])
    assert "Nothing of the 0.2000 that training gained is lost." in proof.sentences
    assert not proof.warning


def test_what_differs_is_counted() -> None:
    proof = found(
        {
            "greedy": [[1, 2, 0, 4], [7, 0, 9, 9]],
            "log_probs": [[-1.5, -2.0], [-3.1]],
            "best": [[5, 8], [1]],
        }
    )
    comparison = proof.comparison
    assert comparison.cost == pytest.approx(0.6 / math.log(2) / 6)
    assert comparison.mean_difference == pytest.approx(0.2)
    assert comparison.max_difference == pytest.approx(0.5)
    assert comparison.best_agreement == pytest.approx(2 / 3)
    # Two tokens before the first different one, and one.
    assert comparison.greedy_agreement == pytest.approx(3 / 8)
    assert [(d.prompt, d.token, d.margin) for d in comparison.divergences] == [
        (0, 2, 0.5),
        (1, 1, 0.0004),
    ]
    assert not comparison.only_ties
    assert proof.sentences[-1].startswith("What training gained was not measured: the run has no")
    ties = found({"greedy": [[1, 2, 3, 4], [7, 0, 9, 9]]})
    assert ties.comparison.only_ties
    assert any("within 0.001 nats" in sentence for sentence in ties.sentences)


@pytest.mark.parametrize(
    ("gain", "warned", "said"),
    [(0.2, False, "12%"), (0.06, True, "40%"), (-0.01, False, "show no gain")],
)
def test_bits_that_cost_a_third_of_the_gain_are_warned_of(
    gain: float, warned: bool, said: str
) -> None:
    lost = 0.024 * 6 * math.log(2)
    proof = found({"log_probs": [[-1.0, -2.0], [-3.0 - lost]]}, gain=gain)
    assert proof.comparison.cost == pytest.approx(0.024)
    assert bool(proof.warning) is warned
    assert said in proof.sentences[-1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"greedy": [[1, 2, 3, 4]]}, "did not write as many tokens"),
        ({"log_probs": [[-1.0], [-3.0]]}, "did not score all tokens"),
        ({"log_probs": [[-1.0, math.nan], [-3.0]]}, "1 of 3 tokens"),
    ],
)
def test_answers_that_are_none_are_refused(changed: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        found(changed)
