"""How much a text repeats itself.

Texts are compared by words and punctuation marks, not by tokens, so that models with different
tokenizers compare; a character of a script without spaces counts as a word.
"""

from __future__ import annotations

import re
from typing import Final

_UNIT: Final = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+|[^\w\s]|_+"
)
GRAM: Final = 4
LONGEST_PERIOD: Final = 100
LOOP_UNITS: Final = 20
LOOP_TIMES: Final = 3
"""A text loops where a passage comes three times in a row or more, over 20 words at least."""


def units_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in lowercase."""
    return [unit.lower() for unit in _UNIT.findall(text)]


def repeated_share(units: list[str]) -> float:
    """Return the share of 4-grams that were there before, 0 to 1; 0 for a shorter text.

    One minus the distinct n-grams over all ("distinct-n", Li et al., arXiv 1510.03055).
    """
    grams = [tuple(units[at : at + GRAM]) for at in range(len(units) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def longest_loop(units: list[str]) -> int:
    """Return the words of the longest stretch in which a passage follows itself again and again.

    0 where there is none: fewer than three times in a row, or fewer than 20 words in all. A passage
    has at most 100 words.
    """
    longest = 0
    for period in range(1, min(LONGEST_PERIOD, len(units) // LOOP_TIMES) + 1):
        same = 0
        for at in range(period, len(units)):
            same = same + 1 if units[at] == units[at - period] else 0
            stretch = same + period
            if stretch >= max(LOOP_UNITS, LOOP_TIMES * period):
                longest = max(longest, stretch)
    return longest
