"""Which license a model's or dataset's own card names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cptstudio.models.card import front_matter, read_card

_LONGEST_LICENSE = 60
"""A license's name that is longer is no name."""


def license_of(matter: dict[str, Any]) -> str | None:
    """Return the license as a card writes it, such as "apache-2.0"; None where it names none."""
    # "other" says that the name stands beside it.
    names = [matter.get("license"), matter.get("license_name")]
    if names[0] == "other" and names[1]:
        names.reverse()
    found = names[0]
    if isinstance(found, list):
        found = found[0] if len(found) == 1 else None
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST_LICENSE else None


def read_license(folder: Path) -> str | None:
    """Return the license that the card in a model's folder names; None where it names none."""
    return license_of(front_matter(read_card(folder) or ""))
