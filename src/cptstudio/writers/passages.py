"""Cuts documents into passages for a writer, at the ends of paragraphs, else of sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_PARAGRAPH: Final = re.compile(r"\n\s*\n+")
_SENTENCE: Final = re.compile(
    r"(?<=[.!?\u2026\u3002\uff01\uff1f])[\"'\u201d\u2019)\]]*(?:\s+|(?<=\u3002))"
)
_BYTES_PER_TOKEN: Final = 4
"""Where no tokenizer is at hand, as a model of others has it: English text, about."""
_SMALLEST_PART: Final = 0.25

CountTokens = Callable[[str], int]


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has, for a model whose tokenizer is not known."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def cut(text: str, most: int, tokens: CountTokens) -> list[str]:
    """Return a text in passages of at most so many tokens, in order; nothing of it is left out.

    A passage ends where a paragraph ends, or, where that is too long, a sentence, a line, a word.
    A short rest is put to the passage before it where there is room.
    """
    passages: list[str] = []
    held, size = "", 0
    for part, joint in _parts(text.strip(), most, tokens):
        length = tokens(part)
        if held and size + length > most:
            passages.append(held)
            held, size = "", 0
        held = f"{held}{joint if held else ''}{part}"
        size = length if held == part else tokens(held)
    if held:
        if passages and size < _SMALLEST_PART * most:
            joined = f"{passages[-1]}\n\n{held}"
            if tokens(joined) <= most:
                passages[-1] = joined
                return passages
        passages.append(held)
    return passages


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, without the space between them."""
    found = []
    for paragraph in _PARAGRAPH.split(text):
        joined = " ".join(paragraph.split())
        found += [one for one in _SENTENCE.split(joined) if one.strip()]
    return found


def _parts(text: str, most: int, tokens: CountTokens) -> Iterator[tuple[str, str]]:
    """Yield parts of at most so many tokens, each with what stood before it."""
    for paragraph in _PARAGRAPH.split(text):
        if not paragraph.strip():
            continue
        if tokens(paragraph) <= most:
            yield paragraph, "\n\n"
            continue
        joint = "\n\n"
        for separator in ("\n", None):
            pieces = paragraph.split("\n") if separator else _SENTENCE.split(paragraph)
            if all(tokens(piece) <= most for piece in pieces):
                break
        for piece in pieces:
            for short in _halved(piece, most, tokens):
                yield short, joint
                joint = separator or " "


def _halved(text: str, most: int, tokens: CountTokens) -> Iterator[str]:
    """Cut what has no sentences where it has a space, or anywhere."""
    if not text.strip():
        return
    if tokens(text) <= most or len(text) < 2:
        yield text
        return
    middle = len(text) // 2
    space = text.rfind(" ", 1, middle)
    place = space if space > len(text) // 4 else middle
    yield from _halved(text[:place], most, tokens)
    yield from _halved(text[place:].lstrip(" "), most, tokens)
