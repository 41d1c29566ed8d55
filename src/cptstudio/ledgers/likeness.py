"""Which answers look alike: how names and numbers are written."""

from __future__ import annotations

import hashlib
import re
from typing import Final

NUMBER: Final = re.compile(
    r"(?<![\w.,:/$+\u2013-])\d+(?:,\d{3})*(?:\.\d+)*%?(?![\w:/\u2013-]|[.,]\d)"
)


def luck(text: str) -> float:
    """Return a number in [0, 1) that follows from a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def shape(name: str) -> tuple[str, ...]:
    """Return how the words of a name are written."""
    return tuple(_shape_of_word(word) for word in name.split())


def _shape_of_word(word: str) -> str:
    letters = "".join(char for char in word if char.isalpha())
    if letters.isupper():
        return "capitals"
    return "title" if letters[1:].islower() else "mixed"


def is_number(text: str) -> bool:
    """Return whether a text is a number of the forms that are asked for."""
    return NUMBER.fullmatch(text) is not None


def form_of(number: str) -> tuple[int, int, int, bool, bool]:
    """Return how a number is written: parts, digits, leading zero, percent."""
    parts = number.rstrip("%").replace(",", "").split(".")
    decimals = len(parts[-1]) if len(parts) == 2 else 0
    zero = len(parts[0]) > 1 and parts[0].startswith("0")
    return len(parts), len(parts[0]), decimals, zero, number.endswith("%")
