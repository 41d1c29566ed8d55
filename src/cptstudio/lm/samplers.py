"""Drawing the next token, with a key of one's own instead of MLX's global one."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

from cptstudio.sampling import Sampling

Sampler = Callable[[mx.array], mx.array]


def keyed_sampler(sampling: Sampling, seed: int) -> Sampler:
    """mlx-lm's chain of cuts, drawing from a key made of the seed."""
    if sampling.temperature == 0:
        return lambda logprobs: mx.argmax(logprobs, axis=-1)
    key = mx.random.key(seed)

    def sampler(logprobs: mx.array) -> mx.array:
        nonlocal key
        if 0 < sampling.top_p < 1:
            logprobs = apply_top_p(logprobs, sampling.top_p)
        if sampling.min_p > 0:
            logprobs = apply_min_p(logprobs, sampling.min_p, 1)
        if 0 < sampling.top_k < logprobs.shape[-1]:
            logprobs = apply_top_k(logprobs, sampling.top_k)
        key, now = mx.random.split(key)
        return mx.random.categorical(logprobs * (1 / sampling.temperature), key=now)

    return sampler
