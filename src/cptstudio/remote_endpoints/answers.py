"""What an endpoint answers, read carefully: it may be wrong, huge, hostile, or hold the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cptstudio import durable
from cptstudio.errors import UserError
from cptstudio.terminal import visible

PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may be answered."""
OF_THIS_REQUEST: Final = frozenset({400, 413, 422})
"""Statuses after which another request may be answered, such as one that is shorter."""
ADAPTED: Final[dict[str, str | None]] = {
    "max_tokens": "max_completion_tokens",
    "seed": None,
    "temperature": None,
    "top_p": None,
}
"""Fields that not every endpoint takes: what is sent in their place, None for nothing."""
_SHOWN: Final = 300
_LARGEST_COUNT: Final = 10**9
_LEAST_KEY: Final = 8
"""Characters; what is shorter would be found in any text."""
_FILTERED: Final = frozenset({"content_filter", "safety", "refusal"})
Finish = Literal["end", "length", "filtered"]


class WrongAnswerError(UserError):
    """One request got no answer that can be used; the next may."""


@dataclass(frozen=True)
class ChatAnswer:
    """A text that a model wrote.

    Attributes:
        text: without anything that cannot be written as UTF-8.
        finish: why it ends: by itself, at the limit of tokens, or cut by the endpoint's filter.
        tokens_in: of the prompt, as the endpoint counts them; None where it does not tell.
        tokens_out: of the text, likewise.
        tries: how often the endpoint was asked.
    """

    text: str
    finish: Finish
    tokens_in: int | None
    tokens_out: int | None
    tries: int = 1


@dataclass(frozen=True)
class Refusal:
    """A request that was refused.

    Attributes:
        error: a sentence.
        field: the request's field that the endpoint does not take, or None.
    """

    error: UserError
    field: str | None = None


def adapted(body: Mapping[str, Any], left_out: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a request as this endpoint takes it."""
    made: dict[str, Any] = {}
    for name, value in body.items():
        other = left_out.get(name, name)
        if other is not None:
            made[other] = value
    return made


def read_answer(body: bytes, key: str | None) -> ChatAnswer:
    """Return the text of an answer.

    Args:
        key: which the text must not hold.

    Raises:
        WrongAnswerError: it is none; a clause that goes on from the host's name.
    """
    try:
        content = durable.parse_foreign_json(body)
    except ValueError:
        raise WrongAnswerError("did not answer with JSON.") from None
    choices = content.get("choices") if isinstance(content, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WrongAnswerError("answered without any text.")
    message = choices[0].get("message")
    text = message.get("content") if isinstance(message, dict) else None
    finish = choices[0].get("finish_reason")
    refused = isinstance(message, dict) and isinstance(message.get("refusal"), str)
    if text is None and (refused or finish in _FILTERED):
        return ChatAnswer("", "filtered", *_usage(content))
    if not isinstance(text, str):
        raise WrongAnswerError("answered without any text.")
    if key is not None and len(key) >= _LEAST_KEY and key in text:
        raise WrongAnswerError("sent the key back in its text, which was not kept.")
    # Half a pair of surrogates is no character.
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
    if finish == "length":
        return ChatAnswer(text, "length", *_usage(content))
    ended: Finish = "filtered" if refused or finish in _FILTERED else "end"
    return ChatAnswer(text, ended, *_usage(content))


def refusal(host: str, model: str, status: int, body: bytes, key: str | None) -> Refusal:
    """Return why an endpoint refused a request, in a sentence without the key."""
    if status in (401, 403):
        # What it says here may be parts of the key.
        right = "a key that it knows" if status == 401 else "the right to use this model"
        return Refusal(UserError(f"{host} wants {right} (status {status})."))
    said = _said(body, key)
    if status == 404:
        return Refusal(
            UserError(
                f"{host} knows no model {model!r}, or no chat completions at this address{said}."
            )
        )
    if status == 429:
        return Refusal(UserError(f"{host} has reached its limit for you{said}."))
    if status in PASSING:
        return Refusal(UserError(f"{host} cannot answer now (status {status}){said}."))
    field = None
    if status in (400, 422):
        words = set(re.findall(r"[a-z_]+", body[:20_000].decode("utf-8", "replace").lower()))
        # Where several are named, as in "use max_completion_tokens", the one to change is first.
        field = next((name for name in ADAPTED if name in words), None)
        if field == "top_p" and "temperature" in words:
            field = "temperature"
    return Refusal(UserError(f"{host} refused the request (status {status}){said}."), field)


def _usage(content: Mapping[str, Any]) -> tuple[int | None, int | None]:
    usage = content.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))


def _count(given: object) -> int | None:
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _LARGEST_COUNT:
        return given
    return None


def _said(body: bytes, key: str | None) -> str:
    """What the endpoint said, for a person: short, harmless, without the key."""
    try:
        content = durable.parse_foreign_json(body[: durable.MEBIBYTE])
    except ValueError:
        return ""
    error = content.get("error") if isinstance(content, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    if not isinstance(text, str):
        return ""
    if key is not None:
        text = without_key(text, key)
    text = visible(" ".join(text[:5000].encode("utf-8", "replace").decode().split()))
    return f": “{text[:_SHOWN].rstrip('.')}”" if text else ""


def without_key(text: str, key: str) -> str:
    """Return a text with the key, and all longer parts of it, blotted out."""
    if len(key) < _LEAST_KEY:
        return text.replace(key, "[key]")
    parts = {key[at : at + _LEAST_KEY] for at in range(len(key) - _LEAST_KEY + 1)}
    hidden = [False] * len(text)
    for at in range(len(text) - _LEAST_KEY + 1):
        if text[at : at + _LEAST_KEY] in parts:
            hidden[at : at + _LEAST_KEY] = [True] * _LEAST_KEY
    shown = "".join("\0" if hide else sign for sign, hide in zip(text, hidden, strict=True))
    return re.sub("\0+", "[key]", shown)
