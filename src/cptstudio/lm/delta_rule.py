"""The gated delta rule in chunks of tokens, for training (Qwen3-Next, Qwen3.5 and their kin).

mlx-lm's kernel for it has no gradient, so for training it makes some operations for each token, and
each token's state is kept for the gradient: 29 GB a layer of Qwen3.5-27B for two rows of 2,048
tokens. Within a chunk the states can be written out by the keys alone, so that products of
matrices take the place of that loop, and one state a chunk is kept (Yang et al., arXiv 2406.06484,
section 3; with decay arXiv 2412.06464, section 3.3).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import mlx.core as mx

from cptstudio.lm.cpu_fusion import held, with_gradient

CHUNK: Final = 64
"""Tokens in a chunk: a state of 128 x 128 is as large as what a chunk of 64 keeps beside it."""
_LEAST: Final = 1e-30
"""A decay below this forgets all the same, and has a logarithm."""
_SMALL: Final = 16
"""Smaller matrices are multiplied element by element: a call for each would take longer."""
_MODULE: Final = "mlx_lm.models.gated_delta"

Result = tuple[mx.array, mx.array]


@contextmanager
def delta_rule_in_chunks() -> Iterator[None]:
    """Build graphs whose gated delta rule goes in chunks, where mlx-lm would go token by token."""
    module: Any = sys.modules.get(_MODULE)
    if module is None:
        yield
        return
    stock = module.gated_delta_ops
    module.gated_delta_ops = _replacing(stock)
    try:
        yield
    finally:
        module.gated_delta_ops = stock


def _replacing(stock: Callable[..., Result]) -> Callable[..., Result]:
    def gated_delta_ops(
        q: mx.array,
        k: mx.array,
        v: mx.array,
        g: mx.array,
        beta: mx.array,
        state: mx.array | None = None,
        mask: mx.array | None = None,
    ) -> Result:
        # A decay of its own for each number of a key cannot be taken out of their products.
        if mask is not None or g.ndim != 3 or q.shape[1] < 2:
            return stock(q, k, v, g, beta, state, mask)
        return gated_delta_chunks(q, k, v, g, beta, state)

    return gated_delta_ops


def gated_delta_chunks(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    decay: mx.array,
    beta: mx.array,
    state: mx.array | None = None,
    chunk: int = CHUNK,
) -> Result:
    """Return what mlx-lm's `gated_delta_ops` returns, but for rounding.

    Args:
        queries, keys: [rows, length, key heads, key size].
        values: [rows, length, heads, value size].
        decay, beta: [rows, length, heads].
        state: [rows, heads, value size, key size]; None for zeros.

    Returns:
        [rows, length, heads, value size] in the type of the queries, and the last state.
    """
    rows, length, key_heads, size = queries.shape
    heads, value_size = values.shape[-2:]
    while chunk >= 2 * length:
        chunk //= 2
    if state is None:
        state = mx.zeros((rows, heads, value_size, size), mx.float32)
    state = state.reshape(rows, key_heads, heads // key_heads, value_size, size)

    def in_chunks(x: mx.array, width: int) -> mx.array:
        """[rows, key heads, heads of each, chunks, chunk, width]; what is added changes nothing."""
        x = mx.pad(x.astype(mx.float32), [(0, 0), (0, -length % chunk)] + [(0, 0)] * (x.ndim - 2))
        x = x.reshape(rows, -1, chunk, key_heads, x.shape[2] // key_heads, width)
        return x.transpose(0, 3, 4, 1, 2, 5)

    q, k = in_chunks(queries, size), in_chunks(keys, size)
    v, b = in_chunks(values, value_size), in_chunks(beta, 1)
    # Sums of logarithms within a chunk: what is left at each token of what was there before.
    left = mx.cumsum(in_chunks(mx.log(mx.maximum(decay.astype(mx.float32), _LEAST)), 1), axis=-2)
    between = left - left.swapaxes(-1, -2)
    seen = mx.tri(chunk, dtype=mx.bool_)
    between = mx.exp(mx.where(seen, between, -mx.inf))
    before = mx.tri(chunk, k=-1, dtype=mx.float32)
    solved = inverse(b * between * (k @ k.swapaxes(-1, -2)) * before)
    of_values = solved @ (b * v)
    of_state = solved @ (b * mx.exp(left) * k)
    own = between * (q @ k.swapaxes(-1, -2))
    asked = mx.exp(left) * q
    total = left[..., -1:, :]
    handed_on, forgotten = mx.exp(total - left) * k, mx.exp(total)
    found = []
    for at in range(q.shape[3]):
        turned = state.swapaxes(-1, -2)
        added = of_values[..., at, :, :] - of_state[..., at, :, :] @ turned
        found.append(asked[..., at, :, :] @ turned + own[..., at, :, :] @ added)
        state = forgotten[..., at, :, :] * state + added.swapaxes(-1, -2) @ handed_on[..., at, :, :]
    output = mx.stack(found, axis=3).transpose(0, 3, 4, 1, 2, 5)
    output = output.reshape(rows, -1, heads, value_size)[:, :length]
    return output.astype(queries.dtype), state.reshape(rows, heads, value_size, size)


def _inverse(lower: mx.array) -> tuple[mx.array]:
    """By halves: each step joins the inverses of two blocks by what lies below the first."""
    *lead, chunk, _ = lower.shape
    found = mx.ones((*lead, chunk, 1, 1), lower.dtype)
    size = 1
    while size < chunk:
        pairs = chunk // (2 * size)
        blocks = lower.reshape(*lead, pairs, 2 * size, pairs, 2 * size)
        on_diagonal = mx.eye(pairs, dtype=lower.dtype)[:, None, :, None]
        below = (blocks * on_diagonal).sum(axis=-2)[..., size:, :size]
        halves = found.reshape(*lead, pairs, 2, size, size)
        first, second = halves[..., 0, :, :], halves[..., 1, :, :]
        joined = -_product(_product(second, below), first)
        above = mx.concatenate([first, mx.zeros_like(first)], axis=-1)
        found = mx.concatenate([above, mx.concatenate([joined, second], axis=-1)], axis=-2)
        size *= 2
    return (found[..., 0, :, :],)


def _product(a: mx.array, b: mx.array) -> mx.array:
    if a.shape[-1] < _SMALL:
        return (a[..., :, :, None] * b[..., None, :, :]).sum(axis=-2)
    return a @ b


def _inverse_vjp(_: Any, cotangents: Any, outputs: Any) -> mx.array:
    cotangent = cotangents if isinstance(cotangents, mx.array) else cotangents[0]
    turned = (outputs if isinstance(outputs, mx.array) else outputs[0]).swapaxes(-1, -2)
    return -(turned @ cotangent @ turned)


inverse = cast(
    Callable[[mx.array], mx.array],
    with_gradient(_inverse, _inverse_vjp, lambda lower: lower * held(lower)),
)
"""(I + lower)^-1 for matrices whose numbers on and above the diagonal are zero.

No step's numbers are larger than the inverse's own, as those of a series of powers would be.
"""
