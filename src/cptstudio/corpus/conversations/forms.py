"""The forms in which conversations are found, each read into the canonical one or refused by kind.

    messages, conversations, conversation    turns with role and content, or from and value, which
                                             is ShareGPT's
    prompt and completion                    each a list of turns (TRL), or each a text
    instruction, input, output               Alpaca, with system and history; Dolly's names, too
    question, query; answer, response        a text each
    two columns that the user names

Nothing is guessed: what could mean two things is refused with field and value, as a conversation is
that says nothing. What a field says about loss, such as a weight of 0 or a preference, is refused,
too: read without it, a model would learn what it was meant not to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cptstudio.corpus.conversations.conversation import (
    Conversation,
    ConversationError,
    Role,
    ToolCall,
    Turn,
)

FIELDS: Final = ("messages", "conversations", "conversation")
TURNS: Final = (("role", "content"), ("from", "value"))
"""What a turn has: who says it, and what."""
QUESTIONS: Final = ("instruction", "prompt", "question", "query")
CONVERSATION_FIELDS: Final = (*FIELDS, *QUESTIONS)
"""Fields of which a record of a conversation has at least one."""
ANSWERS: Final = ("output", "completion", "answer", "response")
_SYSTEMS: Final = ("system", "system_prompt")
_TOOLS: Final = ("tools", "functions")
_INPUTS: Final = ("input", "context")
_MORE_OF_A_QUESTION: Final = (*_INPUTS, "history", "choices", "options", "passage")
_MEDIA: Final = ("image", "images", "video", "videos", "audio", "audios")
_MEDIA_PARTS: Final = frozenset(
    {*_MEDIA, "image_url", "input_image", "input_audio", "file", "input_file", "video_url"}
)
_TEXT_PARTS: Final = ("text", "input_text", "output_text")
_THINKING_PARTS: Final = ("thinking", "reasoning")
_SAID_IN_PARTS: Final = ("text", "value", "thinking", "reasoning")
_WEIGHTS: Final = ("weight", "loss_weight")
_REASONING: Final = ("reasoning_content", "reasoning", "thinking")
_NOT_TRAINED: Final = ("train", "training")
KNOWN_FIELDS: Final = (
    *FIELDS, *QUESTIONS, *ANSWERS, *_SYSTEMS, *_TOOLS, *_MORE_OF_A_QUESTION, *_MEDIA,
    "chosen", "rejected", "label",
)  # fmt: skip
"""The fields of a record that are looked at; the columns of a table that are read."""

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
"""Who speaks, by the names that are in use, in lower case."""
_CALLS: Final = frozenset({"function_call", "tool_call"})
"""Speakers in ShareGPT's form whose value is the call of a tool."""


