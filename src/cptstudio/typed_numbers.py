"""Numbers as people type them: read right or refused, never taken for another number.

`web/ui/lib/typed_number.js` reads the same for the pages; `tests/typed_numbers.json` holds both
to one table. A comma is a decimal comma or separates thousands; where it can be either, as in
1,000, nobody can know, and the text is refused with both readings.
"""

from __future__ import annotations

import math
import re

MOST_WHOLE = 2**53 - 1
"""Greater whole numbers are not exact in the pages' JavaScript."""
_SUFFIXES = {"k": 3, "m": 6, "g": 9, "b": 9}
_SPACES = " \t\u00a0\u2007\u2009\u202f"
_FORMS = {chr(0xFF01 + at): chr(0x21 + at) for at in range(94)}
"""Full-width forms, as Chinese and Japanese keyboards write them."""
_FORMS |= {"\u2212": "-", "\u2019": "'", "\u066b": ".", "\u3000": " "}
_FORMS |= dict.fromkeys(_SPACES, " ")
_NUMBER = re.compile(r"([+-]?)([0-9][0-9,._' ]*|[.,][0-9]+)(?:[eE]([+-]?[0-9]{1,4}))?", re.ASCII)
_GROUPED = re.compile(r"[0-9]{1,3}(?:([_' ])[0-9]{3})(?:\1[0-9]{3})*(?:[.,]([0-9]+))?")
_ENGLISH = re.compile(r"[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+\.[0-9]*|(?:,[0-9]{3}){2,})")
_GERMAN = re.compile(r"[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+,[0-9]*|(?:\.[0-9]{3}){2,})")
_PLAIN = re.compile(r"[0-9]*[.,]?[0-9]*")
_EITHER = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")


class UnreadableNumberError(ValueError):
    """A text that is no number of the wanted kind."""


class AmbiguousNumberError(UnreadableNumberError):
    """A text that is two numbers; its sentence names both."""


def read_number(
    text: str, *, whole: bool = False, unit: str = "", suffixes: bool = False
) -> float | None:
    """Return the number that a text stands for; None where it holds nothing.

    Args:
        text: as typed: "0.001", "0,001", "1e-4", "5%", "1_000", "1 000,5".
        whole: only whole numbers are taken, and are returned as int.
        unit: the field's own, which may follow the number: "512 tokens". With "%" the number is
            one of percent, so "5" and "5%" are the same 5; otherwise "5%" is 0.05.
        suffixes: k, M, G and B multiply.

    Raises:
        AmbiguousNumberError: it can be read in two ways; its text says which.
        UnreadableNumberError: it is no such number.
    """
    plain = "".join(_FORMS.get(letter, letter) for letter in text).strip(" ")
    if not plain:
        return None
    shift = 0
    if plain.endswith("%"):
        if whole:
            raise UnreadableNumberError
        shift, plain = (0 if unit == "%" else -2), plain[:-1].rstrip(" ")
    elif unit and plain.lower().endswith(words := unit.lower()):
        plain = plain[: -len(words)].rstrip(" ")
    if suffixes and plain[-1:].lower() in _SUFFIXES:
        shift, plain = _SUFFIXES[plain[-1:].lower()], plain[:-1].rstrip(" ")
    match = _NUMBER.fullmatch(plain)
    if match is None:
        raise UnreadableNumberError
    sign, digits, exponent = match.groups()
    power = int(exponent or 0) + shift
    mantissa = _mantissa(digits, text.strip(), whole and power == 0)
    value = float(f"{sign}{mantissa}e{power}")
    if math.isinf(value) or (value == 0 and re.search("[1-9]", mantissa)):
        raise UnreadableNumberError
    if not whole:
        return value
    if value != int(value) or abs(value) > MOST_WHOLE:
        raise UnreadableNumberError
    return int(value)


def _mantissa(digits: str, text: str, whole: bool) -> str:
    """Digits with at most one point, from digits with separators."""
    if match := _GROUPED.fullmatch(digits):
        digits = digits.replace(match[1], "")
    elif _ENGLISH.fullmatch(digits):
        digits = digits.replace(",", "")
    elif _GERMAN.fullmatch(digits):
        digits = digits.replace(".", "")
    elif _EITHER.fullmatch(digits) and ("," in digits or whole or digits.endswith("0")):
        thousand = re.sub("[.,]", "", digits)
        one = digits.replace(",", ".").rstrip("0").rstrip(".")
        raise AmbiguousNumberError(f"“{text}” could mean {thousand} or {one}. Enter one of these.")
    if _PLAIN.fullmatch(digits) is None:
        raise UnreadableNumberError
    return digits.replace(",", ".")
