"""Finds e-mail addresses, phone numbers and keys in text, and masks them if that is asked for.

Found is what is certain by its form: a phone number has its country, or the form of the North
American plan, or a word before it that says what it is; a key has a prefix of a well-known issuer,
or stands behind a name such as `api_key` and is as random as a key (Shannon's entropy). So a
date, a version or a hash of a commit is none of these. Private keys (PEM) are left aside with
their document, see `left_aside`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal, get_args

from cptstudio.corpus.cleaning import in_safe_parts

Private = Literal["emails", "phones", "keys"]
PRIVATE: tuple[Private, ...] = get_args(Private)
TITLES: dict[Private, str] = {
    "emails": "e-mail addresses",
    "phones": "phone numbers",
    "keys": "API keys and other secrets",
}
MASKS: dict[Private, str] = {"emails": "[EMAIL]", "phones": "[PHONE]", "keys": "[KEY]"}

_HELD = 1 << 16
_CONTEXT = 1 << 10
_LOCAL = re.compile(r"[\w.%+-]{1,64}$")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
# Each begins with what is quickly searched for; what is before it is looked at afterwards.
_PHONES = (
    re.compile(r"\+\d{1,3}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,7}(?![\w/-]|\.\d)"),
    re.compile(r"00[1-9]\d{0,2}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,7}(?![\w/-]|\.\d)"),
    re.compile(r"[2-9]\d\d(?:\) ?|[ .-])[2-9]\d\d[ .-]\d{4}(?![\w/-]|\.\d)"),
)
_NOT_BEFORE_PHONE = re.compile(r"[\w+./-]$")
_NUMBER = re.compile(r"\d(?:[ \t./()-]{0,3}\d){5,14}(?![\w-])")
_BEFORE_NUMBER = re.compile(
    r"(?i:\b(?:tele?(?:phone|fon|fono|fax)?|phone|fax|mobile?|mobil|cell|handy|t\u00e9l)\b"
    r"|[\u260e\u2706\U0001f4de])"
    r"\.?[ \t]{0,2}(?:no|nr|number|nummer)?\.?[ \t]{0,2}[:=]?[ \t]{0,2}\(?\+?$"
)
# What the keys of well-known issuers begin with, and how they go on.
_ISSUED = {
    "sk-": r"[\w-]{20,200}",
    **dict.fromkeys(
        [f"{kind}_{mode}_" for kind in ("sk", "rk") for mode in ("live", "test")],
        r"[A-Za-z0-9]{16,120}",
    ),
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{36,255}"),
    "github_pat_": r"\w{60,120}",
    "glpat-": r"[\w-]{20,60}",
    **dict.fromkeys(("AKIA", "ASIA"), r"[A-Z0-9]{16}"),
    "AIza": r"[\w-]{35}",
    "ya29.": r"[\w-]{30,300}",
    **dict.fromkeys([f"xox{kind}-" for kind in "abeoprs"], r"[\w-]{10,200}"),
    "hooks.slack.com/services/": r"T\w{6,14}/B\w{6,14}/\w{20,40}",
    "hf_": r"[A-Za-z0-9]{30,60}",
    "npm_": r"[A-Za-z0-9]{36}",
    "pypi-AgEI": r"[\w-]{50,300}",
    "SG.": r"[\w-]{16,32}\.[\w-]{32,64}",
    "dop_v1_": r"[a-f0-9]{64}",
    **dict.fromkeys(("shpat_", "shpca_", "shppa_", "shpss_"), r"[a-fA-F0-9]{32}"),
    "AGE-SECRET-KEY-1": r"[A-Z0-9]{58}",
    "eyJ": r"[\w-]{10,1500}\.eyJ[\w-]{10,3000}\.[\w-]{10,1000}",
}
_KEYS = {start: re.compile(rf"{form}(?![\w-])") for start, form in _ISSUED.items()}
# What many of these begin with has in it, so that few are looked for in most texts.
_RARE = ("xox", "_live_", "_test_", "gh", "shp", "_")
_BY_PART: dict[str, list[tuple[str, re.Pattern[str]]]] = {part: [] for part in (*_RARE, "")}
for _start, _form in _KEYS.items():
    _BY_PART[next((part for part in _RARE if part in _start), "")].append((_start, _form))
_WORD = re.compile(r"[\w-]")
_NAME_WORDS = ("key", "token", "secret", "password", "passwd", "bearer")
_BEFORE_KEY = re.compile("(?:api|access|secret|private|auth|account|client)[_-]?$")
_AFTER_NAME = re.compile(
    r"[\"'\]]{0,2}[ \t]{0,3}(?::=|=>|[:=]|[ \t])[ \t]{0,3}[\"']?"
    r"(?P<private>[A-Za-z0-9+/_.=-]{20,200})(?![A-Za-z0-9+/_=-])"
)
_LEAST_DIGITS, _MOST_DIGITS = 8, 15
_ENTROPY = 3.0
"""Bits a character of what has a prefix; placeholders such as `sk-xxxxxxxx` have less."""
_ENTROPY_NAMED = 3.7


class PrivateData:
    """Counts, and masks, in one text that comes in parts.

    Args:
        mask: kinds that are replaced by `MASKS`.

    Attributes:
        counts: how many were found, by kind.
    """

    def __init__(self, mask: Iterable[Private] = ()) -> None:
        self._mask = frozenset(mask)
        self.counts: dict[Private, int] = {}

    def clean(self, parts: Iterable[str]) -> Iterator[str]:
        """Return the text, in parts; no part is empty."""
        return map(self.part, in_safe_parts(parts, _safe_cut))

    def part(self, text: str) -> str:
        """Return the next part, if it ends where the text does or where it may be cut."""
        found = spans(text)
        if not found:
            return text
        pieces, place = [], 0
        for begin, end, kind in found:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if kind in self._mask:
                pieces += [text[place:begin], MASKS[kind]]
                place = end
        return "".join([*pieces, text[place:]])


def spans(text: str) -> list[tuple[int, int, Private]]:
    """Return where in a text something was found: begin, end and kind, in order, none overlaps."""
    found: list[tuple[int, int, Private]] = []
    found += [(begin, end, "keys") for begin, end in _issued_keys(text)]
    found += [(begin, end, "keys") for begin, end in _named_keys(text)]
    found += [(begin, end, "emails") for begin, end in _emails(text)]
    found += [(begin, end, "phones") for begin, end in _phones(text)]
    if len(found) < 2:
        return found
    apart: list[tuple[int, int, Private]] = []
    # Of what overlaps, the one that begins first counts, then the longer one.
    for one in sorted(found, key=lambda span: (span[0], -span[1])):
        if not apart or one[0] >= apart[-1][1]:
            apart.append(one)
    return apart


def _emails(text: str) -> Iterator[tuple[int, int]]:
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        local = _LOCAL.search(text[max(0, at - 64) : at]) if domain else None
        if domain and local:
            yield at - len(local[0]), domain.end()
        at = text.find("@", at + 1)


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for form in _PHONES:
        for match in form.finditer(text):
            begin = match.start()
            if ")" in match[0] and "(" not in match[0]:
                if text[begin - 1 : begin] != "(":
                    continue
                begin -= 1
            digits = sum(map(str.isdigit, match[0]))
            before = text[max(0, begin - 1) : begin]
            if match[0].count(".") == 1:  # A number with a sign and decimals.
                continue
            if _LEAST_DIGITS <= digits <= _MOST_DIGITS and not _NOT_BEFORE_PHONE.match(before):
                yield begin, match.end()
    for match in _NUMBER.finditer(text):
        begin = match.start()
        named = _BEFORE_NUMBER.search(text[max(0, begin - 32) : begin])
        if named:
            yield begin - len(named[0]) + len(named[0].rstrip("+(")), match.end()


def _keys_in(text: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Beginnings of keys, and how they go on, but for many of those that a text has none of."""
    yield from _BY_PART[""]
    if "xox" in text:
        yield from _BY_PART["xox"]
    if "_" in text:
        for part in _RARE[1:]:
            if part in text:
                yield from _BY_PART[part]


