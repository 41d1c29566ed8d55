"""An endpoint that is slow, wrong, rate-limited, hanging, hostile: told, and survived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cptstudio.errors import UserError
from cptstudio.remote_endpoints.address import parse_address
from cptstudio.remote_endpoints.answers import WrongAnswerError, without_key
from cptstudio.remote_endpoints.chat import Bounds, ChatClient
from cptstudio.remote_endpoints.confirmed import (
    FILE,
    EndpointChoices,
    RemoteEndpoint,
    confirm,
    confirmed_endpoints,
    find,
    remove,
)
from cptstudio.remote_endpoints.pace import Pace, asked_seconds
from cptstudio.workspace import Workspace
from tests.remote_endpoints.odd_server import OddServer, odd_server

HELLO = [{"role": "user", "content": "hello"}]
PATIENT = Bounds(seconds=60, tries=2, answer_bytes=1 << 20)
BRIEF = Bounds(seconds=0.15, tries=1)


@pytest.fixture(scope="module")
def server() -> Iterator[OddServer]:
    with odd_server() as found:
        yield found


@pytest.fixture
def endpoint(server: OddServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteEndpoint:
    monkeypatch.setenv("ODD_API_KEY", server.key)
    choices = EndpointChoices(address=server.address, key="environment", variable="ODD_API_KEY")
    return confirm(Workspace(tmp_path), choices, f"127.0.0.1:{server.port}")


def asking(endpoint: RemoteEndpoint, model: str, bounds: Bounds = PATIENT) -> ChatClient:
    return ChatClient(endpoint, model, bounds, Pace(unit=0.001))


def test_a_sound_answer(server: OddServer, endpoint: RemoteEndpoint) -> None:
    with asking(endpoint, "sound") as client:
        found = client.write(HELLO, max_tokens=9, temperature=0.5, seed=3)
        assert (found.text, found.finish, found.tokens_in, found.tokens_out, found.tries) == (
            "You said hello", "end", 11, 7, 1,
        )  # fmt: skip
        client.write(HELLO)
    assert server.keys[-1] == f"Bearer {server.key}"
    assert server.bodies[-2] == {
        "model": "sound", "messages": HELLO, "max_tokens": 9, "temperature": 0.5, "seed": 3,
    }  # fmt: skip


def test_where_a_loop_runs_already(endpoint: RemoteEndpoint) -> None:
    async def in_a_notebook() -> str:
        with asking(endpoint, "sound") as client:
            return client.write(HELLO).text

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(loop.run_until_complete, in_a_notebook()).result() == "You said hello"
    loop.close()


@pytest.mark.parametrize(
    ("model", "bounds", "words"),
    [
        ("hangs", BRIEF, "did not answer within 0.15 seconds"),
        ("drips", BRIEF, "did not answer within 0.15 seconds"),
        ("headers", PATIENT, "did not answer as HTTP has it|broke off"),
        ("huge", PATIENT, "sent more than 1,048,576 bytes"),
        ("compressed", PATIENT, "compressed answer"),
        ("cut", PATIENT, "did not answer as HTTP has it, or broke off"),
        ("no-http", PATIENT, "did not answer as HTTP has it"),
        ("no-json", PATIENT, "did not answer with JSON"),
        ("deep", PATIENT, "did not answer with JSON"),
        ("nothing", PATIENT, "without any text"),
        ("number", PATIENT, "without any text"),
        ("list", PATIENT, "without any text"),
        ("echo", PATIENT, "sent the key back"),
        ("echo-error", PATIENT, r"cannot answer now \(status 500\): “bad key \[key\] \\x1b"),
        ("too-long", PATIENT, "refused the request .status 400.: “This model's maximum context"),
    ],
)
def test_what_is_wrong_with_one_answer(
    endpoint: RemoteEndpoint, model: str, bounds: Bounds, words: str
) -> None:
    with asking(endpoint, model, bounds) as client:
        with pytest.raises(WrongAnswerError, match=words) as told:
            client.write(HELLO)
        assert client._key is not None
        assert client._key not in str(told.value)
        assert endpoint.host in told.value.message
        # The same client goes on.
        client.bounds = PATIENT
        client.model = "sound"
        assert client.write(HELLO).text == "You said hello"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("unknown-key", r"wants a key that it knows \(status 401\)\.$"),
        ("unknown-model", "knows no model 'unknown-model'"),
        ("redirects", "only a host that you confirmed"),
        ("limited-long", "asks to wait for 1 d"),
    ],
)
def test_what_ends_the_work(
    server: OddServer, endpoint: RemoteEndpoint, model: str, words: str
) -> None:
    with (
        asking(endpoint, model) as client,
        pytest.raises(UserError, match=words) as told,
    ):
        client.write(HELLO)
    assert not isinstance(told.value, WrongAnswerError)
    assert server.key not in str(told.value)
    assert server.asked[model] == 1


def test_limits_of_the_rate_and_passing_failures_are_waited_for(
    server: OddServer, endpoint: RemoteEndpoint
) -> None:
    waits: list[tuple[float, str]] = []
    pace = Pace(unit=0.001, told=lambda seconds, why: waits.append((seconds, why)))
    with ChatClient(endpoint, "limited", Bounds(tries=5), pace) as client:
        assert client.write(HELLO).tries == 3
        client.model = "busy-once"
        assert client.write(HELLO).tries == 2
    assert [why.split(": ")[0] for _, why in waits] == [
        f"{endpoint.host} has reached its limit for you",
        f"{endpoint.host} has reached its limit for you",
        f"{endpoint.host} cannot answer now (status 503)",
    ]
    assert waits[1][0] == 2 * waits[0][0]
    assert asked_seconds("120", 0) == 120
    assert asked_seconds("Fri, 27 Nov 2026 12:00:30 GMT", 1795780800.0) == 30
    assert asked_seconds("soon", 0) is asked_seconds("nan", 0) is asked_seconds(None, 0) is None


def test_what_an_endpoint_does_not_take_is_left_out(
    server: OddServer, endpoint: RemoteEndpoint
) -> None:
    with asking(endpoint, "strict") as client:
        client.write(HELLO, max_tokens=5, temperature=0.1, seed=1)
        assert client.left_out == {"max_tokens": "max_completion_tokens", "seed": None}
        client.write(HELLO, max_tokens=5, temperature=0.1, seed=1)
    sent = {"model": "strict", "messages": HELLO, "max_completion_tokens": 5, "temperature": 0.1}
    assert server.bodies[-2:] == [sent, sent]


def test_texts_that_are_odd(endpoint: RemoteEndpoint) -> None:
    with asking(endpoint, "surrogate") as client:
        assert client.write(HELLO).text == "a?b"
        client.model = "no-usage"
        found = client.write(HELLO)
        assert (found.tokens_in, found.tokens_out) == (None, None)
        client.model = "filtered"
        assert client.write(HELLO).finish == "filtered"
        client.model = "cut-off"
        assert client.write(HELLO).finish == "length"


def test_the_key_is_in_no_log_and_no_file(
    server: OddServer,
    endpoint: RemoteEndpoint,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with asking(endpoint, "sound") as client:
        client.write(HELLO)
    assert "chat/completions" in caplog.text
    assert server.key not in caplog.text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or server.key.encode() not in path.read_bytes()
    assert without_key("a sk-abcdefgh1234 b abcdefgh", "sk-abcdefgh1234") == "a [key] b [key]"


def test_only_what_was_confirmed_is_asked(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    choices = EndpointChoices(address="https://API.example.com/v1/chat/completions/", price_in=3)
    with pytest.raises(UserError, match=r"Confirm the host that will get your texts: api\.example"):
        confirm(workspace, choices, "example.com")
    with pytest.raises(UserError, match="No such endpoint was confirmed"):
        find(workspace, "api.example.com")
    kept = confirm(workspace, choices, "api.example.com")
    assert kept.address == "https://api.example.com/v1"
    assert find(workspace, "api.example.com") == find(workspace, kept.id) == kept
    again = confirm(workspace, EndpointChoices(address=kept.address), "api.example.com")
    assert confirmed_endpoints(workspace) == [again]
    file = workspace.private / FILE
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(file.read_text().replace('"host": "api.example', '"host": "evil.example'))
    with pytest.raises(UserError, match="is not that of its address"):
        find(workspace, kept.id)
    file.unlink()
    confirm(workspace, choices, "api.example.com")
    remove(workspace, "api.example.com")
    assert confirmed_endpoints(workspace) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("api.example.com/v1", "begin with https"),
        ("file:///etc/passwd", "begin with https"),
        ("https://me:secret-one@api.example.com/v1", "Leave out user names"),
        ("https://api.example.com/v1?key=secret-one", "Leave out user names"),
        ("https://api.exämple.com/v1", "ASCII"),
        ("https://api.example.com/v1\r\nX: y", "ASCII"),
        ("https://api.example.com:99999/v1", "cannot be read"),
        ("http://169.254.169.254/latest", "machines among themselves"),
        ("http://[::ffff:169.254.169.254]/latest", "machines among themselves"),
        ("http://0.0.0.0:8000", "127.0.0.1"),
        ("https:///v1", "cannot be right"),
        ("https://api.example.com/../x", "cannot be right"),
    ],
)
def test_what_is_no_address(address: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        parse_address(address)
    assert "secret-one" not in str(told.value)


def test_a_key_is_not_sent_without_encryption_and_comes_from_a_variable_for_keys(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    open_one = EndpointChoices(address="http://192.168.1.5:11434/v1", key="keyring")
    with pytest.raises(UserError, match="without encryption"):
        confirm(workspace, open_one, "192.168.1.5:11434")
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "_API_KEY", "A=B_API_KEY", None):
        given = EndpointChoices(address="https://a.example", key="environment", variable=name)
        with pytest.raises(UserError, match="ends in _API_KEY"):
            confirm(workspace, given, "a.example")
    unset = EndpointChoices(address="https://a.example", key="environment", variable="NO_API_KEY")
    with pytest.raises(UserError, match=r"NO_API_KEY, which should hold the key of a\.example"):
        ChatClient(confirm(workspace, unset, "a.example"), "m")
