"""A model's docstring as what OpenAPI says about the model and about each of its fields."""

from __future__ import annotations

import re
from typing import Any

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^(\w+): (.*)$")


def describe_fields(schema: dict[str, Any]) -> None:
    """Move the section "Attributes" of a schema's description to the fields it is about."""
    text, attributes = split_docstring(schema.get("description", ""))
    if text:
        schema["description"] = text
    else:
        schema.pop("description", None)
    for name, described in schema.get("properties", {}).items():
        if name in attributes and "description" not in described:
            described["description"] = attributes[name]


def split_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """The text of a docstring without its sections, and the entries of its "Attributes"."""
    first, *sections = _SECTION.split(docstring)
    attributes: dict[str, str] = {}
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        if title == "Attributes":
            attributes = _entries(content)
    return first.strip(), attributes


def _entries(content: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    lines = [line for line in content.splitlines() if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    for line in lines:
        entry = _ENTRY.match(line[indent:])
        if entry:
            name, text = entry.groups()
            found[name] = text
        elif name:
            found[name] += " " + line.strip()
    return found
