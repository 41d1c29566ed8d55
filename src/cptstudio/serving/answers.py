"""Answers in the forms of OpenAI's API, made of the pieces that the inference worker tells."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

_FINISH: Final = {"end": "stop", "stop": "stop", "length": "length"}
_IMPOSSIBLE: Final = -9999.0
"""What OpenAI's API says for the logarithm of a probability that is too small."""


@dataclass
class Text:
    """One text of an answer, as it grows."""

    pieces: list[dict[str, Any]] = field(default_factory=list)
    length: int = 0
    finish: str | None = None

    def add(self, piece: dict[str, Any]) -> None:
        """Take its next piece."""
        self.pieces.append(piece)
        self.length += len(piece["text"])
        self.finish = _FINISH.get(piece["finish"]) if piece["finish"] else None


class Answer:
    """An answer to one request. Subclasses give it the form of their route.

    Args:
        model: the model as clients name it.
        likeliest: how many alternatives a token's log-probabilities tell; None for none of that.
    """

    prefix = ""
    whole = ""
    chunk = ""

    def __init__(self, model: str, likeliest: int | None) -> None:
        self._likeliest = likeliest
        self._texts: dict[int, Text] = {}
        self._head = {
            "id": f"{self.prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }

    # --- one object --------------------------------------------------------------------------

    def take(self, piece: dict[str, Any]) -> None:
        """Take a piece of one of the texts."""
        self._texts.setdefault(piece["text_number"], Text()).add(piece)

    def complete(self, ends: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the whole answer.

        Args:
            ends: the worker's facts of each text.
        """
        choices = []
        for index in range(len(ends)):
            made = self._texts.get(index, Text())
            told = self._told(made.pieces, 0)
            choices.append(
                {
                    "index": index,
                    **self._content("".join(piece["text"] for piece in made.pieces)),
                    "logprobs": told,
                    "finish_reason": made.finish,
                }
            )
        return {**self._head, "object": self.whole, "choices": choices, "usage": usage(ends)}

    # --- a stream ----------------------------------------------------------------------------

    def beginning(self, texts: int) -> Iterator[dict[str, Any]]:
        """Yield what comes before the first piece."""
        return iter(())

    def chunks(self, piece: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield what a piece adds to a stream: nothing while a character is not complete."""
        index = piece["text_number"]
        made = self._texts.setdefault(index, Text())
        held, before = made.pieces, made.length - sum(len(one["text"]) for one in made.pieces)
        made.add(piece)
        if not piece["text"] and made.finish is None:
            return
        if piece["text"] or self._likeliest is not None:
            told = self._told(held, before)
            yield self._chunk(index, self._delta("".join(one["text"] for one in held)), told)
        held.clear()
        if made.finish is not None:
            yield self._chunk(index, self._delta(None), None, made.finish)

    def counted(self, ends: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the last chunk of a stream that tells its usage."""
        return {**self._head, "object": self.chunk, "choices": [], "usage": usage(ends)}

    def _chunk(
        self, index: int, content: dict[str, Any], logprobs: Any, finish: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": index, **content, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head, "object": self.chunk, "choices": [choice]}

    # --- forms -------------------------------------------------------------------------------

    def _content(self, text: str) -> dict[str, Any]:
        raise NotImplementedError

    def _delta(self, text: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _told(self, pieces: list[dict[str, Any]], offset: int) -> dict[str, Any] | None:
        raise NotImplementedError


class CompletionAnswer(Answer):
    """Of /v1/completions."""

    prefix = "cmpl"
    whole = chunk = "text_completion"

    def _content(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def _delta(self, text: str | None) -> dict[str, Any]:
        return {"text": text or ""}

    def _told(self, pieces: list[dict[str, Any]], offset: int) -> dict[str, Any] | None:
        if self._likeliest is None:
            return None
        told: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        for piece in pieces:
            told["tokens"].append(piece["own"])
            told["token_logprobs"].append(logarithm(piece["probability"]))
            told["top_logprobs"].append(
                {
                    one["text"]: logarithm(one["probability"])
                    # The likeliest last, so that it is told where two have the same text.
                    for one in reversed(piece["alternatives"][: self._likeliest])
                }
            )
            told["text_offset"].append(offset)
            offset += len(piece["text"])
        return told


class ChatAnswer(Answer):
    """Of /v1/chat/completions."""

    prefix = "chatcmpl"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def beginning(self, texts: int) -> Iterator[dict[str, Any]]:
        """Yield who speaks."""
        for index in range(texts):
            yield self._chunk(index, {"delta": {"role": "assistant", "content": ""}}, None)

    def _content(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def _delta(self, text: str | None) -> dict[str, Any]:
        return {"delta": {} if text is None else {"content": text}}

    def _told(self, pieces: list[dict[str, Any]], offset: int) -> dict[str, Any] | None:
        if self._likeliest is None:
            return None
        return {
            "content": [
                {
                    **_token(piece["own"], piece["probability"]),
                    "top_logprobs": [
                        _token(one["text"], one["probability"])
                        for one in piece["alternatives"][: self._likeliest]
                    ],
                }
                for piece in pieces
            ],
            "refusal": None,
        }


def _token(text: str, probability: float) -> dict[str, Any]:
    # A token that is a part of a character cannot be told as text, and so not as its bytes.
    whole = "\N{REPLACEMENT CHARACTER}" not in text
    return {
        "token": text,
        "logprob": logarithm(probability),
        "bytes": list(text.encode()) if whole else None,
    }


def logarithm(probability: float) -> float:
    """Return the natural logarithm of a probability, also of none."""
    return math.log(probability) if probability > 0 else _IMPOSSIBLE


def usage(ends: list[dict[str, Any]]) -> dict[str, int]:
    """Return the tokens of prompts and texts."""
    prompt, made = (sum(one[key] for one in ends) for key in ("prompt_tokens", "tokens"))
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
