"""How attention to long contexts is cut: heads at once, blocks of queries. Imports no MLX.

Blocks depend on shapes alone, never on the machine, so that the same run computes the same bits.
The planner counts memory by the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cptstudio.lm.streams import equal_parts

LONG_CONTEXT: Final = 4096
"""Tokens from which on attention is computed in blocks unless a run says otherwise: up to there
what plain differentiation keeps is small, and it is a little faster."""

FUSED_SIZES: Final = range(64, 513)
"""Sizes of heads that Metal has kernels for, also for attention's gradient (mlx 0.32.4)."""

TILE_BYTES = 64 << 20
"""Scores of a tile on a CPU, about. Smaller ones make more operations than the evaluation bears: a
graph takes a kilobyte for each."""

SMALLEST_BLOCK, LARGEST_BLOCK = 128, 512
"""Queries in a block: with fewer, products are slow; with more, half of its own keys are no use."""

GPU_TILE_BYTES = 256 << 20
"""Scores of all heads for a block of queries on a GPU, about, in the type of the computation."""
SMALLEST_GPU_BLOCK, LARGEST_GPU_BLOCK = 32, 1024

BLOCK_ARRAYS, SINK_ARRAYS = 5, 10
"""Of the scores of a block, that exist at once; MLX's own function copies them where there are
sinks."""


@dataclass(frozen=True)
class Tiles:
    """How the attention of some rows is cut on a CPU.

    Attributes:
        heads: key heads of all rows.
        groups: heads for each of them.
        window: how many tokens a query sees, itself included; None for all before it.
    """

    heads: int
    groups: int
    length: int
    window: int | None = None

    @property
    def block(self) -> int:
        """Queries in a block."""
        seen = min(self.length, self.window or self.length)
        fitting = TILE_BYTES // (4 * self.groups * seen)
        block = min(max(fitting, SMALLEST_BLOCK), LARGEST_BLOCK, max(seen, SMALLEST_BLOCK))
        return min(_power_below(block), self.length)

    @property
    def _head_bytes(self) -> int:
        """Of the scores of a key head's tile."""
        seen = min(self.length, (self.window or self.length) + self.block)
        return 4 * self.groups * self.block * seen

    def head_tiles(self) -> list[slice]:
        """Return which key heads are computed at once."""
        most = max(1, TILE_BYTES // self._head_bytes)
        return equal_parts(self.heads, math.ceil(self.heads / most))

    def tile_bytes(self) -> int:
        """Return the bytes of the scores of the largest tile."""
        most: int = max(one.stop - one.start for one in self.head_tiles())
        return self._head_bytes * most

    def worked_on(self) -> int:
        """Return the bytes that are worked on at once."""
        return BLOCK_ARRAYS * self.tile_bytes()

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Blocks of queries, each with the keys that it sees, which begin with a block."""
        return blocks(self.length, self.block, self.window)


def blocks(length: int, size: int, window: int | None) -> Iterator[tuple[slice, slice]]:
    """Blocks of so many queries, each with the keys that it sees, which begin with a block."""
    for start in range(0, length, size):
        stop = min(start + size, length)
        first = 0 if window is None else max(0, start - window + 1) // size * size
        yield slice(start, stop), slice(first, stop)


def gpu_block(heads: int, length: int, bytes_each: int, window: int | None = None) -> int:
    """Return how many queries a block has on a GPU, for so many heads of all rows."""
    seen = min(length, window or length)
    fitting = GPU_TILE_BYTES // (heads * seen * bytes_each)
    fitting = min(max(fitting, SMALLEST_GPU_BLOCK), LARGEST_GPU_BLOCK)
    return min(_power_below(fitting), length)


def gpu_worked_on(
    heads: int, length: int, bytes_each: int, window: int | None = None, *, sinks: bool = False
) -> int:
    """Return the bytes that a GPU works on at once, for so many heads of all rows."""
    block = gpu_block(heads, length, bytes_each, window)
    seen = min(length, (window or length) + block)
    return (SINK_ARRAYS if sinks else BLOCK_ARRAYS) * bytes_each * heads * block * seen


described: list[Callable[[int], int]] = []
"""What is worked on at once at a length, of each attention in a graph that is only described, and
is no part of that graph. Whoever describes one begins with none."""


def _power_below(number: int) -> int:
    return 1 << (number.bit_length() - 1)
