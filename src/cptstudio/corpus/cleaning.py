"""Text as the model shall see it, with code left intact.

Line ends become newlines, Unicode is composed (NFC, Unicode Standard Annex 15), a byte order
mark at the start and control characters are dropped. Newlines, tabs, form feeds (which separate
pages of source code) and every kind of indentation stay, so clean UTF-8 source code comes
through byte for byte, but for its carriage returns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST_HELD = 1 << 16
LONGEST_RUN = 256
"""Combining marks in a row that are put into order, which takes time with the square of their
number. Languages have up to three, and text that is decorated for fun some dozens."""

_STRIDE = 16


class Cleaner:
    """Cleans one text that comes in parts.

    Attributes:
        dropped_controls: control characters that were dropped.
        replaced_surrogates: lone surrogates, which UTF-8 cannot hold, replaced by U+FFFD.
        long_runs: how often more combining marks than `LONGEST_RUN` stand in a row, or parts of
            such a run; they are left as they are.
    """

    def __init__(self) -> None:
        self.dropped_controls = 0
        self.replaced_surrogates = 0
        self.long_runs = 0
        self._at_start = True

    def clean(self, parts: Iterable[str]) -> Iterator[str]:
        """Yield the cleaned text, in parts; no part is empty."""
        for text in in_safe_parts(parts, _safe_cut):
            if clean := self.part(text):
                yield clean

    def part(self, text: str) -> str:
        """Return the next part cleaned, if it ends where the text does or where it may be cut."""
        if self._at_start:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if not text.isascii():
            text, count = _SURROGATE.subn("\ufffd", text)
            self.replaced_surrogates += count
            text = self._composed(text.replace("\x85", "\n"))
        if _CONTROL.search(text):
            text, count = _CONTROL.subn("", text)
            self.dropped_controls += count
        return text

    def _composed(self, text: str) -> str:
        sampled, runs = _long_runs()
        # Every 16th character is enough to see that there is no such run, sixteen times as fast.
        if not sampled.search(text[::_STRIDE]):
            return unicodedata.normalize("NFC", text)
        parts = runs.split(text)
        self.long_runs += len(parts) // 2
        for place in range(0, len(parts), 2):
            parts[place] = unicodedata.normalize("NFC", parts[place])
        return "".join(parts)


@cache
def _long_runs() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Find more than `LONGEST_RUN` characters in a row that Unicode may put into another order.

    Returns:
        What finds all that may be one in every `_STRIDE`th character, and what finds them.
    """
    marks = [chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code))]
    some = f"[{''.join(marks)}]"
    few = LONGEST_RUN // _STRIDE
    return re.compile(f"{some}{{{few}}}"), re.compile(f"({some}{{{LONGEST_RUN + 1},}})")


def in_safe_parts(parts: Iterable[str], safe_cut: Callable[[str], int]) -> Iterator[str]:
    """Yield a text in parts that can be looked at apart; no part is empty.

    Args:
        parts: of the text, cut anywhere.
        safe_cut: the last place of a text where it may be cut; 0 to wait for more of it.
    """
    held = ""
    for part in parts:
        text = held + part
        cut = safe_cut(text)
        held = text[cut:]
        if cut:
            yield text[:cut]
    if held:
        yield held


def _safe_cut(text: str) -> int:
    """A place near the end where cleaning both sides apart equals cleaning the whole.

    An ASCII character other than a newline is one: nothing composes with what precedes it. In
    text without any, a character of a kind that never composes with its predecessor.
    """
    for place in range(len(text) - 1, max(0, len(text) - _LONGEST_HELD), -1):
        character = text[place]
        if character == "\n":
            continue
        if character.isascii() or _starts_afresh(character):
            return place
    return 0 if len(text) < _LONGEST_HELD else len(text) - 1


def _starts_afresh(character: str) -> bool:
    category = unicodedata.category(character)
    # Hangul vowels and final consonants are letters that compose with what precedes them.
    return category[0] != "M" and not "\u1160" <= character <= "\u11ff"
