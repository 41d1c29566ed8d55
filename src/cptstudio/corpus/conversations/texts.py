"""A conversation as plain text: to be compared, searched, and shown in a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cptstudio import durable
from cptstudio.corpus.conversations.conversation import Conversation
from cptstudio.corpus.document_store import FRAME, DocumentStore

_BEFORE_THE_TALK: Final = ("system", "developer")


def said(conversation: Conversation) -> str:
    """Return what was said, thought and called in it, without system prompts and tools.

    Near duplicates are found by it: conversations with one long system prompt are not alike.
    """
    return "\n\n".join(
        text
        for turn in conversation.messages
        if turn.role not in _BEFORE_THE_TALK
        for text in (
            turn.reasoning_content or "",
            turn.content,
            *(f"{call.name} {durable.dump_json(dict(call.arguments))}" for call in turn.tool_calls),
        )
        if text.strip()
    )


def said_in(text: str | bytes) -> str:
    """Return the same of a document of a corpus of conversations."""
    return said(Conversation.from_json(text))


def readable(conversation: Conversation) -> str:
    """Return it with its roles, a paragraph a turn."""
    paragraphs = []
    for turn in conversation.messages:
        calls = ", ".join(call.name for call in turn.tool_calls)
        text = turn.content or (f"calls {calls}" if calls else "")
        paragraphs.append(f"{turn.role.capitalize()}: {text}")
    return "\n\n".join(paragraphs)


def readable_in(text: str | bytes) -> str:
    """Return the same of a document of a corpus of conversations."""
    return readable(Conversation.from_json(text))


class ReadableConversations(DocumentStore):
    """A store of conversations that hands out what people read in place of their JSON.

    Only `parts`, `piece`, `between` and `text` do; what is told of lengths is of the JSON.
    """

    as_stored = False

    def between(self, number: int, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes `begin` to `end` of a conversation as it is read."""
        data = readable_in(b"".join(super().between(number, 0, self._whole(number)))).encode()
        for place in range(begin, min(end, len(data)), FRAME):
            yield data[place : min(place + FRAME, end)]

    def parts(self, number: int) -> Iterator[bytes]:
        """Yield a conversation as it is read, in parts; characters may be cut."""
        yield from self.between(number, 0, 1 << 62)

    def _whole(self, number: int) -> int:
        return int(self.records[number]["length"])
