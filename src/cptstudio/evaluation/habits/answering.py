"""Answers to many prompts at once, always the likeliest token: the same ones every time.

Answers are made in batches by mlx-lm's generator, since a network that reads its weights once for
dozens of tokens is many times faster than one that reads them for each. A batch always holds the
same prompts, so its rounding is the same, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from cptstudio.lm.loading import LoadedModel
from cptstudio.lm.vocabulary import check_ids

AT_ONCE: Final = 48


@dataclass(frozen=True)
class Answered:
    """The tokens of an answer.

    Attributes:
        tokens: as they were made; the one that ended it is the last.
        stopped: whether a token ended it; otherwise its length did.
    """

    tokens: tuple[int, ...]
    stopped: bool


def answer_all(
    loaded: LoadedModel,
    prompts: Sequence[Sequence[int]],
    ends: Sequence[int],
    max_tokens: int,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Answered]:
    """Answer prompts.

    Args:
        prompts: token ids of each, at least one.
        ends: ids of tokens that end an answer.
        max_tokens: of each answer.
        tell: called with the tokens made so far, and at most in all.
    """
    for tokens in prompts:
        check_ids(tokens, loaded.embedding_rows, "The prompt", loaded.path)
    total = len(prompts) * max_tokens
    found: list[Answered] = []
    for start in range(0, len(prompts), AT_ONCE):
        batch = prompts[start : start + AT_ONCE]
        made: dict[int, list[int]] = {number: [] for number in range(len(batch))}
        ended: dict[int, bool] = {}
        for number, token, finish in _pieces(loaded, batch, ends, max_tokens):
            made[number].append(token)
            if finish is not None:
                ended[number] = finish == "stop"
            counted = len(found) * max_tokens
            # An answer that has ended needs no more of its tokens.
            counted += sum(max_tokens if at in ended else len(made[at]) for at in made)
            tell(counted, total)
        found += [Answered(tuple(made[number]), ended[number]) for number in made]
        mx.clear_cache()
    return found


def _pieces(
    loaded: LoadedModel, batch: Sequence[Sequence[int]], ends: Sequence[int], max_tokens: int
) -> Iterator[tuple[int, int, str | None]]:
    """Yield the number of a prompt, its next token, and why the answer ends with it, if it does."""
    stream = mx.default_stream(mx.default_device())
    generator = BatchGenerator(
        loaded.model,
        max_tokens=max_tokens,
        stop_tokens=[[token] for token in ends],
        completion_batch_size=AT_ONCE,
        prefill_batch_size=AT_ONCE,
        stream=stream,
    )
    try:
        numbers = {
            uid: number for number, uid in enumerate(generator.insert([list(one) for one in batch]))
        }
        open_answers = len(batch)
        while open_answers:
            for response in generator.next_generated():  # type: ignore[no-untyped-call]
                open_answers -= response.finish_reason is not None
                yield numbers[response.uid], int(response.token), response.finish_reason
    finally:
        generator.close()  # type: ignore[no-untyped-call]
