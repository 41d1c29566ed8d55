"""What the memory holds: MLX's own books and the process's footprint."""

from __future__ import annotations

from typing import Final

import mlx.core as mx
import psutil

ROOM_KEPT: Final = 0.05
"""Part of the memory that a copy for a checkpoint leaves to others."""


def has_room(size: int) -> bool:
    """Whether so many bytes of arrays can be held beside those that there are."""
    memory = psutil.virtual_memory()
    room, whole = memory.available + mx.get_cache_memory(), memory.total
    if mx.default_device().type == mx.DeviceType.gpu:
        told = mx.device_info()
        # A Mac's GPU may use a part of the main memory, a card has its own.
        whole = int(told.get("max_recommended_working_set_size") or told.get("memory_size") or 0)
        gpu = whole - mx.get_active_memory()
        room = min(room, gpu) if mx.metal.is_available() else gpu
    return size <= room - ROOM_KEPT * whole


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
