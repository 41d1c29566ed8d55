"""How many CPU streams share the rows of a micro-batch; the planner asks too, without MLX."""

import itertools

GRADIENTS_SHARE = 16
"""Of the machine's memory, one part in this many goes to streams' gradients at most."""


def equal_parts(total: int, count: int) -> list[slice]:
    """Cut so many things into parts that differ by one at most."""
    edges = [total * index // count for index in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def most_streams(threads: int, gradient_bytes: int, memory: int) -> int:
    """Return how many streams to use at most, for gradients and a machine of so many bytes.

    Each stream beyond the first holds gradients of its own. Two streams are used always, where
    there are two threads.
    """
    affordable = 1 + memory // GRADIENTS_SHARE // max(1, gradient_bytes)
    return min(threads, max(2, affordable))
