"""The text of Word and RTF fields that store no result (ECMA-376 part 1, 17.16.5)."""

from __future__ import annotations

import re

from cptstudio.corpus.readers.symbol_fonts import UNKNOWN, sign_of

_SYMBOL = re.compile(r"\s*SYMBOL\s+(0x[0-9a-f]+|\d+)(.*)", re.IGNORECASE | re.DOTALL)
_FONT = re.compile(r'\\f\s+"?([^"\\]+)"?', re.IGNORECASE)
_BUTTON = re.compile(r"\s*(?:MACROBUTTON|GOTOBUTTON)\s+\S+\s+(.*)", re.IGNORECASE | re.DOTALL)
_EQUATION = re.compile(r"\s*EQ\s+(.*)", re.IGNORECASE | re.DOTALL)
# Pronunciations are set above a word by such a field.
_ABOVE = re.compile(r"\\s\s*\\up\s*\d+\s*\([^()]*\)\s*[,;]\s*", re.IGNORECASE)
_FRACTION = re.compile(r"\\f\s*\(([^(),;]*)[,;]([^(),;]*)\)", re.IGNORECASE)
# How its parts are set: "\\* jc3", or '\\* "Font:MS Mincho"'.
_LOOKS = re.compile(r"""\\\*\s*(?:"[^"]*"|\S+)\s*""")
_SILENT = re.compile(r"\s*(?:SET|ASK)\s", re.IGNORECASE)
_SWITCHES = re.compile(r"(?:\\\*?\s*[a-z]+[ \t]*\d*[ \t]*)+(?:\(([^()]*)\))?", re.IGNORECASE)
_LARGEST = 0x10FFFF


def shown_by(instruction: str) -> str:
    """Return a field's own text: signs, buttons, equations; nothing for all others."""
    symbol = _SYMBOL.match(instruction)
    if symbol:
        return _sign(int(symbol[1], 0 if symbol[1][:2].lower() == "0x" else 10), symbol[2])
    button = _BUTTON.match(instruction)
    if button:
        return button[1].strip()
    equation = _EQUATION.match(instruction)
    if equation:
        bare = _LOOKS.sub("", equation[1])
        text = _FRACTION.sub(r"\1/\2", _ABOVE.sub("", bare))
        return _SWITCHES.sub(lambda found: found[1] or "", text).strip()
    return ""


def is_silent(instruction: str) -> bool:
    """Return whether a field's result is kept for other fields, and not shown where it stands."""
    return _SILENT.match(instruction) is not None


def _sign(code: int, switches: str) -> str:
    font = _FONT.search(switches)
    if code > _LARGEST or 0xD800 <= code <= 0xDFFF:
        return UNKNOWN
    if re.search(r"\\u\b", switches):
        return chr(code)
    name = font[1].strip() if font else ""
    sign = sign_of(name, code)
    if sign != UNKNOWN or "symbol" in name.lower() or "dings" in name.lower():
        return sign
    return bytes([code]).decode("cp1252", "replace") if code <= 0xFF else chr(code)