@dataclass(frozen=True)
class Columns:
    """The fields or columns that the user names: one holds the prompt, one the answer."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Found:
    """A conversation, and the form it was read from, in words."""

    conversation: Conversation
    form: str


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


def field_of(record: Any) -> str | None:
    """Return the field of a record that holds a conversation; None where it has none."""
    if not isinstance(record, dict):
        return None
    for name in FIELDS:
        if name in record and is_conversation(record[name]):
            return name
    return None


def is_record(value: Any, columns: Columns | None = None) -> bool:
    """Return whether a value is one record, whole or not, even where it is or has a list."""
    if columns is not None:
        return isinstance(value, dict) and columns.prompt in value
    if isinstance(value, dict):
        return any(name in value for name in CONVERSATION_FIELDS)
    return is_conversation(value)


def wanted_fields(columns: Columns | None) -> tuple[str, ...]:
    """Return the fields of a record, or the columns of a table, that are looked at."""
    return KNOWN_FIELDS if columns is None else (columns.prompt, columns.answer)


def read_record(record: Any, columns: Columns | None = None, *, columnar: bool = False) -> Found:
    """Read a record.

    Args:
        record: a parsed value: an object, or a list of turns.
        columns: named by the user; then no other field is read.
        columnar: it is from a table whose objects have the same fields in every row, empty ones
            among them.

    Raises:
        ConversationError: there is no conversation in it, or it could mean two things.
    """
    if isinstance(record, list):
        return Found(Conversation.made(_turns(record, "", columnar)), _form_of(record))
    if not isinstance(record, dict):
        raise ConversationError("", "not a record", record)
    there = {name: value for name, value in record.items() if value is not None}
    if columns is not None:
        turns = [
            Turn("user", _text(there, columns.prompt)),
            Turn("assistant", _text(there, columns.answer)),
        ]
        return Found(_made(turns, {columns.prompt: 0, columns.answer: 1}), "named columns")
    _refuse_what_says_more(there)
    lists = [name for name in FIELDS if name in there]
    if len(lists) > 1:
        raise ConversationError(lists[1], f"a second conversation beside “{lists[0]}”")
    if lists:
        said = _list_of(there[lists[0]], lists[0])
        return _of_turns(_turns(said, lists[0], columnar), there, columnar, _form_of(said))
    if isinstance(there.get("prompt"), list) and isinstance(there.get("completion"), list):
        turns = _turns(there["prompt"], "prompt", columnar)
        turns += _turns(there["completion"], "completion", columnar)
        return _of_turns(turns, there, columnar, "prompt and completion")
    return _pair(there, columnar)


def _of_turns(turns: list[Turn], there: Mapping[str, Any], columnar: bool, form: str) -> Found:
    return Found(Conversation.made([*_system(there, turns), *turns], _tools(there, columnar)), form)


def _form_of(said: Sequence[Any]) -> str:
    first = said[0] if said else None
    return "ShareGPT" if isinstance(first, dict) and "from" in first else "messages"


def _refuse_what_says_more(there: Mapping[str, Any]) -> None:
    for name in _MEDIA:
        if there.get(name):
            raise ConversationError(name, "images, sound or video")
    if "rejected" in there:
        raise ConversationError("rejected", "a preference pair, not a conversation")
    if there.get("label") is False:
        raise ConversationError("label", "marked as undesirable", False)


def _list_of(value: Any, field: str) -> list[Any]:
    """A list of turns, which a table holds as JSON text."""
    if isinstance(value, str):
        value = _parsed(value, field)
    if not isinstance(value, list):
        raise ConversationError(field, "not a list of turns", value)
    if not value:
        raise ConversationError(field, "no turns")
    return value


def _parsed(text: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ConversationError(field, "not JSON", text) from None


def _text(there: Mapping[str, Any], name: str) -> str:
    if name not in there:
        raise ConversationError(name, "missing")
    if not isinstance(there[name], str):
        raise ConversationError(name, "not text", there[name])
    return str(there[name])


def _made(
    turns: list[Turn], places: Mapping[str, int], tools: list[Mapping[str, Any]] | None = None
) -> Conversation:
    """The conversation of these turns, with faults named by the fields that they come from."""
    try:
        return Conversation.made(turns, tools)
    except ConversationError as error:
        for name, at in places.items():
            if error.field == f"messages[{at}].content":
                raise ConversationError(name, error.kind) from None
        raise


def _system(there: Mapping[str, Any], turns: list[Turn]) -> list[Turn]:
    """The system prompt that a record has in a field of its own."""
    names = [name for name in _SYSTEMS if there.get(name) not in (None, "")]
    texts = {_text(there, name) for name in names}
    texts = {text for text in texts if text.strip()}
    if not texts:
        return []
    if len(texts) > 1 or any(turn.role == "system" and turn.content not in texts for turn in turns):
        raise ConversationError(names[-1], "a second system prompt", there[names[-1]])
    return [] if any(turn.role == "system" for turn in turns) else [Turn("system", texts.pop())]


# --- prompt and answer ---------------------------------------------------------------------


def _pair(there: Mapping[str, Any], columnar: bool) -> Found:
    asked = [name for name in QUESTIONS if name in there]
    answered = [name for name in ANSWERS if name in there]
    if not asked:
        fields = ", ".join(str(name)[:40] for name in list(there)[:8]) or "none"
        raise ConversationError("", "no known form of conversation", f"fields: {fields}")
    for names, what in ((asked, "question"), (answered, "answer")):
        if len(names) > 1:
            raise ConversationError(names[1], f"a second {what} beside “{names[0]}”")
    if not answered:
        raise ConversationError("", f"no answer to “{asked[0]}”")
    question, answer = asked[0], answered[0]
    prompt, turns, form = _text(there, question), [], "prompt and answer"
    if question == "instruction":
        form = "Alpaca"
        more = [name for name in _INPUTS if there.get(name) not in (None, "")]
        if len(more) > 1:
            raise ConversationError(more[1], f"a second input beside “{more[0]}”")
        if more and (text := _text(there, more[0])).strip():
            prompt += f"\n{text}"
        turns = _history(there.get("history"))
    else:
        for name in _MORE_OF_A_QUESTION:
            if there.get(name) not in (None, "", [], {}):
                raise ConversationError(name, f"more than the question in “{question}”")
    turns = [*_system(there, []), *turns]
    places = {question: len(turns), answer: len(turns) + 1}
    turns += [Turn("user", prompt), Turn("assistant", _text(there, answer))]
    return Found(_made(turns, places, _tools(there, columnar)), form)


def _history(value: Any) -> list[Turn]:
    if value in (None, "", []):
        return []
    if isinstance(value, str):
        value = _parsed(value, "history")
    turns: list[Turn] = []
    for at, pair in enumerate(value if isinstance(value, list) else [value]):
        if not (isinstance(pair, list) and [type(text) for text in pair] == [str, str]):
            raise ConversationError(f"history[{at}]", "not a question with its answer", pair)
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    return turns


# --- turns ---------------------------------------------------------------------------------


def _turns(said: Sequence[Any], field: str, columnar: bool) -> list[Turn]:
    return [_turn(value, f"{field}[{at}]", columnar) for at, value in enumerate(said)]


def _turn(value: Any, field: str, columnar: bool) -> Turn:
    if not isinstance(value, dict):
        raise ConversationError(field, "not a turn", value)
    there = {name: one for name, one in value.items() if one is not None}
    pairs = [pair for pair in TURNS if pair[0] in there]
    if len(pairs) != 1:
        kind = "a turn with two speakers" if pairs else "a turn without a speaker"
        raise ConversationError(field, kind, list(there))
    who, what = pairs[0]
    name = there[who]
    role = _ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if isinstance(name, str) and name.strip().lower() in _CALLS:
        calls = _calls(
            _parsed(_text_at(there.get(what), f"{field}.{what}"), field), field, columnar
        )
        return Turn("assistant", "", tool_calls=calls)
    if role is None:
        raise ConversationError(f"{field}.{who}", "unknown role", name)
    if role == "assistant":
        _refuse_own_weights(there, field)
    for media in _MEDIA:
        if there.get(media):
            raise ConversationError(f"{field}.{media}", "images, sound or video")
    calls = _calls_of(there, field, columnar)
    text, thought = "", ""
    if what in there:
        text, thought, more = _content(there[what], f"{field}.{what}", columnar)
        calls += more
    elif not calls:
        raise ConversationError(f"{field}.{what}", "missing")
    return Turn(
        role,
        text,
        reasoning_content=_reasoning(there, thought, field),
        tool_calls=calls,
        tool_call_id=_label(there, "tool_call_id", field),
        name=_label(there, "name", field),
    )


def _refuse_own_weights(there: Mapping[str, Any], field: str) -> None:
    for name in _WEIGHTS:
        weight = there.get(name, 1)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight != 1:
            raise ConversationError(f"{field}.{name}", "an answer with a weight of its own", weight)
    for name in _NOT_TRAINED:
        if there.get(name, True) is not True:
            raise ConversationError(
                f"{field}.{name}", "an answer that is not to be trained on", there[name]
            )


def _text_at(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise ConversationError(field, "not text", value)
    return value


def _label(there: Mapping[str, Any], name: str, field: str) -> str | None:
    return _text_at(there[name], f"{field}.{name}") if there.get(name) not in (None, "") else None


def _content(value: Any, field: str, columnar: bool) -> tuple[str, str, tuple[ToolCall, ...]]:
    """A turn's text, thoughts and calls; the parts of a content of several are lines of it."""
    if isinstance(value, str):
        return value, "", ()
    if not isinstance(value, list):
        raise ConversationError(field, "not text", value)
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for at, part in enumerate(value):
        place = f"{field}[{at}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            texts.append(part)
        elif kind in _MEDIA_PARTS:
            raise ConversationError(place, "images, sound or video", kind)
        elif kind in _TEXT_PARTS:
            texts.append(_said(part, place))
        elif kind in _THINKING_PARTS:
            thoughts.append(_said(part, place))
        elif kind == "tool_call":
            calls += _calls(_parsed(_said(part, place), place), place, columnar)
        else:
            raise ConversationError(place, "a part of unknown type", kind or part)
    return "\n".join(texts), "\n".join(thoughts), tuple(calls)


