"""Pages whose text is hardly what they show: fonts without Unicode values, poor text recognition.

Fonts that give Latin letters for those of another script make words of both; a recognition that
did not do well leaves words with signs and digits among their letters.
"""

from __future__ import annotations

import re

from cptstudio.corpus.readers.pdf_characters import NO_VALUE

_ENOUGH_WORDS = 20
_WRONG_SHARE = 0.15
_WORD = re.compile(r"\S{3,}")
# Greek is left out: it is a formula's, beside Latin letters.
_OTHER = "[\u0400-\u052f\u0590-\u08ff\u0900-\u0dff\u0e00-\u0eff\u10a0-\u10ff]"
_MIXED = re.compile(f"[A-Za-z]{_OTHER}|{_OTHER}[A-Za-z]")
_BROKEN = re.compile(r"[a-z][^\w\s'\u2019./@:_&-][a-z]|[a-z]\d[a-z]|[a-z][A-Z][a-z]|[|~^{}<>\\]")


def is_doubtful(text: str, recognized: bool) -> bool:
    """Return whether a page's text is hardly what it shows.

    Args:
        text: of the page.
        recognized: it is a text recognition's, of which more is expected to be wrong.
    """
    if text.isascii() and not recognized:
        return False
    if not recognized and NO_VALUE not in text and _MIXED.search(text) is None:
        return False
    words = _WORD.findall(text)
    if len(words) < _ENOUGH_WORDS:
        return False
    wrong = sum(
        NO_VALUE in word
        or _MIXED.search(word) is not None
        or (recognized and _BROKEN.search(word) is not None)
        for word in words
    )
    return wrong > _WRONG_SHARE * len(words)
