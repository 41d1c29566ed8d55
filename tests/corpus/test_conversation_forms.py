"""The forms of conversations, each with its right reading or the reason it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio.corpus.conversations.cleaning import ConversationCleaner
from cptstudio.corpus.conversations.conversation import Conversation, ConversationError, Turn
from cptstudio.corpus.conversations.forms import Columns, read_record

ASKED, SAID = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
TALK = [ASKED, SAID]
CALL = {"name": "f", "arguments": '{"b": 1, "a": "x"}'}
CALLED = {"type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": "x"}}}
TOOL = {"name": "f", "parameters": {}}


def says(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [*turns], **more}


READ: dict[str, tuple[Any, list[dict[str, Any]], str]] = {
    "messages": ({"messages": TALK, "id": 7, "source": "x"}, TALK, "messages"),
    "null fields": (says({**ASKED, "tool_calls": None, "name": None}, SAID), TALK, "messages"),
    "a list": (TALK, TALK, "messages"),
    "JSON in a column": (
        {"messages": '[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]'},
        TALK,
        "messages",
    ),
    "ShareGPT": (
        {
            "system": "S",
            "conversations": [
                {"from": "human", "value": "Q", "weight": 0},
                {"from": "gpt", "value": "A", "weight": 1.0},
            ],
        },
        [{"role": "system", "content": "S"}, *TALK],
        "ShareGPT",
    ),
    "ShareGPT's tools": (
        {
            "conversations": [
                {"from": "human", "value": "Q"},
                {
                    "from": "function_call",
                    "value": '{"name": "f", "arguments": {"b": 1, "a": "x"}}',
                },
                {"from": "observation", "value": "1"},
                {"from": "gpt", "value": "A"},
            ]
        },
        [
            ASKED,
            {"role": "assistant", "content": "", "tool_calls": [CALLED]},
            {"role": "tool", "content": "1"},
            SAID,
        ],
        "ShareGPT",
    ),
    "OpenAI's tools": (
        says(
            ASKED,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": CALL}],
            },
            {"role": "tool", "content": "1", "tool_call_id": "c"},
        ),
        [
            ASKED,
            {"role": "assistant", "content": "", "tool_calls": [{**CALLED, "id": "c"}]},
            {"role": "tool", "content": "1", "tool_call_id": "c"},
        ],
        "messages",
    ),
    "parts": (
        says(
            {
                "role": "user",
                "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "q"}],
            },
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "T"}, {"type": "text", "text": "A"}],
            },
        ),
        [{**ASKED, "content": "Q\nq"}, {**SAID, "reasoning_content": "T"}],
        "messages",
    ),
    "parts with values": (
        says(
            {"role": "user", "content": [{"type": "text", "value": "Q"}], "loss_weight": 0.0},
            {
                "role": "assistant",
                "content": [
                    {"type": "reasoning", "value": "T"},
                    {
                        "type": "tool_call",
                        "value": '{"name": "f", "arguments": {"b": 1, "a": "x"}}',
                    },
                ],
                "loss_weight": 1.0,
            },
        ),
        [
            ASKED,
            {"role": "assistant", "content": "", "reasoning_content": "T", "tool_calls": [CALLED]},
        ],
        "messages",
    ),
    "thinking": (
        says(ASKED, {**SAID, "reasoning": "T", "thinking": "T"}),
        [ASKED, {**SAID, "reasoning_content": "T"}],
        "messages",
    ),
    "Alpaca": (
        {"instruction": "I", "input": "Q", "output": "A", "history": [["a", "b"]], "system": ""},
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "I\nQ"},
            SAID,
        ],
        "Alpaca",
    ),
    "Dolly": (
        {"instruction": "Q", "context": "", "response": "A", "category": "open_qa"},
        TALK,
        "Alpaca",
    ),
    "prompt": ({"prompt": "Q", "completion": "A"}, TALK, "prompt and answer"),
    "TRL": ({"prompt": [ASKED], "completion": [SAID]}, TALK, "prompt and completion"),
    "OpenOrca": (
        {"id": "1", "system_prompt": "S", "question": "Q", "response": "A"},
        [{"role": "system", "content": "S"}, *TALK],
        "prompt and answer",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_forms(name: str) -> None:
    record, messages, form = READ[name]
    found = read_record(record)
    assert found.form == form
    assert [dict(turn) for turn in found.conversation.template_messages()] == messages
    assert Conversation.from_json(found.conversation.to_json()) == found.conversation


def test_tools_are_read_from_a_list_or_its_text_and_keep_their_order() -> None:
    for tools in (
        [TOOL],
        [{"type": "function", "function": TOOL}],
        '[{"name":"f","parameters":{}}]',
    ):
        found = read_record(says(*TALK, tools=tools)).conversation
        assert found.to_json().endswith(
            '"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}'
        )


REFUSED: dict[str, tuple[Any, str]] = {
    "text": ("Q", "not a record (“Q”)"),
    "nothing": ({"text": "Q"}, "no known form of conversation (“fields: text”)"),
    "no turns": ({"messages": []}, "“messages”: no turns"),
    "a dialogue as text": ({"conversation": "A: b"}, "“conversation”: not JSON (“A: b”)"),
    "no answer": (says(ASKED), "“messages”: no assistant turn"),
    "empty answer": ({"prompt": "Q", "completion": " "}, "“completion”: empty answer"),
    "null answer": ({"prompt": "Q", "completion": None}, "no answer to “prompt”"),
    "a number": ({"question": "Q", "answer": 3}, "“answer”: not text (3)"),
    "role": (says({"role": "bing", "content": "x"}), "“messages[0].role”: unknown role (“bing”)"),
    "two lists": (
        {"messages": TALK, "conversations": TALK},
        "“conversations”: a second conversation beside “messages”",
    ),
    "two answers": (
        {"prompt": "Q", "answer": "A", "response": "B"},
        "“response”: a second answer beside “answer”",
    ),
    "two systems": (
        says({"role": "system", "content": "S"}, *TALK, system="T"),
        "“system”: a second system prompt (“T”)",
    ),
    "a passage": (
        {"question": "Q", "context": "C", "answer": "A"},
        "“context”: more than the question in “question”",
    ),
    "preference": (
        {"prompt": "Q", "chosen": "A", "rejected": "B"},
        "“rejected”: a preference pair, not a conversation",
    ),
    "undesirable": ({"messages": TALK, "label": False}, "“label”: marked as undesirable (false)"),
    "weight": (
        says(ASKED, {**SAID, "weight": 0}),
        "“messages[1].weight”: an answer with a weight of its own (0)",
    ),
    "not trained": (
        says(ASKED, {**SAID, "train": False}),
        "“messages[1].train”: an answer that is not to be trained on (false)",
    ),
    "image": (
        says({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, SAID),
        "“messages[0].content[0]”: images, sound or video (“image_url”)",
    ),
    "images beside": ({"messages": TALK, "images": ["x"]}, "“images”: images, sound or video"),
    "Anthropic's tools": (
        says(ASKED, {"role": "assistant", "content": [{"type": "tool_use", "name": "f"}]}),
        "“messages[1].content[0]”: a part of unknown type (“tool_use”)",
    ),
    "arguments": (
        says(ASKED, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "[1]"}]}),
        "“messages[1].tool_calls[0].arguments”: arguments that are no object ([1])",
    ),
    "half a turn": (
        says({"role": "user", "value": "Q"}, SAID),
        "“messages[0].content”: missing",
    ),
    "two thoughts": (
        says(ASKED, {**SAID, "reasoning": "T", "thinking": "U"}),
        "“messages[1].thinking”: two different thoughts",
    ),
    "history": (
        {"instruction": "Q", "output": "A", "history": [["a"]]},
        '“history[0]”: not a question with its answer (["a"])',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_or_broken_is_refused(name: str) -> None:
    record, said = REFUSED[name]
    with pytest.raises(ConversationError) as caught:
        read_record(record)
    assert str(caught.value) == said


def test_named_columns_are_all_that_is_read() -> None:
    columns = Columns("ask", "reply")
    found = read_record({"ask": "Q", "reply": "A", "messages": 1, "rejected": 2}, columns)
    assert found.conversation.messages == (Turn("user", "Q"), Turn("assistant", "A"))
    with pytest.raises(ConversationError, match="“reply”: missing"):
        read_record({"ask": "Q", "reply": None}, columns)
    with pytest.raises(ConversationError, match="“ask”: empty question"):
        read_record({"ask": "\n", "reply": "A"}, columns)


def test_an_object_of_a_table_with_fields_that_may_not_be_its_own_is_refused() -> None:
    call = {"name": "f", "arguments": {"a": 1, "b": None}}
    record = says(ASKED, {"role": "assistant", "content": "", "tool_calls": [call]})
    assert read_record(record).conversation.messages[1].tool_calls[0].arguments["b"] is None
    with pytest.raises(ConversationError, match="an object of a table with empty fields"):
        read_record(record, columnar=True)


def test_texts_are_cleaned_one_by_one_so_that_their_json_stays_whole() -> None:
    """Cleaned as one text, a next-line character would end the JSON, and a mask cut an escape."""
    cleaner = ConversationCleaner(["emails"])
    record = says(
        {"role": "user", "content": "\ufeffe\u0301 a\r\nb\x85c\x00 \ud800 \\"},
        {
            "role": "assistant",
            "content": "write\nnobody@example.org",
            "tool_calls": [{"name": "f", "arguments": {"to": "a\nnobody@example.org"}}],
        },
    )
    clean = cleaner.clean(read_record(record).conversation)
    assert clean.messages[0].content == "é a\nb\nc \ufffd \\"
    masked = clean.messages[1].content.removeprefix("write\n")
    assert "@" not in masked
    assert clean.messages[1].tool_calls[0].arguments == {"to": f"a\n{masked}"}
    assert cleaner.private == {"emails": 2}
    assert cleaner.replaced_surrogates == 1
    assert Conversation.from_json(clean.to_json().encode()) == clean


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**30])
def test_values_that_the_corpus_could_not_read_again_are_refused(value: float) -> None:
    call = {"name": "f", "arguments": {"a": [value]}}
    found = read_record(says(ASKED, {"role": "assistant", "tool_calls": [call]}))
    with pytest.raises(ConversationError, match="a value that JSON cannot hold"):
        ConversationCleaner().clean(found.conversation)
