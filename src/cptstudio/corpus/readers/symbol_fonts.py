"""Characters of Symbol and Wingdings, which documents store as places in these fonts."""

from __future__ import annotations

# Adobe's Symbol encoding from 0x20 and from 0xA0; a space where there is no sign.
_SYMBOL = {
    0x20: " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_"  # noqa: RUF001
    "‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",  # noqa: RUF001
    0xA0: "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑"  # noqa: RUF001
    "⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭",
}
_SYMBOL_SIGNS = {
    start + place: sign
    for start, signs in _SYMBOL.items()
    for place, sign in enumerate(signs)
    if sign != " " or start + place == 0x20
}
# The commonest: boxes, ticks, arrows and bullets.
_WINGDINGS_SIGNS = {
    0x20: " ", 0x4A: "☺", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "❑", 0x76: "❖", 0xA7: "▪",
    0xA8: "◻", 0xB7: "•", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xF0: "⇨",
    0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip
_FONTS = {"symbol": _SYMBOL_SIGNS, "wingdings": _WINGDINGS_SIGNS}
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for a sign that is not known."""


def sign_of(font: str, code: int) -> str:
    """Return the character at a place of a font, 0x20 to 0xFF or as many above 0xF000."""
    name = font.lower()
    name = "symbol" if name.startswith("standard symbols") else name
    return _FONTS.get(name, {}).get(code & 0xFF, UNKNOWN)


def without_private(text: str, font: str) -> str:
    """A text whose private characters, U+F020 to U+F0FF, are the signs that its font shows."""
    if text.isascii() or not any("\uf020" <= sign <= "\uf0ff" for sign in text):
        return text
    return "".join(
        sign_of(font, ord(sign)) if "\uf020" <= sign <= "\uf0ff" else sign for sign in text
    )
