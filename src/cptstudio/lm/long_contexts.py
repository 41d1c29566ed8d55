"""Attention to long contexts: no more than O(length) memory a layer, also for the gradient.

Plain differentiation of attention keeps a score for each pair of tokens, 2 GB a head at 32,768
tokens in bfloat16. A fused kernel does not, where there is one for the gradient too. Elsewhere
attention is computed here for one block of queries after the other, and again for their gradient:
on a CPU by tiles (`cpu_long_attention`), on a GPU by MLX's own function for each block.

mlx-lm makes a sliding window a matrix of all pairs of tokens. `attention_in_blocks` hands the
models a `Window` in its place, and blocks see the keys of their window only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import mlx.core as mx
import numpy as np

from cptstudio.lm import attention_blocks
from cptstudio.lm.attention_blocks import FUSED_SIZES, blocks, gpu_block, gpu_worked_on
from cptstudio.lm.cpu_attention import after
from cptstudio.lm.cpu_fusion import is_described, with_gradient
from cptstudio.lm.cpu_kernels import on_cpu
from cptstudio.lm.cpu_long_attention import long_attention, stand_in


class Window:
    """Causal attention to the last `size` of so many tokens, in the place of a mask.

    A model that looks at it as at an array gets the array.
    """

    def __init__(self, length: int, size: int) -> None:
        self.length, self.size = length, size
        self._matrix: mx.array | None = None

    @property
    def matrix(self) -> mx.array:
        """The mask [length, length], true where a query sees a key."""
        if self._matrix is None:
            key = mx.arange(self.length)[None]
            query = mx.arange(self.length)[:, None]
            self._matrix = (key <= query) & (key > query - self.size)
        return self._matrix

    def __getattr__(self, name: str) -> Any:
        return getattr(self.matrix, name)

    def __getitem__(self, index: Any) -> mx.array:
        return self.matrix[index]


@contextmanager
def attention_in_blocks(enabled: bool = True) -> Iterator[None]:
    """Build graphs whose attention takes memory with the length, not with its square.

    What is not causal attention without a cache, by mlx-lm's own function, is left as it is. To be
    entered within `fast_kernels`.
    """
    if not enabled:
        yield
        return
    from mlx_lm.models import base

    former: list[tuple[Any, str, Any]] = []
    for name, replace in _REPLACED.items():
        function = getattr(base, name)
        ours = replace(function)
        for module in _modules(len(sys.modules)):
            if getattr(module, name, None) is function:
                former.append((module, name, function))
                setattr(module, name, ours)
    try:
        yield
    finally:
        for module, name, function in former:
            setattr(module, name, function)


def _attention(stock: Callable[..., mx.array]) -> Callable[..., mx.array]:
    def scaled_dot_product_attention(
        queries: mx.array,
        keys: mx.array,
        values: mx.array,
        cache: Any,
        scale: float,
        mask: Any,
        sinks: mx.array | None = None,
    ) -> mx.array:
        window = mask.size if isinstance(mask, Window) else None
        causal = window is not None or (isinstance(mask, str) and mask == "causal")
        if cache is None and causal and queries.shape[2] == keys.shape[2]:
            return _causal(queries, keys, values, scale, window, sinks)
        mask = mask.matrix if isinstance(mask, Window) else mask
        return stock(queries, keys, values, cache=cache, scale=scale, mask=mask, sinks=sinks)

    return scaled_dot_product_attention


def _mask(stock: Callable[..., Any]) -> Callable[..., Any]:
    def create_attention_mask(
        h: mx.array, cache: Any = None, window_size: int | None = None, return_array: bool = False
    ) -> Any:
        length = h.shape[1]
        if cache is None and not return_array and window_size and length > window_size:
            return Window(length, window_size)
        return stock(h, cache, window_size=window_size, return_array=return_array)

    return create_attention_mask


_REPLACED: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "scaled_dot_product_attention": _attention,
    "create_attention_mask": _mask,
}


def _causal(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    scale: float,
    window: int | None,
    sinks: mx.array | None,
) -> mx.array:
    kinds = {x.dtype for x in (queries, keys, values)}
    if on_cpu() and kinds == {mx.float32} and (sinks is None or sinks.dtype == mx.float32):
        return long_attention(queries, keys, values, scale, window, sinks)
    if window is None and has_fused_gradient(queries, keys, values, sinks):
        fused: Any = mx.fast.scaled_dot_product_attention
        force = {} if is_described() else {"force_fused": True}
        return cast(
            mx.array,
            fused(queries, keys, values, scale=scale, mask="causal", sinks=sinks, **force),
        )
    return in_blocks(queries, keys, values, scale, window, sinks)


def has_fused_gradient(
    queries: mx.array, keys: mx.array, values: mx.array, sinks: mx.array | None = None
) -> bool:
    """Whether MLX has fused kernels for causal attention and its gradient for such arrays here."""
    if is_described():
        # The device that is described need not be there to be asked.
        return not on_cpu() and sinks is None and queries.shape[-1] in FUSED_SIZES
    return _asked(
        str(mx.default_device()),
        queries.dtype == keys.dtype == values.dtype,
        queries.dtype,
        (queries.shape[1], keys.shape[1], queries.shape[-1], values.shape[-1]),
        sinks is not None,
    )


@lru_cache(maxsize=64)
def _asked(
    device: str, alike: bool, dtype: mx.Dtype, sizes: tuple[int, int, int, int], sinks: bool
) -> bool:
    """Ask MLX, which refuses a fused kernel that it does not have when the graph is built."""
    if not alike:
        return False
    heads, key_heads, size, value_size = sizes
    length = 1024
    arrays = [
        mx.zeros((1, count, length, width), dtype)
        for count, width in ((heads, size), (key_heads, size), (key_heads, value_size))
    ]
    arrays += [mx.zeros((heads,), dtype)] if sinks else []

    def attend(*given: mx.array) -> mx.array:
        fused: Any = mx.fast.scaled_dot_product_attention
        named = {"sinks": given[3]} if sinks else {}
        return cast(
            mx.array, fused(*given[:3], scale=1.0, mask="causal", force_fused=True, **named)
        )

    try:
        mx.vjp(attend, arrays, [mx.zeros((1, heads, length, value_size), dtype)])
    except ValueError:
        return False
    return True


def in_blocks(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    scale: float,
    window: int | None = None,
    sinks: mx.array | None = None,
    block: int | None = None,
) -> mx.array:
    """Causal attention by MLX's own function, one block of queries after the other.

    The arguments are those of `cpu_long_attention.long_attention`, of any type. Nothing of a block
    is kept: it is computed again for its gradient.

    Args:
        block: queries in a block (None: as many as `GPU_TILE_BYTES` hold).
    """
    length = queries.shape[2]
    if window is not None and window >= length:
        window = None
    heads = queries.shape[0] * queries.shape[1]
    bytes_each = queries.dtype.size
    size = block or gpu_block(heads, length, bytes_each, window)
    if is_described():
        attention_blocks.described.append(
            lambda length: gpu_worked_on(heads, length, bytes_each, window, sinks=sinks is not None)
        )
    parts = list(blocks(length, size, window))

    def of_block(part: tuple[slice, slice]) -> Callable[..., mx.array]:
        block, seen = part
        mask: Any = "causal"
        if window is not None:
            first, last = block.start - seen.start, block.stop - block.start
            mask = _seen(first, last, seen.stop - seen.start, window)

        def attend(queries: mx.array, keys: mx.array, values: mx.array, *sinks: mx.array) -> Any:
            return mx.fast.scaled_dot_product_attention(
                queries, keys, values, scale=scale, mask=mask, sinks=sinks[0] if sinks else None
            )

        return attend

    def given(part: tuple[slice, slice], arrays: Any, last: mx.array | None) -> list[mx.array]:
        block, seen = part
        queries, keys, values, *rest = arrays
        return [after(queries[:, :, block], last), keys[:, :, seen], values[:, :, seen], *rest]

    def attend(*arrays: mx.array) -> tuple[mx.array]:
        found: list[mx.array] = []
        for part in parts:
            # One block after the other: the memory of one serves the next.
            last = found[-1] if found else None
            found.append(of_block(part)(*given(part, arrays, last)))
        return (mx.concatenate(found, axis=2),)

    def attend_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
        found: list[mx.array] = []
        sums: list[mx.array] = []
        done: list[list[mx.array]] = []
        first = 0
        last: mx.array | None = None
        for part in parts:
            block, seen = part
            arrays = given(part, primals, last)
            cotangent = after(cotangents[0][:, :, block], last)
            _, (of_queries, *more) = mx.vjp(of_block(part), arrays, [cotangent])
            passed, first = seen.start - first, seen.start
            if passed:
                done.append([one[:, :, :passed] for one in sums[:2]])
                sums[:2] = [one[:, :, passed:] for one in sums[:2]]
            sums = _grown(sums, [one.astype(mx.float32) for one in more])
            last = cast(mx.array, mx.depends(of_queries, sums))
            found.append(last)
        done.append(sums[:2])
        gradients = [mx.concatenate(found, axis=2)]
        gradients += [mx.concatenate(list(one), axis=2) for one in zip(*done, strict=True)]
        gradients += sums[2:]
        return tuple(
            one.astype(primal.dtype) for one, primal in zip(gradients, primals, strict=True)
        )

    arrays = (queries, keys, values) + (() if sinks is None else (sinks,))
    return with_gradient(attend, attend_vjp, stand_in)(*arrays)


def _grown(sums: list[mx.array], more: list[mx.array]) -> list[mx.array]:
    """Gradients of the keys so far, of the values so far, and of sinks, with a block's."""
    if not sums:
        return more
    known = sums[0].shape[2]
    grown = [
        mx.concatenate([former + one[:, :, :known], one[:, :, known:]], axis=2)
        for former, one in zip(sums[:2], more[:2], strict=True)
    ]
    return grown + [former + one for former, one in zip(sums[2:], more[2:], strict=True)]


@lru_cache(maxsize=64)
def _seen(before: int, queries: int, keys: int, window: int) -> mx.array:
    """Which of some keys, the first so many tokens before the queries, each query sees."""
    key, query = np.arange(keys)[None], np.arange(queries)[:, None] + before
    return mx.array((key <= query) & (key > query - window))


@lru_cache(maxsize=1)
def _modules(modules: int) -> list[Any]:
    """The modules of mlx-lm's models; looked for again only when more are loaded."""
    return [
        module
        for name, module in list(sys.modules.items())
        if module is not None and name.startswith("mlx_lm.models.")
    ]
