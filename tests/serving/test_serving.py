"""OpenAI's own client talks to an endpoint: texts, chats, streams, and what it raises."""

from __future__ import annotations

import http.client
import json
from typing import Any

import openai
import pytest

from cptstudio.errors import UserError
from cptstudio.evaluation.inference import InferenceWorker
from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
from cptstudio.evaluation.references import resolve_reference
from cptstudio.remote_endpoints.chat import ChatClient
from cptstudio.remote_endpoints.confirmed import EndpointChoices, confirm
from cptstudio.serving.endpoints import Endpoints
from cptstudio.serving.facts import EndpointFacts
from cptstudio.workspace import Workspace
from tests.web.server_process import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROMPT = "def read_lines(path):"
SAYS: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def client(endpoints: Endpoints, chatty: EndpointFacts) -> openai.OpenAI:
    assert chatty.state == "ready", chatty.reason
    return openai.OpenAI(base_url=chatty.address, api_key=endpoints.key(), max_retries=0)


def test_our_own_client_of_endpoints_of_others_asks_it(
    endpoints: Endpoints,
    chatty: EndpointFacts,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OWN_API_KEY", str(endpoints.key()))
    choices = EndpointChoices(address=chatty.address, key="environment", variable="OWN_API_KEY")
    found = confirm(workspace, choices, f"127.0.0.1:{chatty.port}")
    with ChatClient(found, "chatty") as client:
        answer = client.write(SAYS, max_tokens=8, temperature=0.5, top_p=0.9, seed=3)
        assert client.write(SAYS, max_tokens=8, temperature=0.5, top_p=0.9, seed=3) == answer
    assert (answer.finish, answer.tokens_out, client.left_out) == ("length", 8, {})
    monkeypatch.setenv("OWN_API_KEY", "another")
    with ChatClient(found, "chatty") as client, pytest.raises(UserError, match="a key that it"):
        client.write(SAYS)


def test_greedy_texts_are_those_of_the_playground(
    client: openai.OpenAI, workspace: Workspace
) -> None:
    asks = {
        "text": Prompt(text=PROMPT),
        "chat": Prompt(chat=({"role": "user", "content": "hello there"},)),
    }
    with InferenceWorker() as worker:
        worker.load([resolve_reference("chatty", workspace)])
        texts = {
            name: "".join(
                answer["piece"]["text"]
                for answer in worker.ask(
                    Complete(
                        labels=("chatty",), prompts=(prompt,), sampling=Sampling(max_tokens=24)
                    )
                )
                if "piece" in answer
            )
            for name, prompt in asks.items()
        }
    made = client.completions.create(model="chatty", prompt=PROMPT, max_tokens=24, temperature=0)
    assert made.choices[0].text == texts["text"]
    assert made.usage is not None
    assert made.usage.completion_tokens == 24
    assert made.choices[0].finish_reason == "length"
    chat = client.chat.completions.create(
        model="chatty", messages=SAYS, max_tokens=24, temperature=0
    )
    assert chat.choices[0].message.content == texts["chat"]


def test_a_stream_is_the_text_in_pieces_with_its_usage_last(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "chatty", "max_tokens": 20, "seed": 3, "temperature": 1.2}
    whole = client.chat.completions.create(messages=SAYS, **asked)
    chunks = list(
        client.chat.completions.create(
            messages=SAYS, stream=True, stream_options={"include_usage": True}, **asked
        )
    )
    text = "".join(one.choices[0].delta.content or "" for one in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    other = client.chat.completions.create(messages=SAYS, **{**asked, "seed": 4})
    assert other.choices[0].message.content != text
    texts = ["", ""]
    for part in client.completions.create(
        model="chatty", prompt=[PROMPT, "import"], stream=True, max_tokens=5, temperature=0
    ):
        texts[part.choices[0].index] += part.choices[0].text
    both = client.completions.create(
        model="chatty", prompt=[PROMPT, "import"], max_tokens=5, temperature=0
    )
    assert [choice.text for choice in both.choices] == texts


def test_a_stop_text_ends_the_text_before_it(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "chatty", "prompt": PROMPT, "temperature": 0}
    text = client.completions.create(max_tokens=30, **asked).choices[0].text
    stop = text[8:11]
    choice = client.completions.create(max_tokens=30, stop=[stop], **asked).choices[0]
    assert choice.text == text[: text.index(stop)]
    assert choice.finish_reason == "stop"


def test_log_probabilities_are_those_of_each_token(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "chatty", "max_tokens": 6, "temperature": 0}
    choice = client.completions.create(prompt=PROMPT, logprobs=2, **asked).choices[0]
    told = choice.logprobs
    assert told is not None
    assert told.token_logprobs is not None
    assert told.top_logprobs is not None
    assert "".join(told.tokens or []) == choice.text
    for one, top in zip(told.token_logprobs, told.top_logprobs, strict=True):
        # Greedy: each token is the likeliest.
        assert one is not None
        assert one == max(top.values())
        assert one < 0
    chat = client.chat.completions.create(
        messages=SAYS, logprobs=True, top_logprobs=2, stream=True, **asked
    )
    tokens = [
        token
        for chunk in chat
        if chunk.choices[0].logprobs
        for token in chunk.choices[0].logprobs.content or []
    ]
    assert len(tokens) == 6
    assert all(len(token.top_logprobs) == 2 for token in tokens)


def test_what_cannot_be_done_is_an_error_of_the_client(
    client: openai.OpenAI, endpoints: Endpoints, chatty: EndpointFacts
) -> None:
    with pytest.raises(openai.NotFoundError, match="serves 'chatty' and not 'other'"):
        client.completions.create(model="other", prompt="x")
    with pytest.raises(openai.BadRequestError, match="context holds") as refused:
        client.completions.create(model="chatty", prompt="word " * 5000)
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="Use at most") as refused:
        client.completions.create(model="chatty", prompt="x", max_tokens=chatty.context)
    with pytest.raises(openai.BadRequestError, match="The tokenizer has no token 1000000"):
        client.completions.create(model="chatty", prompt=[10**6])
    stranger = openai.OpenAI(base_url=chatty.address, api_key="cpt-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="key is wrong"):
        stranger.models.list()
    page = client.with_options(default_headers={"Origin": "http://evil.example"})
    with pytest.raises(openai.PermissionDeniedError, match="Pages of a browser"):
        page.models.list()
    assert [model.id for model in client.models.list()] == ["chatty"]
    log = endpoints.log(chatty.id)
    assert "context_length_exceeded" in log
    assert "word word" not in log
    assert endpoints.key() not in log


def test_more_requests_than_are_taken_at_once_hear_when_to_come_again(
    client: openai.OpenAI, endpoints: Endpoints, chatty: EndpointFacts
) -> None:
    asked: dict[str, Any] = {"model": "chatty", "prompt": [PROMPT] * 16, "stream": True}
    asked |= {"max_tokens": chatty.context - 50, "seed": 1}
    first = client.completions.create(**asked)
    next(iter(first))
    second = http.client.HTTPConnection("127.0.0.1", chatty.port or 0)
    headers = {"Authorization": f"Bearer {endpoints.key()}", "Content-Type": "application/json"}
    second.request("POST", "/v1/completions", json.dumps(asked), headers)
    wait_for(lambda: endpoints.one(chatty.id).under_way == 2, "two requests under way")
    with pytest.raises(openai.RateLimitError) as refused:
        client.completions.create(model="chatty", prompt=PROMPT)
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    before = endpoints.one(chatty.id).tokens
    first.close()
    second.close()
    # Nothing more is made for those who went away.
    wait_for(lambda: endpoints.one(chatty.id).under_way == 0, "the end of what nobody wants")
    assert endpoints.one(chatty.id).tokens == before
    assert client.completions.create(model="chatty", prompt=PROMPT, max_tokens=2).choices
