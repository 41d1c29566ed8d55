"""A model's or dataset's own card: a README.md that begins with YAML front matter.

It comes from outside: what it says is read strictly, and shown as text alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cptstudio import durable, yaml_text
from cptstudio.errors import UserError

CARD = "README.md"
CARD_LIMIT = durable.MEBIBYTE
"""Bytes of a card that are read."""
_MATTER_LIMIT = 64 * 1024
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


def front_matter(text: str) -> dict[str, Any]:
    """Return what a card says of itself; empty where it says nothing that can be read."""
    matter = _FRONT_MATTER.match(text[:_MATTER_LIMIT])
    try:
        found = yaml_text.parse_yaml(matter[1]) if matter else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def body_of(text: str) -> str:
    """Return a card's text without its front matter."""
    matter = _FRONT_MATTER.match(text[:_MATTER_LIMIT])
    return text[matter.end() :].lstrip("\r\n") if matter else text


def read_card(folder: Path) -> str | None:
    """Return the card in a model's folder; None where there is none that can be read."""
    file = folder / CARD
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            return opened.read(CARD_LIMIT).decode("utf-8", "replace")
    except (OSError, UserError):
        return None
