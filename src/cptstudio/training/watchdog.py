"""Micro-batches that hold a Mac's GPU for no longer than its watchdog bears.

macOS ends what keeps the GPU from the screen for seconds ("Caused GPU Timeout Error", "Impacting
Interactivity": some five seconds by what users report, see `device_failures`). MLX hands work to
Metal in command buffers of some tens of operations (`get_max_ops_mb_per_buffer` in
mlx/backend/metal/device.cpp), so that one lasts about as long as a part of a layer. No Mac was
there to measure it: the bound leaves a factor of five.
"""

from __future__ import annotations

from typing import Final, Literal

LAYER_SECONDS: Final = 1.0
"""That a micro-batch may take for each of the model's layers."""


def rows_for_watchdog(
    rows: int, seconds: float, layers: int, accelerator: Literal["metal", "cuda", "cpu"]
) -> int:
    """Return how many rows a micro-batch may have on this device, halved as often as it takes.

    Args:
        rows: that it has.
        seconds: that it took.
        layers: of the model.
    """
    if accelerator != "metal":
        return rows
    bound = LAYER_SECONDS * max(1, layers)
    per_row = seconds / rows
    while rows > 1 and rows * per_row > bound:
        rows = (rows + 1) // 2
    return rows
