"""Chat completions of an OpenAI-compatible endpoint, asked one after the other.

    with ChatClient(find(workspace, "api.example.com"), "some-model") as client:
        written = client.write([{"role": "user", "content": "Say hello."}], seed=1)

Only a host that the user confirmed gets here (`confirmed`). Whatever it answers is bounded in size
and time, redirects are refused, and a wrong answer is a sentence. A client is used by one thread;
several share a `Pace`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.remote_endpoints.answers import (
    ADAPTED,
    OF_THIS_REQUEST,
    PASSING,
    ChatAnswer,
    WrongAnswerError,
    adapted,
    read_answer,
    refusal,
)
from cptstudio.remote_endpoints.confirmed import RemoteEndpoint
from cptstudio.remote_endpoints.keys import key_of
from cptstudio.remote_endpoints.pace import Pace, asked_seconds

if TYPE_CHECKING:
    import httpx2

_AGENT: Final = "cpt-studio"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Bounds:
    """What one request may take.

    Attributes:
        seconds: from its beginning to the last byte of the answer.
        connect_seconds: until there is a connection.
        answer_bytes: of the answer's body.
        tries: how often it is asked before it counts as failed.
    """

    seconds: float = 600.0
    connect_seconds: float = 30.0
    answer_bytes: int = 8 * durable.MEBIBYTE
    tries: int = 5


@dataclass(frozen=True)
class _Raw:
    status: int
    retry_after: str | None
    encoding: str
    body: bytes


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


class ChatClient:
    """Asks one model of one endpoint.

    Args:
        endpoint: a confirmed one.
        model: as the endpoint calls it.
        bounds: of one request.
        pace: shared with other clients of the same endpoint.

    Attributes:
        left_out: fields of requests that the endpoint refused, which are not sent since.

    Raises:
        UserError: its key is not where it should be.
    """

    def __init__(
        self,
        endpoint: RemoteEndpoint,
        model: str,
        bounds: Bounds | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.model = model
        self.bounds = bounds or Bounds()
        self.pace = pace or Pace()
        self.left_out: dict[str, str | None] = {}
        self._key = key_of(endpoint)
        # In a thread of its own: the caller's may have a loop that runs, as a notebook's does.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), daemon=True).start()
        self._client: httpx2.AsyncClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            self._wait_for(client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _wait_for(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def write(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int = 1024,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> ChatAnswer:
        """Return what the model answers.

        What passes (a busy endpoint, a broken connection, a limit of its rate) is tried again, with
        waits that grow or are as long as the endpoint asks for.

        Raises:
            WrongAnswerError: this request got no answer that can be used, however often it was
                asked; another may.
            UserError: the endpoint refuses whatever is asked: key, model or rights are wrong.
            StoppedError: the pace was stopped.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
        }
        given = {"temperature": temperature, "top_p": top_p, "seed": seed}
        body |= {name: value for name, value in given.items() if value is not None}
        failures = 0
        while True:
            self.pace.wait_for_turn()
            problem, asked = "", None
            raw = None
            try:
                raw = self._wait_for(self._send(adapted(body, self.left_out)))
            except WrongAnswerError as error:
                problem = error.message.rstrip(".")
            if raw is not None and raw.status == 200:
                try:
                    return replace(read_answer(raw.body, self._key), tries=failures + 1)
                except WrongAnswerError as error:
                    problem = f"{self.endpoint.host} {error.message}".rstrip(".")
            elif raw is not None:
                refused = refusal(self.endpoint.host, self.model, raw.status, raw.body, self._key)
                field = refused.field
                if field in ADAPTED and field in body and field not in self.left_out:
                    self.left_out[field] = ADAPTED[field]
                    continue
                if raw.status in OF_THIS_REQUEST:
                    raise WrongAnswerError(refused.error.message)
                if raw.status not in PASSING:
                    raise refused.error
                problem = refused.error.message.rstrip(".")
                asked = asked_seconds(raw.retry_after, time.time())
            failures += 1
            if failures >= self.bounds.tries:
                raise WrongAnswerError(f"{problem} ({failures} tries).")
            self.pace.hold(self.endpoint.host, failures, asked, problem)

    async def _send(self, body: Mapping[str, Any]) -> _Raw:
        import httpx2

        host = self.endpoint.host
        try:
            async with asyncio.timeout(self.bounds.seconds):
                raw = await self._exchange(body)
        except TimeoutError:
            raise WrongAnswerError(
                f"{host} did not answer within {self.bounds.seconds:g} seconds."
            ) from None
        except httpx2.TimeoutException:
            raise WrongAnswerError(f"{host} did not answer in time.") from None
        except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
            raise WrongAnswerError(self._broken(error)) from None
        if 300 <= raw.status < 400:
            raise UserError(
                f"{host} wants to send your texts on to another address. That is refused: only a "
                "host that you confirmed gets them. Confirm the address of the endpoint itself."
            )
        if raw.encoding not in ("", "identity"):
            raise WrongAnswerError(f"{host} sent a compressed answer, which was not asked for.")
        return raw

    async def _exchange(self, body: Mapping[str, Any]) -> _Raw:
        client = self._connected()
        # What one answer sets is not sent with the next request.
        client.cookies.clear()
        address = f"{self.endpoint.address}/chat/completions"
        content = durable.dump_json(body).encode()
        async with client.stream("POST", address, content=content) as answer:
            data = bytearray()
            async for part in answer.aiter_raw():
                data += part
                if len(data) > self.bounds.answer_bytes:
                    raise WrongAnswerError(
                        f"{self.endpoint.host} sent more than {self.bounds.answer_bytes:,} bytes."
                    )
            headers = answer.headers
            return _Raw(
                answer.status_code,
                headers.get("retry-after"),
                headers.get("content-encoding", "").strip().lower(),
                bytes(data),
            )

    def _connected(self) -> httpx2.AsyncClient:
        import httpx2

        if self._client is None:
            headers = {
                "Content-Type": "application/json",
                "Accept": "application/json",
                # A compressed answer could be a thousand times as large as what came.
                "Accept-Encoding": "identity",
                "User-Agent": _AGENT,
            }
            if self._key is not None:
                headers["Authorization"] = f"Bearer {self._key}"
            self._client = httpx2.AsyncClient(
                headers=headers,
                timeout=httpx2.Timeout(
                    self.bounds.seconds,
                    connect=min(self.bounds.connect_seconds, self.bounds.seconds),
                ),
                follow_redirects=False,
                # A proxy that the environment names must not get what stays on this machine.
                trust_env=not self.endpoint.place.is_local,
            )
        return self._client

    def _broken(self, error: Exception) -> str:
        import httpx2

        host = self.endpoint.host
        if isinstance(error, httpx2.ConnectError):
            if "CERTIFICATE" in str(error).upper():
                return f"{host} has no certificate that this machine trusts."
            return f"{host} cannot be reached. Is it running, and this machine online?"
        if isinstance(error, httpx2.RemoteProtocolError):
            return f"{host} did not answer as HTTP has it, or broke off."
        return f"The connection to {host} broke off."
