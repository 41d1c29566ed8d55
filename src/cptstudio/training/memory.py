"""Memory use: MLX's own counters and the process's footprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import mlx.core as mx
import psutil

from cptstudio.training.machine import device_memory, metal_budget

_ROOM_KEPT: Final = 0.05
"""Part of the memory that is left to others."""
_WORKING_SET: Final = "max_recommended_working_set_size"
"""What `mx.device_info()` tells on a Mac, and nowhere else."""


def keep_resident(
    told: Mapping[str, int], set_limit: Callable[[int], object] = mx.set_wired_limit
) -> str | None:
    """Let Metal keep what MLX holds in memory, up to the recommended working set.

    Without it the system may page weights out between steps (`mx.set_wired_limit`; it does nothing
    before macOS 15). A limit above the recommended one is an error, so that one is asked for.

    Args:
        told: by the device.
        set_limit: a test's own, since there is no Metal elsewhere.

    Returns:
        A sentence; None where the device is no Mac's.
    """
    size = told.get(_WORKING_SET)
    if not size:
        return None
    try:
        set_limit(size)
    except (RuntimeError, ValueError) as error:
        return f"Metal does not keep memory resident: {error}"
    return f"Metal keeps up to {size / 1e9:.1f} GB resident."


class MemoryMeter:
    """Reads the memory in use, and starts the peak anew at each reading."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._most = 0

    def begin(self) -> None:
        """Forget what was in use until now, such as for loading."""
        self.read()
        self._most = 0

    def read(self) -> dict[str, int]:
        """Return what is used now, and was at most since the last reading: bytes by metric."""
        use = {
            "memory_active": mx.get_active_memory(),
            "memory_peak": mx.get_peak_memory(),
            "memory_cache": mx.get_cache_memory(),
            "memory_process": self._process.memory_info().rss,
        }
        mx.reset_peak_memory()
        self._most = max(self._most, use["memory_peak"])
        return use

    def room(self) -> int:
        """Return the bytes that can be held beside the largest of what was read so far."""
        memory = psutil.virtual_memory()
        # What a step needs again is free now where the allocator has given it back.
        missing = max(0, self._most - self._process.memory_info().rss)
        room = memory.available - missing - int(_ROOM_KEPT * memory.total)
        if mx.default_device().type != mx.DeviceType.gpu:
            return room
        told = device_memory()
        if mx.metal.is_available():
            # A Mac's GPU may use a part of the main memory.
            budget = metal_budget(told.get("max_recommended_working_set_size", 0))
            return min(room, budget - self._most)
        # A card has its own; what MLX holds of it is not free there.
        held = mx.get_active_memory() + mx.get_cache_memory()
        kept = int(_ROOM_KEPT * told.get("total_memory", 0))
        return told.get("free_memory", 0) + held - self._most - kept
