"""What becomes of a written text: cleaned, held against its passage, kept or dropped and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from cptstudio.corpus.languages import OTHER, UNKNOWN
from cptstudio.corpus.near_duplicates import shingles
from cptstudio.study.settings import Invented
from cptstudio.study.words import Found, doubtful, invented, kept_share, look
from cptstudio.writers.passages import sentences_of

Reason = Literal[
    "failed", "empty", "filtered", "refused", "cut off", "repeats itself", "copies its passage",
    "another language", "invented names or numbers", "nothing of its passage",
    "words a ledger question",
]  # fmt: skip

_THOUGHTS: Final = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.I)
_OPENING: Final = re.compile(
    r"\A\s*(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^\n]{0,120}[:!.]\s*\n+"
    r"|(?:here(?:'s| is| are)|below (?:is|are)|the following (?:is|are))\b[^\n]{0,160}:\s*\n+)+",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"\n+\s*(?:let me know\b|i hope (?:this|that)\b|if you (?:need|want|would like)\b"
    r"|feel free to\b|is there anything\b)[^\n]*\Z",
    re.IGNORECASE,
)
_REFUSAL: Final = re.compile(
    r"\b(?:as an ai\b|as a (?:large )?language model\b"
    r"|i(?: a|['\u2019])m (?:sorry|unable|not able)\b"
    r"|i (?:cannot|can['\u2019]t|can not) (?:help|assist|fulfil|provide|write|create|comply|do)"
    r"|i(?: a|['\u2019])m (?:ready|happy|here) to (?:help|assist)\b"
    r"|i apologi[sz]e\b|i do(?: not|n['\u2019]t) have (?:access|enough)\b"
    r"|(?:please|could you) (?:provide|share|paste) (?:the|a|your) (?:passage|text)\b)",
    re.IGNORECASE,
)
_REFUSES_WITHIN: Final = 300
"""Characters from the beginning; further on it may be a quotation."""
_ENDED: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]*]*\Z")
_LEAST: Final = 20
"""Characters of a text."""
_LEAST_LEFT: Final = 0.5
"""Of a text that was cut off at the limit of tokens, up to its last whole sentence."""
_REPEATS: Final = 0.5
"""The share of different runs of five words below which a text repeats itself."""
_LEAST_RUNS: Final = 20
_COPIES: Final = 0.8
"""The share of a text's runs of five words that its passage has, too."""
_NAMED: Final = 3
"""Names and numbers of a passage of which a text has at least one."""
_LANGUAGE_CHARACTERS: Final = 100


@dataclass(frozen=True)
class Source:
    """A passage as texts are held against it.

    Attributes:
        text: of the passage.
        found: its names and numbers.
        language: as `languages` calls it.
    """

    text: str
    found: Found
    language: str


@dataclass(frozen=True)
class Checked:
    """What became of a text.

    Attributes:
        text: as it goes into the corpus.
        reason: why it does not go there, or None.
        detail: a few words to the reason.
        flags: what was found of a text that is kept.
        kept: names and numbers of the passage that it has.
        named: that the passage has.
        invented: names and numbers that its passage does not have.
    """

    text: str
    reason: Reason | None
    detail: str = ""
    flags: tuple[str, ...] = ()
    kept: int = 0
    named: int = 0
    invented: tuple[str, ...] = ()


@dataclass
class Checker:
    """Holds texts against their passages.

    Attributes:
        invented: what happens to texts with names or numbers of their own.
        ordinary: folded words that are no names.
        language: tells the language of a text.
        asks: returns the question of a ledger that a text words, or None.
        may_copy: the writer are rules, whose texts have their passage's words.
    """

    invented: Invented
    ordinary: Set[str]
    language: Callable[[str], str]
    asks: Callable[[str], str | None] = field(default=lambda text: None)
    may_copy: bool = False

    def source(self, text: str) -> Source:
        """Return a passage, looked at once for all its texts."""
        language = self.language(text)
        return Source(text, look(text, language), language)

    def check(self, given: str, finish: str, source: Source) -> Checked:
        """Return what becomes of a text."""
        text, flags = cleaned(given)
        refused = _refusal(text)
        if finish == "filtered":
            return Checked(text, "filtered", "the endpoint's filter cut it")
        if refused:
            return Checked(text, "refused", refused)
        if finish == "length":
            whole = _whole(text)
            if len(whole) < _LEAST_LEFT * len(text):
                return Checked(text, "cut off", "no whole sentence before the limit of tokens")
            text, flags = whole, [*flags, "cut at its last whole sentence"]
        if len(text) < _LEAST:
            return Checked(text, "empty", f"{len(text)} characters")
        wrong = self._repeats(text, source) or self._other_language(text, source)
        if wrong is not None:
            return wrong
        asked = self.asks(text)
        if asked is not None:
            return Checked(text, "words a ledger question", asked[:200])
        made = look(text, source.language, made=True)
        kept, named = kept_share(made, source.found, self.ordinary)
        own = tuple(invented(made, source.found))
        if own and self.invented == "drop":
            detail = ", ".join(own[:8])
            reason: Reason = "invented names or numbers"
            return Checked(text, reason, detail, tuple(flags), kept, named, own)
        if named >= _NAMED and not kept:
            detail = f"none of its {named} names and numbers"
            return Checked(text, "nothing of its passage", detail, tuple(flags), kept, named, own)
        if own:
            flags = [*flags, "has names or numbers of its own"]
        elif doubtful(made, source.found, self.ordinary):
            # Most are ordinary words, so such a text is not dropped.
            flags = [*flags, "may have a name of its own"]
        return Checked(text, None, "", tuple(flags), kept, named, own)

    def _repeats(self, text: str, source: Source) -> Checked | None:
        runs, _, _ = shingles(text.encode())
        if len(runs) < _LEAST_RUNS:
            return None
        share = len(np.unique(runs)) / len(runs)
        if share < _REPEATS:
            return Checked(text, "repeats itself", f"{1 - share:.0%} of its runs of five words")
        if self.may_copy:
            return None
        of_passage, _, _ = shingles(source.text.encode())
        copied = float(np.isin(runs, of_passage).mean())
        if copied > _COPIES:
            return Checked(text, "copies its passage", f"{copied:.0%} of its runs of five words")
        return None

    def _other_language(self, text: str, source: Source) -> Checked | None:
        if min(len(text), len(source.text)) < _LANGUAGE_CHARACTERS:
            return None
        told = self.language(text)
        if told == source.language or {told, source.language} & {UNKNOWN, OTHER}:
            return None
        return Checked(text, "another language", f"{told} instead of {source.language}")


def cleaned(text: str) -> tuple[str, list[str]]:
    """Return a text without what its writer says to the one who asked, and what was taken away."""
    flags = []
    shown = _THOUGHTS.sub("", text)
    if shown != text:
        flags.append("thoughts removed")
    opened = _OPENING.sub("", shown)
    if opened != shown:
        flags.append("opening words removed")
    closed = _CLOSING.sub("", opened)
    if closed != opened:
        flags.append("closing words removed")
    return closed.strip(), flags


def _refusal(text: str) -> str | None:
    found = _REFUSAL.search(text[:_REFUSES_WITHIN])
    return found[0] if found else None


def _whole(text: str) -> str:
    """Return a text up to its last whole sentence, or its last whole line of several."""
    if _ENDED.search(text):
        return text
    above, newline, last = text.rpartition("\n")
    sentences = sentences_of(last)
    if len(sentences) > 1:
        kept = " ".join(last.split())
        kept = kept[: kept.rindex(sentences[-1])].rstrip()
        return f"{above}{newline}{kept}"
    return above.rstrip()
