"""Recognizes conversations: records of turns, which are no documents unless that is asked for.

Two forms are in use: `messages` with `role` and `content`, as chat templates and the APIs of
language models have them, and `conversations` with `from` and `value` (ShareGPT).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cptstudio.corpus.readers.items import Item

FIELDS = ("messages", "conversations", "conversation")
OPTION = "Read conversations as text"
"""The title of the option of a build that reads them."""
TURNS = (("role", "content"), ("from", "value"))
"""What a turn has: who says it, and what."""


def is_conversation(value: Any) -> bool:
    """Return whether a value is a list of turns."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(turn, dict) and any(set(pair) <= turn.keys() for pair in TURNS)
            for turn in value
        )
    )


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


def field_of(record: Any) -> str | None:
    """Return the field of a record that holds a conversation; None where it has none."""
    if not isinstance(record, dict):
        return None
    for name in FIELDS:
        if name in record and is_conversation(record[name]):
            return name
    return None


def in_words(found: dict[str, int]) -> list[str]:
    """Return the sentences about a file's conversations, told after its name; `found` by field."""
    return [
        f"{count:,} conversation{'' if count == 1 else 's'} in {name!r} skipped (turn on "
        f"“{OPTION}” to read {'it' if count == 1 else 'them'})"
        for name, count in found.items()
    ]