def _said(part: Mapping[str, Any], field: str) -> str:
    said = [name for name in _SAID_IN_PARTS if part.get(name) is not None]
    if len(said) != 1:
        raise ConversationError(field, "not one text", list(part))
    return _text_at(part[said[0]], f"{field}.{said[0]}")


def _reasoning(there: Mapping[str, Any], thought: str, field: str) -> str | None:
    texts = {name: there[name] for name in _REASONING if there.get(name) not in (None, "")}
    for name, text in texts.items():
        _text_at(text, f"{field}.{name}")
    found = {*texts.values(), *([thought] if thought else [])}
    if len(found) > 1:
        raise ConversationError(f"{field}.{list(texts)[-1]}", "two different thoughts")
    return found.pop() if found else None


# --- tools ---------------------------------------------------------------------------------


def _calls_of(there: Mapping[str, Any], field: str, columnar: bool) -> tuple[ToolCall, ...]:
    given = [name for name in ("tool_calls", "function_call") if there.get(name)]
    if len(given) > 1:
        raise ConversationError(f"{field}.{given[1]}", f"beside “{given[0]}”")
    if not given:
        return ()
    value, place = there[given[0]], f"{field}.{given[0]}"
    return _calls(_parsed(value, place) if isinstance(value, str) else value, place, columnar)


