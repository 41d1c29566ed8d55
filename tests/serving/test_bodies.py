"""What is asked of an endpoint is taken whole or refused by its field, never in part."""

from __future__ import annotations

from typing import Any

import pytest

from cptstudio.serving.bodies import AnyBody, ChatBody, CompletionBody, read_body
from cptstudio.serving.refusals import RefusedError

TEXT = {"model": "m", "prompt": "x"}
SAYS = {"role": "user", "content": "hello"}
CHAT = {"model": "m", "messages": [SAYS]}


def test_what_clients_send_of_themselves_is_taken() -> None:
    body = read_body(
        ChatBody,
        {
            **CHAT,
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "be "}, TEXT_PART]},
                {**SAYS, "name": None},
                {"role": "assistant", "content": "hi", "refusal": None, "tool_calls": None},
            ],
            "n": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0.0,
            "logit_bias": None,
            "response_format": {"type": "text"},
            "user": "somebody",
            "stop": "END",
            "max_completion_tokens": 7,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )
    ask = body.complete("m", 100)
    assert ask.prompts[0].chat == (
        {"role": "system", "content": "be brief"},
        SAYS,
        {"role": "assistant", "content": "hi"},
    )
    assert (ask.sampling.stop, ask.sampling.max_tokens, ask.fill) == (("END",), 7, False)
    assert (ask.sampling.temperature, ask.sampling.top_p, ask.context) == (1, 1, 100)


TEXT_PART = {"type": "text", "text": "brief"}


def test_the_tokens_of_requests_that_say_nothing() -> None:
    ask = read_body(CompletionBody, TEXT).complete("m", 100)
    assert (ask.sampling.max_tokens, ask.fill) == (16, False)
    assert read_body(ChatBody, CHAT).complete("m", 100).fill


def test_several_prompts_as_texts_or_ids() -> None:
    ask = read_body(CompletionBody, {**TEXT, "prompt": [[1, 2], [3]], "seed": 5}).complete("m", 9)
    assert [prompt.tokens for prompt in ask.prompts] == [(1, 2), (3,)]
    assert (ask.labels, ask.sampling.seed) == (("m", "m"), 5)
    ask = read_body(CompletionBody, {**TEXT, "prompt": [1, 2]}).complete("m", 9)
    assert [prompt.tokens for prompt in ask.prompts] == [(1, 2)]


@pytest.mark.parametrize(
    ("kind", "change", "param", "code", "says"),
    [
        (CompletionBody, {"model": None}, "model", "missing_required_parameter", "model: "),
        (CompletionBody, {"prompt": None}, "prompt", "missing_required_parameter", "prompt: "),
        (CompletionBody, {"prompt": []}, "prompt", "invalid_value", "holds nothing"),
        (CompletionBody, {"prompt": {"a": 1}}, "prompt", "invalid_value", "list of token ids"),
        (CompletionBody, {"prompt": ["a", 1]}, "prompt", "invalid_value", "list of token ids"),
        (CompletionBody, {"prompt": [[1], "a"]}, "prompt", "invalid_value", "list of token ids"),
        (CompletionBody, {"prompt": [True]}, "prompt", "invalid_value", "list of token ids"),
        (CompletionBody, {"prompt": ["a"] * 17}, "prompt", "invalid_value", "at most 16"),
        (CompletionBody, {"n": 2}, "n", "unsupported_parameter", "another seed"),
        (CompletionBody, {"n": True}, "n", "unsupported_parameter", "another seed"),
        (CompletionBody, {"echo": True}, "echo", "unsupported_parameter", "Remove it"),
        (CompletionBody, {"messages": [SAYS]}, "messages", "unknown_parameter", "/v1/chat"),
        (CompletionBody, {"temprature": 1}, "temprature", "unknown_parameter", "no field"),
        (CompletionBody, {"temperature": 2.5}, "temperature", "invalid_value", "at most 2"),
        (CompletionBody, {"temperature": "1"}, "temperature", "invalid_value", "number"),
        (CompletionBody, {"temperature": True}, "temperature", "invalid_value", "number"),
        (CompletionBody, {"max_tokens": 0}, "max_tokens", "invalid_value", "at least 1"),
        (CompletionBody, {"max_tokens": 1.5}, "max_tokens", "invalid_value", "whole number"),
        (CompletionBody, {"seed": -1}, "seed", "invalid_value", "at least 0"),
        (CompletionBody, {"logprobs": 6}, "logprobs", "invalid_value", "at most 5"),
        (CompletionBody, {"stop": ""}, "stop", "invalid_value", "empty text"),
        (CompletionBody, {"stop": ["x"] * 17}, "stop", "invalid_value", "at most 16"),
        (CompletionBody, {"stop": [1]}, "stop", "invalid_value", "list of texts"),
        (CompletionBody, {"stream": "yes"}, "stream", "invalid_value", "true or false"),
        (CompletionBody, {"stream_options": {}}, "stream_options", "invalid_value", "stream"),
        (ChatBody, {"prompt": "x"}, "prompt", "unknown_parameter", "/v1/completions"),
        (ChatBody, {"messages": []}, "messages", "invalid_value", "at least one"),
        (ChatBody, {"messages": "hi"}, "messages", "invalid_value", "list"),
        (ChatBody, {"tools": [{}]}, "tools", "unsupported_parameter", "not supported"),
        (
            ChatBody,
            {"response_format": {"type": "json_object"}},
            "response_format",
            "unsupported_parameter",
            "JSON",
        ),
        (ChatBody, {"top_logprobs": 2}, "top_logprobs", "invalid_value", "logprobs"),
        (
            ChatBody,
            {"max_tokens": 2, "max_completion_tokens": 3},
            "max_tokens",
            "invalid_value",
            "one of them",
        ),
        (
            ChatBody,
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role",
            "invalid_value",
            "system, user or assistant",
        ),
        (
            ChatBody,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "invalid_value",
            "text alone",
        ),
        (
            ChatBody,
            {"messages": [{**SAYS, "name": "Ada"}]},
            "messages.0.name",
            "invalid_value",
            "Unknown field",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_field(
    kind: type[AnyBody], change: dict[str, Any], param: str, code: str, says: str
) -> None:
    usual = TEXT if kind is CompletionBody else CHAT
    with pytest.raises(RefusedError) as refused:
        read_body(kind, {**usual, **change}).complete("m", 100)
    error = refused.value.body["error"]
    assert (refused.value.status, error["param"], error["code"]) == (400, param, code)
    assert says in error["message"]
    assert "pydantic" not in error["message"]


@pytest.mark.parametrize("given", [None, [], "x", 3])
def test_a_body_is_an_object(given: Any) -> None:
    with pytest.raises(RefusedError, match="JSON object"):
        read_body(ChatBody, given)
