"""Settings as YAML text."""

from __future__ import annotations

from typing import Any

from cptstudio.web.problems import Problem


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
