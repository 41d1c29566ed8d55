"""Bodies of requests, checked to the last field: what would have no effect is refused.

Fields, their meaning and defaults are those of OpenAI's API reference (Completions, Chat
Completions); `top_k`, `min_p`, `repetition_penalty` and `repetition_window` are ours, as in the
Playground.
"""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cptstudio.evaluation.model_requests import Complete, Prompt, Sampling
from cptstudio.sampling import Seed
from cptstudio.serving.refusals import RefusedError, bad
from cptstudio.validation import LateModel, field_of, findings_of, wrong

MOST_PROMPTS: Final = 16
COMPLETION_TOKENS: Final = 16
"""Of a completion whose request says nothing, as OpenAI's API has it."""
_ANY: Final = object()

_WITHOUT_EFFECT: Final[dict[str, tuple[Any, ...]]] = {
    # Of OpenAI's API. Each with the values that change nothing, which clients send of themselves.
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "metadata": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "prompt_cache_key": (_ANY,),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "safety_identifier": (_ANY,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "user": (_ANY,),
    "verbosity": (),
    "web_search_options": (),
}
_INSTEAD: Final = {
    "n": "Only one text is made of a prompt: send the request once for each, with another seed.",
    "best_of": "Only one text is made of a prompt: send the request once for each.",
    "frequency_penalty": "Use repetition_penalty, such as 1.1.",
    "presence_penalty": "Use repetition_penalty, such as 1.1.",
    "response_format": "Texts are free: ask for JSON in the prompt, and check what comes.",
}


class _Body(LateModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _is(values: list[Any], kind: type) -> bool:
    """Whether all entries are of one kind; a yes or no is no number."""
    return bool(values) and all(type(one) is kind for one in values)


def _one_of(value: Any, kind: type, otherwise: str) -> Any:
    """Return a text, or a list of entries of one kind.

    Raises:
        PydanticCustomError: it is neither.
    """
    if isinstance(value, str) or value == [] or (isinstance(value, list) and _is(value, kind)):
        return value
    raise wrong(otherwise)


class StreamOptions(_Body):
    """What a stream tells besides.

    Attributes:
        include_usage: a last chunk counts the tokens.
        include_obfuscation: padding against listeners, which loopback has none of; false only.
    """

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class AnyBody(_Body):
    """What both kinds of requests may hold."""

    model: str
    max_tokens: int | None = field_of(Sampling, "max_tokens", default=None)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = field_of(Sampling, "top_k")
    min_p: float = field_of(Sampling, "min_p")
    repetition_penalty: float = field_of(Sampling, "repetition_penalty")
    repetition_window: int = field_of(Sampling, "repetition_window")
    seed: Seed | None = None
    stop: str | list[str] = []
    stream: bool = False
    stream_options: StreamOptions | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _check_stop(cls, value: Any) -> Any:
        return _one_of(value, str, "Give a text, or a list of texts.")

    def complete(self, label: str, context: int) -> Complete:
        """Return what is asked of the process that holds the model.

        Raises:
            RefusedError: it cannot be asked.
        """
        prompts = self.prompts()
        most = self.most_tokens()
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if len(stop) > MOST_PROMPTS:
            raise bad(f"stop has {len(stop)} entries. Use at most {MOST_PROMPTS}.", "stop")
        if "" in stop:
            raise bad("stop holds an empty text, which stops nothing. Remove it.", "stop")
        if self.stream_options is not None and not self.stream:
            raise bad("stream_options are for streams: set stream to true, too.", "stream_options")
        sampling = Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            repetition_window=self.repetition_window,
            seed=secrets.randbelow(2**32) if self.seed is None else self.seed,
            stop=stop,
            **({} if most is None else {"max_tokens": most}),
        )
        return Complete(
            labels=(label,) * len(prompts),
            prompts=prompts,
            sampling=sampling,
            alternatives=self.alternatives(),
            context=context,
            fill=most is None,
        )

    def prompts(self) -> tuple[Prompt, ...]:
        """What is gone on from."""
        raise NotImplementedError

    def most_tokens(self) -> int | None:
        """At most so many tokens are made; None for as many as the context holds."""
        return self.max_tokens

    def alternatives(self) -> int:
        """How many of the likeliest tokens are told; 0 without log-probabilities."""
        raise NotImplementedError


class CompletionBody(AnyBody):
    """A body of POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | None = Field(None, ge=0, le=5)

    @field_validator("prompt", mode="before")
    @classmethod
    def _check_prompt(cls, value: Any) -> Any:
        said = "Give a text, a list of token ids, or a list of either."
        if isinstance(value, list) and value and isinstance(value[0], list):
            if all(isinstance(one, list) and _is(one, int) for one in value):
                return value
            raise wrong(said)
        return _one_of(value, int if isinstance(value, list) and _is(value[:1], int) else str, said)

    def prompts(self) -> tuple[Prompt, ...]:
        """One prompt, or several, each as text or as token ids."""
        given: list[Any] = self.prompt if isinstance(self.prompt, list) else [self.prompt]
        if given and isinstance(given[0], int):
            given = [given]
        if not given:
            raise bad("prompt holds nothing. Give a text.", "prompt")
        if len(given) > MOST_PROMPTS:
            raise bad(
                f"prompt holds {len(given)} prompts. Send at most {MOST_PROMPTS} in one request.",
                "prompt",
            )
        return tuple(
            Prompt(text=one) if isinstance(one, str) else Prompt(tokens=tuple(one)) for one in given
        )

    def most_tokens(self) -> int:
        """As OpenAI's API has it, where nothing is said."""
        return self.max_tokens or COMPLETION_TOKENS

    def alternatives(self) -> int:
        """One at least, for the token's own text."""
        return 0 if self.logprobs is None else max(1, self.logprobs)


class TextPart(_Body):
    """A part of a message."""

    type: Literal["text"]
    text: str


class Message(_Body):
    """A message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart]

    @field_validator("content", mode="before")
    @classmethod
    def _check_content(cls, value: Any) -> Any:
        if isinstance(value, list) and _is(value, dict):
            for one in value:
                if one.get("type") != "text":
                    raise wrong("Only parts of type text are taken: this model reads text alone.")
            return value
        return _one_of(value, dict, "Give a text, or a list of parts: {type: text, text: …}.")


class ChatBody(AnyBody):
    """A body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = field_of(Sampling, "max_tokens", default=None)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)

    def prompts(self) -> tuple[Prompt, ...]:
        """The chat, for the model's own template."""
        chat = tuple(
            {
                "role": one.role,
                "content": one.content
                if isinstance(one.content, str)
                else "".join(part.text for part in one.content),
            }
            for one in self.messages
        )
        return (Prompt(chat=chat),)

    def most_tokens(self) -> int | None:
        """By either name."""
        both = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(both) > 1:
            raise bad(
                f"max_tokens is {self.max_tokens} and max_completion_tokens is "
                f"{self.max_completion_tokens}. Give one of them.",
                "max_tokens",
            )
        return both.pop() if both else None

    def alternatives(self) -> int:
        """One at least, for the token's own text."""
        if self.top_logprobs is not None and not self.logprobs:
            raise bad("top_logprobs needs logprobs: set it to true, too.", "top_logprobs")
        return max(1, self.top_logprobs or 0) if self.logprobs else 0


