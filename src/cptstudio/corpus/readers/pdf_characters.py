"""Characters of PDF fonts: ligatures, accents set beside their letters, private-use characters.

A page's characters are mapped one to one, so that their numbers stay PDFium's; what becomes several
letters is expanded when words are cut.

Fonts of symbols are often given without Unicode values; their codes then come as private-use
characters U+F020 to U+F0FF. Those of Adobe's Symbol encoding (PDF 32000-1, annex D.6) and the usual
bullets of Wingdings have values; any other private-use character means something in its font
only.
"""

# ruff: noqa: RUF001 - characters that look like others are its subject

from __future__ import annotations

import re
import unicodedata

NO_VALUE = "\N{REPLACEMENT CHARACTER}"
SOFT_HYPHEN = "\N{SOFT HYPHEN}"
_LIGATURES = {
    0xFB00 + n: text for n, text in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))
}
_LIGATURES[ord(SOFT_HYPHEN)] = ""
_LIGATURE = re.compile("[\ufb00-\ufb06\xad]")
# From 0x20 and from 0xA0; a space stands where the encoding has nothing.
_SYMBOL_LOW = (
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧ∆ΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ"
    "{|}∼"
)
_SYMBOL_HIGH = (
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪"
    " 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"
)
_PRIVATE = {0xF020 + n: char for n, char in enumerate(_SYMBOL_LOW)}
_PRIVATE |= {0xF0A0 + n: char for n, char in enumerate(_SYMBOL_HIGH)}
# Where Wingdings' bullets lie, Symbol has what hardly begins a line of text.
_PRIVATE |= {
    0xF06E: "■",
    0xF071: "❑",
    0xF076: "❖",
    0xF0A7: "▪",
    0xF0A8: "□",
    0xF0D8: "➢",
    0xF0FC: "✓",
}
# Adobe's private use (Adobe Glyph List): pieces of brackets, old-style figures, small capitals.
_PRIVATE |= {0xF8E5 + n: char for n, char in enumerate("‾⏐⎯®©™⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪⎮⎞⎟⎠⎤⎥⎦⎫⎬⎭")}
_PRIVATE |= {0xF730 + n: char for n, char in enumerate("0123456789")}
_PRIVATE |= {0xF761 + n: char for n, char in enumerate("abcdefghijklmnopqrstuvwxyz")}
# Spacing accents that TeX's older fonts draw before (or, as a cedilla, under) their letters.
_ACCENTS = {
    "´": "\u0301", "ˆ": "\u0302", "˜": "\u0303", "¨": "\u0308", "¯": "\u0304", "˘": "\u0306",
    "˙": "\u0307", "˚": "\u030a", "ˇ": "\u030c", "˝": "\u030b", "¸": "\u0327", "˛": "\u0328",
}  # fmt: skip
_ACCENTED = re.compile("([´ˆ˜¨¯˘˙˚ˇ˝¸˛])([^\\W\\d_])")
_DOTLESS = {"ı": "i", "ȷ": "j"}
# Codes of ligatures in TeX's fonts (OT1, T1), which name no characters when they are bitmaps.
_TEX_LIGATURES = {0x0B + n: chr(0xFB00 + n) for n in (0, 1, 3, 4)}
_TEX_LIGATURES |= {0x1B + n: chr(0xFB00 + n) for n in range(5)}
_TEX_BULLETS = "\x0f\x88"
ODD = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd-\uffff]")
"""Characters that `mapped` may change."""


def mapped(char: str, before: str, after: str) -> str:
    """Return the one character that a control, private-use or missing one stands for, else U+FFFD.

    Args:
        char: matches `ODD`.
        before: the character before it, or "".
        after: the one after it, or "".
    """
    ligature = _TEX_LIGATURES.get(ord(char))
    if ligature and (before.isalpha() or after.isalpha()):
        return ligature
    if char in _TEX_BULLETS and not before.strip() and not after.strip():
        return "•"
    return _PRIVATE.get(ord(char), NO_VALUE)


def needs_expanding(text: str) -> bool:
    """Return whether `expanded` would change anything of a page's text."""
    return not text.isascii() and bool(_LIGATURE.search(text) or _ACCENTED.search(text))


def expanded(text: str) -> str:
    """Return the text with ligatures as their letters and accents on theirs."""
    if text.isascii():
        return text
    if _LIGATURE.search(text):
        text = text.translate(_LIGATURES)
    return _ACCENTED.sub(_accented, text)


def _accented(match: re.Match[str]) -> str:
    letter = _DOTLESS.get(match[2], match[2])
    composed = unicodedata.normalize("NFC", letter + _ACCENTS[match[1]])
    return composed if len(composed) == 1 else match[0]
