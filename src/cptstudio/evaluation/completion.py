"""Completions of one prompt: token by token, with what else the model thought likely.

Tokens are made by mlx-lm's own `generate_step`, so a greedy completion is mlx-lm's token for
token. Sampling draws from a key of its own instead of MLX's global one: what one completion
draws does not depend on which others run beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.generate import generate_step
from mlx_lm.sample_utils import make_logits_processors
from transformers import PreTrainedTokenizerBase

from cptstudio.errors import UserError
from cptstudio.evaluation.model_requests import Prompt, Sampling
from cptstudio.lm.blas import one_row_products
from cptstudio.lm.chat_format import spelled, template_variables
from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.samplers import keyed_sampler
from cptstudio.lm.text_after import TextAfter, raw_tokens, token_texts
from cptstudio.lm.vocabulary import check_ids


@dataclass(frozen=True)
class Alternative:
    """A token that the model could have taken.

    Attributes:
        token: its id.
        text: of that token alone.
        probability: under the model, before temperature and cuts.
    """

    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class Piece:
    """One token of a completion.

    Attributes:
        token: its id.
        text: what it adds to the text; empty while a character is not complete.
        probability: of the token, as in `Alternative`.
        alternatives: the likeliest tokens at this place, the likeliest first.
        finish: why the text ends with this piece ("end" of sequence, "length", "stop"), or None.
        own: text of this token alone, as in `Alternative`; empty where no alternatives are asked.
        ended_by: the token or the stop text that ended the text; None where neither did.
    """

    token: int
    text: str
    probability: float
    alternatives: tuple[Alternative, ...]
    finish: str | None
    own: str = ""
    ended_by: str | None = None


RenderTemplate = Callable[[str, Sequence[dict[str, str]], dict[str, Any]], str]
"""Makes a prompt's text of a chat template, messages, and the template's variables."""


class CancelledError(Exception):
    """The user has asked for no more."""


def prompt_tokens(
    loaded: LoadedModel, prompt: Prompt, render: RenderTemplate | None = None
) -> list[int]:
    """Return the ids of a prompt, special tokens included.

    Args:
        render: renders chat templates; None to do it in this process, which ends with a template
            that takes all memory.

    Raises:
        UserError: not exactly one kind of prompt is given, or the model cannot take it.
    """
    given = [kind for kind in (prompt.text, prompt.tokens, prompt.chat) if kind is not None]
    if len(given) != 1:
        raise UserError("Set exactly one of: text, tokens, chat.")
    tokenizer = loaded.tokenizer
    if prompt.chat is not None:
        if not tokenizer.has_chat_template:
            raise UserError(
                f"The model in {loaded.path} has no chat template. Use raw text instead."
            )
        messages = [dict(message) for message in prompt.chat]
        if render is None or _renders_by_itself(tokenizer):
            return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True))
        variables = template_variables(tokenizer)
        text = render(tokenizer.get_chat_template(), messages, variables)
        return list(tokenizer.encode(text, add_special_tokens=False))
    if prompt.tokens is not None:
        tokens = list(prompt.tokens)
        limit = len(tokenizer)
        wrong = [token for token in tokens if not 0 <= token < limit]
        if wrong:
            raise UserError(
                f"The tokenizer has no token {wrong[0]} (its vocabulary has {limit:,})."
            )
    else:
        assert prompt.text is not None
        tokens = raw_tokens(tokenizer, prompt.text)
    return tokens or [_first_token(tokenizer)]


def _renders_by_itself(tokenizer: Any) -> bool:
    """Whether the prompt of a chat is made by a library's own code in place of a template."""
    inner = type(tokenizer._tokenizer)
    return (
        tokenizer._chat_template is not None
        or inner.apply_chat_template is not PreTrainedTokenizerBase.apply_chat_template
    )


def _first_token(tokenizer: Any) -> int:
    """What an empty text begins with."""
    token = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else None
    return int(token if token is not None else tokenizer.eos_token_id)


