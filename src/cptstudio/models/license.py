"""Which license a model's own card names: the front matter of its README.md."""

from __future__ import annotations

import re
from pathlib import Path

from cptstudio import yaml_text

_MOST_CHARACTERS = 64 * 1024
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\n---", re.DOTALL)
_LONGEST = 60
"""A license's name that is longer is no name."""


def read_license(folder: Path) -> str | None:
    """Return the license as the card writes it, such as "apache-2.0"; None where it names none."""
    file = folder / "README.md"
    try:
        if not file.is_file():
            return None
        with file.open(encoding="utf-8", errors="replace") as opened:
            matter = _FRONT_MATTER.match(opened.read(_MOST_CHARACTERS))
        card = yaml_text.parse_yaml(matter[1]) if matter else None
    except (OSError, ValueError):
        return None
    if not isinstance(card, dict):
        return None
    # "other" says that the name stands beside it.
    names = [card.get("license"), card.get("license_name")]
    if names[0] == "other" and names[1]:
        names.reverse()
    found = names[0]
    if isinstance(found, list):
        found = found[0] if len(found) == 1 else None
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST else None
