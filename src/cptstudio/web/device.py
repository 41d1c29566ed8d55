"""The device that MLX computes on, as people call it, found without importing MLX."""

from __future__ import annotations

import functools
import platform
import re
import subprocess
from pathlib import Path

from cptstudio import macos
from cptstudio.training.machine import describe_machine

_SECONDS = 10.0


@functools.cache
def device_name() -> str:
    """Such as "Apple M3 Max (Metal)", "NVIDIA H200 (CUDA)" or a processor's name."""
    accelerator = describe_machine().accelerator
    if accelerator == "cuda":
        names = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
        unit = names[0].strip() if names else "GPU"
        return f"{unit} (CUDA)" if len(names) < 2 else f"{len(names)} x {unit} (CUDA)"
    if accelerator == "metal":
        return f"{_processor()} (Metal)"
    return f"{_processor()} (CPU)"


def _processor() -> str:
    if macos.HERE:
        return macos.processor_name() or platform.machine()
    try:
        # Only Linux has it, and there platform.processor() is empty.
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
