"""What the memory holds: MLX's own books and the process's footprint."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import psutil


@dataclass(frozen=True)
class MemoryUse:
    """All in bytes.

    Attributes:
        active: held by live arrays.
        peak: the most that was active since the last reading.
        cache: kept by MLX for reuse.
        process: resident size of the whole process.
    """

    active: int
    peak: int
    cache: int
    process: int


class MemoryMeter:
    """Reads the memory in use, and starts the peak anew at each reading."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def read(self) -> MemoryUse:
        """What is used now."""
        use = MemoryUse(
            active=mx.get_active_memory(),
            peak=mx.get_peak_memory(),
            cache=mx.get_cache_memory(),
            process=self._process.memory_info().rss,
        )
        mx.reset_peak_memory()
        return use
