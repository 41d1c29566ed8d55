"""Every setting with every kind of wrong value: plain sentences, each with its field."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cptstudio.errors import UserError
from cptstudio.settings import Settings, TrainingSettings, parse_settings
from cptstudio.web import api
from cptstudio.web.api.http import validate
from cptstudio.web.problems import Problem

SMALLEST: dict[str, Any] = {"model": {"path": "base"}, "data": {"corpora": [{"name": "domain"}]}}
WRONG = {
    "word": "abc",
    "bound as text": "-7",
    "negative": -7,
    "fraction": 0.5,
    "huge": 10**400,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "infinite as text": "inf",
    "hexadecimal": "0x10",
    "dashes": "--",
    "empty": "",
    "nothing": None,
    "yes": True,
    "object": {"a": [1]},
    "list": [],
    "nested list": [[None]],
    "list of objects": [{"name": 5, "rolle": "x"}],
}
LEAK = re.compile(
    r"Input should|ArgsKwargs|\(given|pydantic|instance|parse|unable|NoneType|Literal|[Tt]uple|"
    r"\bdict|Value error|Field required|Extra inputs|valid (integer|number|string|boolean)|finite|"
    r"None|True|False|<|\b[a-z]+\.[a-z_]+\b"
)


def places(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field of the tree, groups included, by dotted name."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from places(field.annotation, f"{prefix}{name}.")


PLACES = dict(places(TrainingSettings))


def tree_with(dotted: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "model": dict(SMALLEST["model"]),
        "data": dict(SMALLEST["data"]),
    }
    *groups, last = dotted.split(".")
    place = tree
    for group in groups:
        place = place.setdefault(group, {})
    place[last] = value
    return tree


@pytest.mark.parametrize("dotted", PLACES)
def test_a_wrong_value_is_told_at_its_field_in_plain_words(dotted: str) -> None:
    refused = 0
    for kind, value in WRONG.items():
        try:
            parse_settings(tree_with(dotted, value))
        except UserError as error:
            refused += 1
            for finding in error.findings:
                told = f"{kind}: {finding.field}: {finding}"
                assert finding.field == dotted or finding.field.startswith(f"{dotted}."), told
                assert finding.title and finding.sentence in str(finding), told
                assert not LEAK.search(finding.sentence), told
                assert re.match(r"[A-Z“]", finding.sentence) and finding.sentence[-1] in ".?", told
                known = PLACES.get(finding.field)
                if known is not None and known.title:
                    assert known.title == finding.title, told
    assert refused >= 5


@pytest.mark.parametrize("dotted", [name for name, field in PLACES.items() if field.metadata])
def test_a_broken_bound_is_named(dotted: str) -> None:
    metadata = PLACES[dotted].metadata
    for name, past in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
        bound = next((b for one in metadata if (b := getattr(one, name, None)) is not None), None)
        if bound is None:
            continue
        with pytest.raises(UserError) as caught:
            parse_settings(tree_with(dotted, bound + past))
        assert f"{bound:,}" in caught.value.findings[0].sentence


def test_missing_and_unknown_names() -> None:
    with pytest.raises(UserError) as caught:
        parse_settings({"data": {"corpora": []}, "optimizer": {"learning_rat": 1}, "x": 1})
    assert [(one.field, str(one)) for one in caught.value.findings] == [
        ("model", "Model: Required."),
        ("data.corpora", "Corpora: Add at least one entry."),
        (
            "optimizer.learning_rat",
            "optimizer.learning_rat: Unknown field. Did you mean learning_rate?",
        ),
        ("x", "x: Unknown field."),
    ]


def bodies_and_queries() -> list[type[BaseModel]]:
    """What the API's routes take."""
    found = []
    for module in pkgutil.iter_modules(api.__path__):
        for one in vars(importlib.import_module(f"{api.__name__}.{module.name}")).values():
            if isinstance(one, type) and issubclass(one, BaseModel):
                found.append(one)
    return sorted(set(found), key=lambda one: one.__name__)


@pytest.mark.parametrize("model", bodies_and_queries(), ids=lambda model: model.__name__)
def test_the_api_refuses_in_plain_words_with_the_field(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        for kind, value in WRONG.items():
            try:
                validate(model, {field.alias or name: value, "nonsense": 1})
            except Problem as problem:
                for finding in problem.findings:
                    told = f"{name}: {kind}: {finding.field}: {finding}"
                    assert not LEAK.search(finding.sentence), told
                    assert finding.sentence[-1] in ".?" and finding.sentence[0].isupper(), told
                    assert finding.title and finding.title in str(finding), told
