"""Words across line ends: whether a hyphen is the line's or the word's, and where no space goes."""

# ruff: noqa: RUF001 - marks of other scripts

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from cptstudio.corpus.readers.pdf_lines import Line

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LAST = re.compile(r"[^\W_]+\Z")
_FIRST = re.compile(r"[^\W_]+")
# Scripts that set no spaces between words: Thai, Lao, Burmese, Khmer, and East Asian but Hangul.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f"
    "\uff01-\uff9f\U00020000-\U0003ffff]"
)
_WIDE_MARKS = ("、", "。", "，", "．", "：", "；", "！", "？", "」", "』", "）")
_ADDRESS = re.compile(r"://|\bwww\.")
_GOES_ON = "/.-_?&=%#~"
_LOWER = re.compile(r"[a-z0-9_%~?&#/]")
_SOFT = "\N{SOFT HYPHEN}"
# After the first part of two that share what follows: "pre- and postprocessing".
_SUSPENDED = frozenset(
    ("and", "or", "to", "und", "oder", "bis", "et", "ou", "y", "o", "e", "of", "en")
)
_SUFFIXES = ("s", "es", "d", "ed", "ing", "ly", "er", "n", "en", "e", "m")


class Vocabulary:
    """The words that a document has within its lines, with how often."""

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()
        self._firsts: set[str] = set()
        self._lasts: set[str] = set()

    def add(self, lines: Iterable[Line]) -> None:
        """Count the words of lines, but for those that a line's end may have cut."""
        texts = []
        after_hyphen = False
        for line in lines:
            words = line.words[1:] if after_hyphen else line.words
            if line.hyphen:
                words = words[:-1]
            texts += [word.text for word in words]
            after_hyphen = line.hyphen
        self.count(" ".join(texts))

    def count(self, text: str) -> None:
        """Count the words of a text."""
        found = _WORD.findall(text.casefold())
        self._words.update(found)
        compounds = [word.split("-") for word in found if "-" in word]
        self._firsts.update([parts[0] for parts in compounds])
        self._lasts.update([parts[-1] for parts in compounds])

    def keeps_hyphen(self, before: str, after: str) -> bool:
        """Return whether a hyphen between two parts belongs to the word, as in "well-known".

        The document's own words decide. Where it has none of both forms, a hyphen between two of
        its words is the word's: of R's seven manuals this holds for 34 of 36.
        """
        if not before.isalpha() or not after.isalpha():
            return True
        if after[0].isupper() != before[-1].isupper():
            return True
        one, other = before.casefold(), after.casefold()
        words = self._words
        whole, parted = words[one + other], words[f"{one}-{other}"]
        if whole or parted:
            return parted > whole
        if self._has_form_of(one + other):
            return False
        if words[one] and words[other] and min(len(one), len(other)) > 2:
            return True
        return (one in self._firsts and words[other] > 0) or (
            words[one] > 0 and other in self._lasts
        )

    def _has_form_of(self, word: str) -> bool:
        """Whether it has the word with another ending."""
        words = self._words
        for suffix in _SUFFIXES:
            if words[word + suffix]:
                return True
            if word.endswith(suffix) and words[word[: -len(suffix)]]:
                return True
        return False


def joined(text: str, following: str, hyphen: bool, vocabulary: Vocabulary) -> str:
    """Return a line's text followed by the next one's.

    Args:
        text: so far.
        following: the next line's text.
        hyphen: the first ends with a hyphen after a letter or a digit.
        vocabulary: the document's.
    """
    last = text.rsplit(None, 1)[-1] if text and not text[-1].isspace() else ""
    if _ADDRESS.search(last) and last[-1] in _GOES_ON and _LOWER.match(following):
        return text + following
    if following.startswith("//") and last.endswith(("http:", "https:", "ftp:")):
        return text + following
    if last[-1:] == "_" and last[-2:-1].isalnum() and following[:1].isalnum():
        return text + following
    if hyphen:
        before = _LAST.search(text[:-1])
        after = _FIRST.match(following)
        if before and after:
            if after[0].casefold() in _SUSPENDED:
                return f"{text} {following}"
            if text[-1] in _SOFT or not vocabulary.keeps_hyphen(before[0], after[0]):
                return text[:-1] + following
        return text + following
    if text[-1:] in _WIDE_MARKS or (UNSPACED.match(text[-1:]) and UNSPACED.match(following)):
        return text + following
    return f"{text} {following}"