def _issued_keys(text: str) -> Iterator[tuple[int, int]]:
    for start, form in _keys_in(text):
        place = text.find(start)
        while place >= 0:
            rest = form.match(text, place + len(start))
            before = text[max(0, place - 1) : place]
            if rest and not _WORD.match(before) and _entropy(rest[0]) >= _ENTROPY:
                yield place, rest.end()
            place = text.find(start, place + 1)


def _named_keys(text: str) -> Iterator[tuple[int, int]]:
    folded = text.lower()
    if len(folded) != len(text):  # A letter that is two in lower case.
        folded = "".join(letter if len(letter.lower()) > 1 else letter.lower() for letter in text)
    for word in _NAME_WORDS:
        place = folded.find(word)
        while place >= 0:
            value = _AFTER_NAME.match(text, place + len(word))
            if (
                value
                and _is_random(value["private"])
                and (word != "key" or _BEFORE_KEY.search(folded, max(0, place - 12), place))
            ):
                yield value.span("private")
            place = folded.find(word, place + 1)


def _is_random(text: str) -> bool:
    """Whether it looks like a key: letters and digits, without any order."""
    kinds = [any(map(test, text)) for test in (str.isdigit, str.isalpha)]
    return all(kinds) and _entropy(text) >= _ENTROPY_NAMED


def _entropy(text: str) -> float:
    """Shannon's entropy of the characters, bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


def _safe_cut(text: str) -> int:
    """A place near the end where nothing that can be found is cut; 0 to wait for more."""
    if (line := text.rfind("\n")) >= 0:
        return line + 1
    if len(text) < _HELD:
        return 0
    # A line without end: before a word that no number precedes.
    for match in re.finditer(r"(?<=[^\W\d])[ \t](?=[^\W\d])", text[-_HELD:-_CONTEXT]):
        return len(text) - _HELD + match.start()
    return len(text) - _CONTEXT