def _calls(value: Any, field: str, columnar: bool) -> tuple[ToolCall, ...]:
    calls = value if isinstance(value, list) else [value]
    return tuple(_call(call, f"{field}[{at}]", columnar) for at, call in enumerate(calls))


def _call(value: Any, field: str, columnar: bool) -> ToolCall:
    if not isinstance(value, dict):
        raise ConversationError(field, "not a tool call", value)
    if value.get("type") not in (None, "function"):
        raise ConversationError(f"{field}.type", "not a function", value["type"])
    function = value.get("function")
    function = value if function is None else function
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ConversationError(field, "a tool call without a name", value)
    arguments = function.get("arguments", {})
    place = f"{field}.arguments"
    if isinstance(arguments, str):
        arguments = _parsed(arguments, place) if arguments.strip() else {}
    elif columnar:
        _refuse_filled(arguments, place)
    if not isinstance(arguments, dict):
        raise ConversationError(place, "arguments that are no object", arguments)
    return ToolCall(function["name"], arguments, _label(value, "id", field))


def _refuse_filled(value: Any, field: str) -> None:
    """Refuse an object of a table in which nothing tells what is null from what is not there."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        if one is None:
            raise ConversationError(field, "an object of a table with empty fields")
        _refuse_filled(one, field)


def _tools(there: Mapping[str, Any], columnar: bool) -> list[Mapping[str, Any]]:
    given = [name for name in _TOOLS if there.get(name) not in (None, "", [], "[]")]
    if len(given) > 1:
        raise ConversationError(given[1], f"beside “{given[0]}”")
    if not given:
        return []
    field, value = given[0], there[given[0]]
    if isinstance(value, str):
        value = _parsed(value, field)
    elif columnar:
        _refuse_filled(value, field)
    if not isinstance(value, list):
        raise ConversationError(field, "not a list of tools", value)
    found: list[Mapping[str, Any]] = []
    for at, tool in enumerate(value):
        place = f"{field}[{at}]"
        if not isinstance(tool, dict) or tool.get("type") not in (None, "function"):
            raise ConversationError(place, "not a function", tool)
        function = tool.get("function", tool)
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ConversationError(place, "a tool without a name", tool)
        bare = {name: one for name, one in function.items() if name != "type"}
        found.append({"type": "function", "function": function if "function" in tool else bare})
    return found
