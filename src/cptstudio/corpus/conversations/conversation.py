"""The canonical conversation: what a corpus of conversations keeps, one document each.

A document of such a corpus is this JSON and nothing else, so splits, exact duplicates, statuses and
sources work as they do for other documents:

    {"messages": [{"role": ROLE, "content": TEXT, "name"?: TEXT, "reasoning_content"?: TEXT,
                   "tool_call_id"?: TEXT,
                   "tool_calls"?: [{"type": "function", "function": {"name": TEXT,
                                    "arguments": {...}}, "id"?: TEXT}, ...]}, ...],
     "tools"?: [{"type": "function", "function": {"name": TEXT, ...}}, ...]}

Fields of conversations and turns are written in the order of their names and without spaces, so
equal conversations have equal bytes. What lies in `arguments` and `tools` keeps its order: a chat
template writes it into the prompt as it stands, there as in a chat.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from cptstudio import durable
from cptstudio.errors import UserError

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
_SHOWN: Final = 60


class ConversationError(UserError):
    """A value that is no conversation.

    Attributes:
        field: where it is wrong, such as "messages[2].role"; empty where it is the whole.
        kind: what is wrong, without place and value, by which such faults are counted.
    """

    def __init__(self, field: str, kind: str, value: Any = None) -> None:
        self.field = field
        self.kind = kind
        place = f"“{field}”: " if field else ""
        super().__init__(f"{place}{kind}{'' if value is None else f' ({shown(value)})'}")


def shown(value: Any) -> str:
    """Return a value as an error names it: as JSON, cut."""
    text = value if isinstance(value, str) else durable.dump_json(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"“{text}”" if isinstance(value, str) else text


@dataclass(frozen=True)
class ToolCall:
    """A function that an assistant's turn calls.

    Attributes:
        name: of the function.
        arguments: by name, in the order in which they were written.
        id: by which a tool's turn answers it; None where it has none.
    """

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as chat templates read it."""
        call: dict[str, Any] = {
            "type": "function",
            "function": {"name": self.name, "arguments": dict(self.arguments)},
        }
        return call if self.id is None else {**call, "id": self.id}


