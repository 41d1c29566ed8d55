"""The gradient of a lookup of rows, the same bits every time on every device.

MLX adds the gradients of equal ids with atomic operations on a GPU, on Metal and on CUDA (relaxed
atomics in `scatter.h` and `scatter.cuh`): in whatever order its threads come, and a sum of floats
depends on its order. On a CPU one thread adds in the order of the ids. Here the ids are sorted, and
the rows of equal ids added by doubling distances in float32 (a segmented scan, Blelloch,
CMU-CS-90-190): one row for each id is left, and the others add nothing, in any order.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

from cptstudio.lm.cpu_fusion import is_described
from cptstudio.lm.cpu_kernels import on_cpu


def sorted_sums(ids: mx.array, rows: mx.array) -> tuple[mx.array, mx.array]:
    """Ids in order, and the float32 sum of the rows of each at its last place, 0 at the others.

    Args:
        ids: integers [n].
        rows: [n, size].
    """
    number = ids.shape[0]
    # Unique keys, so that equal ids stay in their order whatever way is sorted.
    order = mx.argsort(ids.astype(mx.int64) * number + mx.arange(number, dtype=mx.int64))
    ids, sums = ids[order], rows[order].astype(mx.float32)
    distance = 1
    while distance < number:
        # A row takes over the sum that ends so far before it, if that is of its id.
        same = (ids[distance:] == ids[:-distance])[:, None]
        added = sums[distance:] + mx.where(same, sums[:-distance], 0.0)
        sums = mx.concatenate([sums[:distance], added])
        distance *= 2
    last = mx.concatenate([ids[1:] != ids[:-1], mx.array([True])])
    return ids, mx.where(last[:, None], sums, 0.0)


def less_rows(sums: mx.array, ids: mx.array, rows: mx.array) -> mx.array:
    """`sums` [count, size], less the rows [n, size] at their ids."""
    if not on_cpu():
        ids, rows = sorted_sums(ids, rows)
    return sums.at[ids].subtract(rows)


def lookup(weight: mx.array, ids: mx.array) -> mx.array:
    """Return the rows of a matrix [count, size] by ids [...], whose gradient are `sorted_sums`."""

    def look(weight: mx.array) -> mx.array:
        return weight[ids]

    def look_vjp(primal: mx.array, cotangent: mx.array, output: mx.array) -> mx.array:
        flat = cotangent.reshape(-1, cotangent.shape[-1])
        places, sums = sorted_sums(ids.reshape(-1), flat)
        return mx.zeros(weight.shape).at[places].add(sums).astype(primal.dtype)

    if is_described():
        return look(weight)
    function: Any = mx.custom_function(look)
    function.vjp(look_vjp)
    result: mx.array = function(weight)
    return result


@contextmanager
def exact_lookups(enabled: bool | None = None) -> Iterator[None]:
    """Let embeddings look up in this way while a graph is built.

    Args:
        enabled: None for where it is needed, which is not on a CPU.
    """
    if enabled is False or (enabled is None and on_cpu()):
        yield
        return
    embedding: Any = importlib.import_module("mlx.nn").Embedding
    stock = embedding.__call__
    embedding.__call__ = lambda self, x: lookup(self["weight"], x)
    try:
        yield
    finally:
        embedding.__call__ = stock
