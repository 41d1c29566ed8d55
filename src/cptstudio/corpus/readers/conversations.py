"""Conversations in a corpus of documents: they are none, unless that is asked for.

Which forms there are is in `corpus/conversations/forms.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cptstudio.corpus.conversations.forms import TURNS
from cptstudio.corpus.readers.items import Item

OPTION = "Read conversations as text"
"""The title of the option of a build that reads them."""


def text_of(turns: list[dict[str, Any]]) -> tuple[str, int]:
    """A conversation as text, a paragraph a turn after its role, and how much of it is no text."""
    paragraphs, left_out = [], 0
    for turn in turns:
        role, said = next(pair for pair in TURNS if set(pair) <= turn.keys())
        parts = turn[said] if isinstance(turn[said], list) else [turn[said]]
        texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
        found = [text for text in texts if isinstance(text, str)]
        left_out += len(texts) - len(found) + bool(turn.get("tool_calls"))
        if any(text.strip() for text in found):
            name = str(turn[role] or "").strip()
            paragraphs.append(f"{name[:1].upper()}{name[1:]}: " * bool(name) + "\n".join(found))
    return "\n\n".join(paragraphs), left_out


def read(item: Item, name: str, turns: Any) -> Iterator[str]:
    """Read or count a conversation in a field."""
    if not item.conversations_as_text:
        item.conversations[name] = item.conversations.get(name, 0) + 1
        return
    text, left_out = text_of(turns)
    item.left_out["parts of conversations without text"] += left_out
    yield text


def in_words(found: dict[str, int]) -> list[str]:
    """Return the sentences about a file's conversations, told after its name; `found` by field."""
    return [
        f"{count:,} conversation{'' if count == 1 else 's'} in {name!r} skipped (build a corpus of "
        f"conversations, or turn on “{OPTION}” to read {'it' if count == 1 else 'them'})"
        for name, count in found.items()
    ]
