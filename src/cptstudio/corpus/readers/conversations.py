"""Recognizes conversations: records of turns, which are no documents.

Two forms are in use: `messages` with `role` and `content`, as chat templates and the APIs of
language models have them, and `conversations` with `from` and `value` (ShareGPT).
"""

from __future__ import annotations

from typing import Any

FIELDS = ("messages", "conversations", "conversation")
TURNS = (("role", "content"), ("from", "value"))
"""What a turn has: who says it, and what."""


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of turns."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(turn, dict) and any(set(pair) <= turn.keys() for pair in TURNS)
            for turn in value
        )
    )


def field_of(record: Any) -> str | None:
    """The field of a record that holds a conversation; None where it has none."""
    if not isinstance(record, dict):
        return None
    for name in FIELDS:
        if name in record and is_conversation(record[name]):
            return name
    return None


def in_words(found: dict[str, int]) -> list[str]:
    """Sentences about a file's conversations, told after its name; `found` by field."""
    return [
        f"holds {count:,} conversation{'' if count == 1 else 's'} in {name!r}, which "
        f"{'is no document and is' if count == 1 else 'are no documents and are'} left out"
        for name, count in found.items()
    ]
