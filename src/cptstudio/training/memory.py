"""What the memory holds: MLX's own books and the process's footprint."""

from __future__ import annotations

import mlx.core as mx
import psutil


class MemoryMeter:
    """Reads the memory in use, and starts the peak anew at each reading."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def read(self) -> dict[str, int]:
        """Return what is used now, and was at most since the last reading: bytes by metric."""
        use = {
            "memory_active": mx.get_active_memory(),
            "memory_peak": mx.get_peak_memory(),
            "memory_cache": mx.get_cache_memory(),
            "memory_process": self._process.memory_info().rss,
        }
        mx.reset_peak_memory()
        return use
