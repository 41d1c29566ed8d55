"""How many CPU streams share the rows of a micro-batch; the planner asks too, without MLX."""

GRADIENTS_SHARE = 16
"""Of the machine's memory, one part in this many goes to streams' gradients at most."""


def most_streams(threads: int, gradient_bytes: int, memory: int) -> int:
    """How many streams to use at most, for gradients and a machine of so many bytes.

    Each stream beyond the first holds gradients of its own. Two streams are used always, where
    there are two threads.
    """
    affordable = 1 + memory // GRADIENTS_SHARE // max(1, gradient_bytes)
    return min(threads, max(2, affordable))
