"""How the steps and their parts are timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Timing:
    """Medians of one step: seconds, processor seconds, and the peak of mlx's memory in bytes."""

    wall: float
    processor: float
    peak_bytes: int


def timed(step: Callable[[], Any], times: int = 1, end: Callable[[], Any] | None = None) -> Timing:
    """Run a step some times in a row, then `end`; what one step takes."""
    import mlx.core as mx

    mx.reset_peak_memory()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(times):
        step()
    if end is not None:
        end()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return Timing(wall / times, processor / times, mx.get_peak_memory())


def median(timings: list[Timing]) -> Timing:
    """Medians of times, and the highest peak of memory."""
    return Timing(
        statistics.median(timing.wall for timing in timings),
        statistics.median(timing.processor for timing in timings),
        max(timing.peak_bytes for timing in timings),
    )


def core_speed(size: int = 1024) -> float:
    """Float32 operations of a product for each second of processor time, in 1e9, on one core."""
    import mlx.core as mx

    left, right = mx.random.normal((2, size, size))
    mx.eval(left, right)
    products = [timed(lambda: mx.eval(left @ right)).processor for _ in range(10)]
    return 2 * size**3 / min(products) / 1e9