def read_body(kind: type[AnyBody], given: Any) -> AnyBody:
    """Return a checked body.

    Raises:
        RefusedError: it is none, with the first field that is wrong.
    """
    if not isinstance(given, dict):
        raise bad("The body has to be a JSON object.", code="invalid_body")
    # A field that is null is one that is not given; only there it may be one we do not know.
    given = {name: value for name, value in given.items() if value is not None}
    for name in [name for name in given if name not in kind.model_fields]:
        _check_without_effect(name, given.pop(name), kind)
    if "messages" in given:
        given["messages"] = _without_nulls(given["messages"])
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise _first(error, kind) from None


def _check_without_effect(name: str, value: Any, kind: type[BaseModel]) -> None:
    if name not in _WITHOUT_EFFECT:
        other = ChatBody if kind is CompletionBody else CompletionBody
        where = "/v1/chat/completions" if other is ChatBody else "/v1/completions"
        hint = f" It belongs to {where}." if name in other.model_fields else ""
        raise bad(f"There is no field {name!r}.{hint} Remove it.", name, "unknown_parameter")
    harmless = _WITHOUT_EFFECT[name]
    if any(one is _ANY or (type(one) is type(value) and one == value) for one in harmless):
        return
    instead = _INSTEAD.get(name, "")
    raise bad(
        f"{name} is not supported by this endpoint. {instead or 'Remove it.'}",
        name,
        "unsupported_parameter",
    )


def _without_nulls(messages: Any) -> Any:
    """Messages without fields that are null, which clients send back as they got them."""
    if not isinstance(messages, list):
        return messages
    return [
        {name: value for name, value in one.items() if value is not None}
        if isinstance(one, dict)
        else one
        for one in messages
    ]


def _first(error: ValidationError, kind: type[BaseModel]) -> RefusedError:
    found = findings_of(error, kind)[0]
    code = "missing_required_parameter" if found.missing else "invalid_value"
    return bad(
        f"{found.field}: {found.sentence}" if found.field else found.sentence,
        found.field or None,
        code,
    )
