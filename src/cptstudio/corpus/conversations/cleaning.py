"""Conversations cleaned as documents are: text by text, so that their JSON stays whole."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from cptstudio.corpus.cleaning import Cleaner
from cptstudio.corpus.conversations.conversation import (
    Conversation,
    ConversationError,
    ToolCall,
    Turn,
)
from cptstudio.corpus.private_data import Private, PrivateData

_DEEPEST: Final = 64
_LARGEST: Final = 10**30
"""What `Conversation.from_json` reads."""


class ConversationCleaner:
    """Cleans one conversation.

    Args:
        mask: kinds of private data that are replaced.

    Attributes:
        replaced_surrogates, long_runs: as of `Cleaner`.
        private: what was found, by kind.
    """

    def __init__(self, mask: Iterable[Private] = ()) -> None:
        self._private = PrivateData(mask)
        self.replaced_surrogates = 0
        self.long_runs = 0

    @property
    def private(self) -> dict[Private, int]:
        """What was found, by kind."""
        return self._private.counts

    def clean(self, conversation: Conversation) -> Conversation:
        """Return it cleaned.

        Raises:
            ConversationError: nothing is left of one of its texts, or it holds values that JSON
                cannot hold.
        """
        turns = [self._turn(turn, at) for at, turn in enumerate(conversation.messages)]
        tools = [self._value(tool, f"tools[{at}]") for at, tool in enumerate(conversation.tools)]
        return Conversation.made(turns, tools)

    def _turn(self, turn: Turn, at: int) -> Turn:
        field = f"messages[{at}].tool_calls"
        return Turn(
            turn.role,
            self._text(turn.content),
            reasoning_content=None
            if turn.reasoning_content is None
            else self._text(turn.reasoning_content),
            tool_calls=tuple(
                ToolCall(
                    self._name(call.name),
                    self._value(call.arguments, field),
                    None if call.id is None else self._name(call.id),
                )
                for call in turn.tool_calls
            ),
            tool_call_id=None if turn.tool_call_id is None else self._name(turn.tool_call_id),
            name=None if turn.name is None else self._name(turn.name),
        )

    def _name(self, text: str) -> str:
        cleaner = Cleaner()
        clean = cleaner.part(text)
        self.replaced_surrogates += cleaner.replaced_surrogates
        self.long_runs += cleaner.long_runs
        return clean

    def _text(self, text: str) -> str:
        return self._private.part(self._name(text))

    def _value(self, value: Any, field: str, depth: int = 0) -> Any:
        if depth > _DEEPEST:
            raise ConversationError(field, "nested too deeply")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {
                self._name(name): self._value(one, field, depth + 1) for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._value(one, field, depth + 1) for one in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, int) and abs(value) < _LARGEST:
            return value
        raise ConversationError(field, "a value that JSON cannot hold", str(value))
