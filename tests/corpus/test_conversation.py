"""The canonical conversation: what is read, what is refused and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cptstudio.corpus.conversations.conversation import (
    Conversation,
    ConversationError,
    ToolCall,
    Turn,
)
from cptstudio.corpus.manifest import BuildSettings, CorpusManifest

ASKED = {"role": "user", "content": "How tall?"}
ANSWERED = {"role": "assistant", "content": "12 m"}
CALL = {"type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": [2.5, None]}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"z": 1, "a": 2}}}


def test_a_conversation_has_one_text_whose_objects_keep_their_order() -> None:
    thinking = Turn(
        "assistant",
        "",
        reasoning_content="Hmm “é”\n",
        tool_calls=(ToolCall("f", {"b": 1, "a": [2.5, None]}, "c1"),),
    )
    answer = Turn("tool", "", tool_call_id="c1", name="f")
    made = Conversation.made(
        [Turn("user", "How tall?"), thinking, answer, Turn("assistant", "12 m")], [TOOL]
    )
    text = made.to_json()
    assert Conversation.from_json(text) == made
    assert Conversation.from_json(text).to_json() == text
    assert '"arguments":{"b":1,"a":[2.5,null]}' in text
    assert text.startswith('{"messages":[{"content":"How tall?","role":"user"},{"content":"",')
    assert "“é”" in text
    assert json.loads(text)["tools"] == [TOOL]
    assert made.template_messages()[1]["tool_calls"] == [{**CALL, "id": "c1"}]
    # Other fields in another order are the same conversation.
    turned = json.dumps({"messages": [dict(reversed(ASKED.items())), ANSWERED]})
    plain = Conversation.made([Turn("user", "How tall?"), Turn("assistant", "12 m")])
    assert Conversation.from_json(turned).to_json() == plain.to_json()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "not an object ([])"),
        ({"messages": {}}, "“messages”: not a list ({})"),
        ({"messages": [], "x": 1}, "“x”: unknown field (1)"),
        ({"messages": [ASKED]}, "“messages”: no assistant turn"),
        ({"messages": [ANSWERED, {"role": "user"}]}, "“messages[1].content”: missing"),
        (
            {"messages": [{"role": "gpt", "content": "a"}]},
            "“messages[0].role”: unknown role (“gpt”)",
        ),
        ({"messages": [{"role": "user", "content": 5}]}, "“messages[0].content”: not text (5)"),
        (
            {"messages": [ASKED, {**ANSWERED, "content": " \n"}]},
            "“messages[1].content”: empty answer",
        ),
        ({"messages": [{**ASKED, "content": ""}]}, "“messages[0].content”: empty question"),
        (
            {"messages": [{**ASKED, "reasoning_content": "a"}]},
            "“messages[0].reasoning_content”: not in an assistant's turn",
        ),
        (
            {"messages": [{**ANSWERED, "tool_calls": [{**CALL, "function": {"name": "f"}}]}]},
            "“messages[0].tool_calls[0].function.arguments”: missing",
        ),
        (
            {
                "messages": [
                    {**ANSWERED, "tool_calls": [{**CALL, "id": "1"}]},
                    {"role": "tool", "content": "a", "tool_call_id": "2"},
                ]
            },
            "“messages[1].tool_call_id”: answers no earlier tool call (“2”)",
        ),
        ({"messages": [ANSWERED], "tools": []}, "“tools”: not a list of tools ([])"),
        (
            {"messages": [ANSWERED], "tools": [{"type": "function", "function": {}}]},
            "“tools[0].function.name”: missing",
        ),
    ],
)
def test_what_is_no_conversation_is_refused_by_field_and_value(value: Any, said: str) -> None:
    with pytest.raises(ConversationError) as caught:
        Conversation.from_json(json.dumps(value))
    assert str(caught.value) == said


def test_text_that_is_not_json_is_refused() -> None:
    for text in ('{"messages": NaN}', "", "[" * 100_000, "\ud800"):
        with pytest.raises(ConversationError, match="not JSON"):
            Conversation.from_json(text)


def test_a_corpus_built_before_there_were_kinds_has_documents() -> None:
    recorded = {"settings": {"text_field": "text", "validation": 0.1}}
    settings = CorpusManifest._as_recorded(recorded["settings"])
    assert settings.kind == "documents"
    assert BuildSettings().kind == "documents"