@dataclass(frozen=True)
class Turn:
    """One message.

    Attributes:
        role: whose it is.
        content: its text; empty where an assistant only calls tools, or for a system or a tool that
            says nothing.
        reasoning_content: what an assistant thought before it.
        tool_calls: what an assistant calls, in order.
        tool_call_id: the call that a tool's turn answers.
        name: of the speaker or the tool.
    """

    role: Role
    content: str
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as chat templates read it; what it does not have is not there."""
        fields: dict[str, Any] = {"content": self.content}
        for name in ("name", "reasoning_content"):
            if getattr(self, name) is not None:
                fields[name] = getattr(self, name)
        fields["role"] = self.role
        if self.tool_call_id is not None:
            fields["tool_call_id"] = self.tool_call_id
        if self.tool_calls:
            fields["tool_calls"] = [call.as_json() for call in self.tool_calls]
        return fields


@dataclass(frozen=True)
class Conversation:
    """Turns in order, and the tools that an assistant may call."""

    messages: tuple[Turn, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def from_json(cls, text: str | bytes) -> Conversation:
        """Read the canonical form, strictly.

        Raises:
            ConversationError: it is anything else; names field and value.
        """
        try:
            value = durable.parse_json(text)
        except ValueError as error:
            raise ConversationError("", f"not JSON: {error}") from None
        return cls.of(value)

    @classmethod
    def of(cls, value: Any) -> Conversation:
        """Read the canonical form as parsed JSON, strictly.

        Raises:
            ConversationError: it is anything else; names field and value.
        """
        _only(value, "", {"messages"}, {"tools"})
        messages = value["messages"]
        if not isinstance(messages, list):
            raise ConversationError("messages", "not a list", messages)
        tools = value.get("tools", [])
        if not isinstance(tools, list) or ("tools" in value and not tools):
            raise ConversationError("tools", "not a list of tools", tools)
        turns = [_turn(turn, f"messages[{at}]") for at, turn in enumerate(messages)]
        return cls.made(turns, [_tool(tool, f"tools[{at}]") for at, tool in enumerate(tools)])

    @classmethod
    def made(cls, turns: list[Turn], tools: list[Mapping[str, Any]] | None = None) -> Conversation:
        """Return the conversation of these turns.

        Raises:
            ConversationError: they make none: no answer, an empty one, a tool's turn that answers a
                call that is not there.
        """
        called: set[str] = set()
        for at, turn in enumerate(turns):
            place = f"messages[{at}]"
            if turn.role == "assistant" and not turn.tool_calls and not turn.content.strip():
                raise ConversationError(f"{place}.content", "empty answer")
            if turn.role == "user" and not turn.content.strip():
                raise ConversationError(f"{place}.content", "empty question")
            for name in ("reasoning_content", "tool_calls"):
                if turn.role != "assistant" and getattr(turn, name):
                    raise ConversationError(f"{place}.{name}", "not in an assistant's turn")
            if turn.tool_call_id is not None:
                if turn.role != "tool":
                    raise ConversationError(f"{place}.tool_call_id", "not in a tool's turn")
                if called and turn.tool_call_id not in called:
                    raise ConversationError(
                        f"{place}.tool_call_id", "answers no earlier tool call", turn.tool_call_id
                    )
            called |= {call.id for call in turn.tool_calls if call.id is not None}
        if not any(turn.role == "assistant" for turn in turns):
            raise ConversationError("messages", "no assistant turn")
        return cls(tuple(turns), tuple(tools or ()))

    def to_json(self) -> str:
        """Return the canonical form; equal conversations have equal texts."""
        value: dict[str, Any] = {"messages": self.template_messages()}
        if self.tools:
            value["tools"] = [dict(tool) for tool in self.tools]
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def template_messages(self) -> list[dict[str, Any]]:
        """Return its messages as chat templates read them."""
        return [turn.as_json() for turn in self.messages]


def _only(value: Any, field: str, needed: set[str], more: set[str]) -> None:
    """Check that a value is an object with these fields.

    Raises:
        ConversationError: it is not.
    """
    if not isinstance(value, dict):
        raise ConversationError(field, "not an object", value)
    within = f"{field}." if field else ""
    for name in sorted(needed - value.keys()):
        raise ConversationError(f"{within}{name}", "missing")
    for name in value.keys() - needed - more:
        raise ConversationError(f"{within}{name}", "unknown field", value[name])


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise ConversationError(field, "not text", value)
    return value


def _turn(value: Any, field: str) -> Turn:
    _only(
        value,
        field,
        {"role", "content"},
        {"name", "reasoning_content", "tool_call_id", "tool_calls"},
    )
    if value["role"] not in ROLES:
        raise ConversationError(f"{field}.role", "unknown role", value["role"])
    texts = {
        name: _text(value[name], f"{field}.{name}")
        for name in ("content", "name", "reasoning_content", "tool_call_id")
        if name in value
    }
    calls = value.get("tool_calls", [])
    if not isinstance(calls, list) or ("tool_calls" in value and not calls):
        raise ConversationError(f"{field}.tool_calls", "not a list of tool calls", calls)
    found = tuple(_call(call, f"{field}.tool_calls[{at}]") for at, call in enumerate(calls))
    return Turn(role=value["role"], tool_calls=found, **texts)


def _call(value: Any, field: str) -> ToolCall:
    _only(value, field, {"type", "function"}, {"id"})
    if value["type"] != "function":
        raise ConversationError(f"{field}.type", "not “function”", value["type"])
    function = value["function"]
    _only(function, f"{field}.function", {"name", "arguments"}, set())
    arguments = function["arguments"]
    if not isinstance(arguments, dict):
        raise ConversationError(f"{field}.function.arguments", "not an object", arguments)
    name = _text(function["name"], f"{field}.function.name")
    identity = _text(value["id"], f"{field}.id") if "id" in value else None
    return ToolCall(name, arguments, identity)


def _tool(value: Any, field: str) -> Mapping[str, Any]:
    _only(value, field, {"type", "function"}, set())
    if value["type"] != "function":
        raise ConversationError(f"{field}.type", "not “function”", value["type"])
    function = value["function"]
    if not isinstance(function, dict):
        raise ConversationError(f"{field}.function", "not an object", function)
    if "name" not in function:
        raise ConversationError(f"{field}.function.name", "missing")
    _text(function["name"], f"{field}.function.name")
    return {"type": "function", "function": function}
