"""The settings tree: all problems at once, in words."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio.errors import UserError
from cptstudio.lengths import Length
from cptstudio.settings import TrainingSettings, parse_settings

SMALLEST = {"model": {"path": "base"}, "data": {"corpora": [{"name": "domain"}]}}


def test_a_tree_survives_the_round_trip_through_plain_values() -> None:
    settings = parse_settings({**SMALLEST, "length": "2M tokens"})
    assert settings.length == Length(2e6, "tokens")
    again = parse_settings(settings.model_dump(mode="json"))
    assert again == settings


def test_all_problems_are_reported_together_with_their_place() -> None:
    tree: dict[str, Any] = {
        "model": {"path": ""},
        "data": {"corpora": [{"name": "general", "role": "replay"}], "sequencelength": 4},
        "length": "2M",
        "optimizer": {"learning_rate": -1},
    }
    with pytest.raises(UserError) as caught:
        parse_settings(tree)
    text = "\n".join(caught.value.problems)
    for part in (
        "Base model: Enter some text.",
        "data.sequencelength: Unknown field. Did you mean sequence_length?",
        "Training length: Enter a number and a unit, such as 500 steps, 2M tokens, or 1.5 epochs.",
        "Learning rate: Use a value above 0.",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("corpora", "problem"),
    [
        ([{"name": "a", "role": "replay"}], "at least one corpus the domain role"),
        ([{"name": "a"}, {"name": "a"}], "more than once: a"),
        ([{"name": "../a"}], "is not a valid corpus name"),
        ([], "at least one entry"),
    ],
)
def test_a_mixture_that_cannot_be_trained_is_refused(
    corpora: list[dict[str, str]], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        parse_settings({"model": {"path": "base"}, "data": {"corpora": corpora}})


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500 steps", Length(500, "steps")),
        ("1 step", Length(1, "steps")),
        ("2M tokens", Length(2_000_000, "tokens")),
        ("1_000k tokens", Length(1_000_000, "tokens")),
        ("1.5 epochs", Length(1.5, "epochs")),
        (" .5EPOCH ", Length(0.5, "epochs")),
    ],
)
def test_lengths_are_read_with_their_unit(text: str, length: Length) -> None:
    assert Length.parse(text) == length
    assert Length.parse(str(length)) == length


@pytest.mark.parametrize("text", ["", "5", "steps", "-5 steps", "0 steps", "1.5 steps", "5 miles"])
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Length.parse(text)


def test_lengths_become_steps() -> None:
    assert Length(7, "steps").to_steps(100, 1000) == 7
    assert Length(1000, "tokens").to_steps(100, 5000) == 10
    assert Length(2, "epochs").to_steps(100, 1000) == 20
    assert Length(1, "tokens").to_steps(100, 1000) == 1


def test_every_setting_explains_itself() -> None:
    def check(schema: dict[str, Any], where: str) -> int:
        count = 0
        for name, field in schema["properties"].items():
            if "$ref" in field or "title" not in field:
                continue
            if where and name not in ("model", "data"):
                assert field.get("description"), f"{where}.{name} has no help"
                count += 1
        return count

    schema = TrainingSettings.model_json_schema()
    total = sum(check(group, name) for name, group in schema["$defs"].items() if name != "Length")
    assert total > 35
