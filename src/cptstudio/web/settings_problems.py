"""Settings as YAML text."""

from __future__ import annotations

from typing import Any

from cptstudio import yaml_text
from cptstudio.web.problems import Problem


def parse_yaml(text: str) -> dict[str, Any]:
    """A tree of settings from YAML.

    Raises:
        Problem: it is none, or one that is refused; see `yaml_text`.
    """
    try:
        tree = yaml_text.parse_yaml(text)
    except ValueError as error:
        raise Problem(f"This cannot be read as YAML: {error}") from None
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise Problem("The YAML has to hold a tree of settings, such as `model: {path: ...}`.")
    return tree
