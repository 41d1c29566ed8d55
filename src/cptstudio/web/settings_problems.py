"""Findings about settings, each at the field it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from cptstudio.errors import UserError
from cptstudio.settings import TrainingSettings, sentences
from cptstudio.web.problems import Problem


def checked_settings(tree: Mapping[str, Any]) -> TrainingSettings:
    """A tree of plain values as settings.

    Raises:
        Problem: with every finding, by field.
    """
    try:
        return TrainingSettings.model_validate(tree)
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        problems = []
        details = error.errors(include_url=False)
        places = [detail["loc"] for detail in details]
        # Both lists come from the same findings, in the same order.
        for detail, sentence in zip(details, sentences(error), strict=True):
            place = detail["loc"]
            inner = any(other != place and other[: len(place)] == place for other in places)
            if inner and detail["type"] == "too_short":
                continue  # It is short because what is in it is wrong, which is told already.
            name = ".".join(str(part) for part in place)
            problems.append(sentence)
            fields.setdefault(name, []).append(sentence.removeprefix(f"{name}: "))
        raise Problem("These settings cannot be used:", problems, fields) from None


def with_fields(error: UserError, settings: TrainingSettings) -> Problem:
    """What the planner found, with the fields that it is about."""
    fields: dict[str, list[str]] = {}
    for problem in error.problems or (error.message,):
        fields.setdefault(_field_of(problem, settings), []).append(problem)
    return Problem(error.message, error.problems, fields)


def _field_of(problem: str, settings: TrainingSettings) -> str:
    if "model.trust_remote_code" in problem:
        return "model.trust_remote_code"
    if "cannot be trained in full" in problem:
        return "method.kind"
    names = (use.name for use in settings.data.corpora)
    if any(
        f"/{name}" in problem or f"'{name}'" in problem or f" {name} " in problem for name in names
    ):
        return "data.corpora"
    if settings.model.path in problem or "model" in problem.lower():
        return "model.path"
    return "data.corpora"


def parse_yaml(text: str) -> dict[str, Any]:
    """A tree of settings from YAML.

    Raises:
        Problem: it is none. Aliases are refused: a few lines of them stand for gigabytes.
    """
    import yaml

    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise Problem("This YAML has aliases (*name); write the values out.")
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = " ".join(str(error).split())[:300]
        raise Problem(f"This cannot be read as YAML: {problem}") from None
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise Problem("The YAML has to hold a tree of settings, such as `model: {path: ...}`.")
    return tree