class Completion:
    """One text that is being made; iterating gives its pieces.

    Args:
        tokens: ids of the prompt, at least one.
        sampling: how tokens are chosen; its seed is not used.
        alternatives: how many of the likeliest tokens are told at each place.
        cancelled: asked often; when it says True, `CancelledError` is raised.
        goes_on: the text goes on with the prompt's; otherwise, as in a chat, it is one of its own.
        ends: tokens that end the text; None for those that mlx-lm ends at.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        tokens: Sequence[int],
        sampling: Sampling,
        seed: int,
        alternatives: int,
        cancelled: Callable[[], bool],
        goes_on: bool = True,
        ends: Collection[int] | None = None,
    ) -> None:
        check_ids(tokens, loaded.embedding_rows, "The prompt", loaded.path)
        self.prompt_size = len(tokens)
        self.count = 0
        self.first_token_seconds: float | None = None
        self._tokenizer = loaded.tokenizer
        self._ends = loaded.tokenizer.eos_token_ids if ends is None else ends
        self._where = loaded.path
        self._text = TextAfter(loaded.tokenizer, tokens if goes_on else ())
        self._sampling = sampling
        self._alternatives = alternatives
        self._cancelled = cancelled
        self._stop = _StopStrings(sampling.stop)
        self._began = time.perf_counter()
        self._first = 0.0
        penalty = sampling.repetition_penalty
        self._steps = generate_step(
            mx.array(list(tokens)),
            loaded.model,
            max_tokens=sampling.max_tokens,
            sampler=keyed_sampler(sampling, seed),
            logits_processors=make_logits_processors(
                repetition_penalty=None if penalty == 1 else penalty,
                repetition_context_size=sampling.repetition_window,
            ),
            max_kv_size=sampling.context_length,
            prompt_progress_callback=self._while_reading,
        )

    def __iter__(self) -> Iterator[Piece]:
        try:
            for token, logprobs in self._steps:
                piece = self._piece(int(token), logprobs)
                yield piece
                if piece.finish is not None:
                    return
        finally:
            self._steps.close()

    @property
    def tokens_per_second(self) -> float | None:
        """Rate after the first token; None before there are two."""
        if self.count < 2:
            return None
        return (self.count - 1) / (time.perf_counter() - self._first)

    def _piece(self, token: int, logprobs: mx.array) -> Piece:
        if self._cancelled():
            raise CancelledError
        self.count += 1
        if self.first_token_seconds is None:
            self._first = time.perf_counter()
            self.first_token_seconds = self._first - self._began
        ended = token in self._ends
        full = self.count >= self._sampling.max_tokens
        segment = "" if ended else self._text.add(token)
        if ended or full:
            segment += self._text.finish()
        text, stopped = self._stop.take(segment, last=ended or full)
        finish = "stop" if stopped else "end" if ended else "length" if full else None
        ended_by = stopped or (spelled(self._tokenizer, token) if ended else None)
        probability, alternatives, own = self._likeliest(token, logprobs)
        return Piece(token, text, probability, alternatives, finish, own, ended_by)

    def _likeliest(
        self, token: int, logprobs: mx.array
    ) -> tuple[float, tuple[Alternative, ...], str]:
        values = np.array(logprobs.astype(mx.float32))
        if np.isnan(values).any():
            raise UserError(
                f"The model in {self._where} computes NaN, so there is no token after "
                f"{self.count - 1:,}. Its weights are damaged, or values overflow in this "
                "precision."
            )
        count = min(self._alternatives, values.size)
        best = np.argpartition(-values, count - 1)[:count] if count else np.array([], dtype=int)
        best = best[np.argsort(-values[best], kind="stable")]
        *texts, own = token_texts(self._tokenizer, [*best.tolist(), token]) if count else [""]
        # In double precision: 1e-300 is a probability, too.
        found = tuple(
            Alternative(int(one), text, math.exp(float(values[one])))
            for one, text in zip(best, texts, strict=True)
        )
        return math.exp(float(values[token])), found, own

    def _while_reading(self, done: int, total: int) -> None:
        if self._cancelled():
            raise CancelledError


def run_together(
    completions: Sequence[Completion], tell: Callable[[int, Piece], None]
) -> list[Piece | None]:
    """Make several texts, a token of each in turn; returns the last piece of each.

    Args:
        tell: called with a completion's index and its next piece.
    """
    # generate_step sets MLX's default stream while it waits; interleaved, it would stay set.
    stream = mx.default_stream(mx.default_device())
    active = {index: iter(completion) for index, completion in enumerate(completions)}
    ends: list[Piece | None] = [None] * len(completions)
    try:
        with one_row_products() as prompts_read:
            while active:
                for index in list(active):
                    piece = next(active[index], None)
                    if piece is None:
                        del active[index]
                        continue
                    ends[index] = piece
                    tell(index, piece)
                prompts_read()
    finally:
        for pieces in active.values():
            pieces.close()  # type: ignore[attr-defined]
        mx.set_default_stream(stream)
    return ends


class _StopStrings:
    """Cuts a text that comes in segments at the first of some strings."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""

    def take(self, segment: str, last: bool) -> tuple[str, str | None]:
        """Return the text that may be shown now, and the string that ended it, if one did.

        What could be the beginning of a string is held back until that is known.
        """
        text = self._held + segment
        found = [(place, string) for string in self._strings if (place := text.find(string)) >= 0]
        if found:
            self._held = ""
            place, string = min(found)
            return text[:place], string
        keep = 0 if last else self._could_begin(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], None

    def _could_begin(self, text: str) -> int:
        longest = max((len(string) for string in self._strings), default=1) - 1
        for size in range(min(longest, len(text)), 0, -1):
            if any(string.startswith(text[-size:]) for string in self._strings):
                return size
        return 0
