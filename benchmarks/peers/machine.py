"""What machine this is, and how fast it multiplies. Run as a program it prints the speed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil


def processor_name() -> str:
    """The processor as its maker names it, as far as the system tells."""
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, str | int]:
    """Machine and interpreter, for the head of a table."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": psutil.cpu_count() or os.cpu_count() or 1,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }


def product_speed(seconds: float = 2.0, size: int = 2048) -> float:
    """Median float32 operations per second of large products with the BLAS that CPT Studio uses."""
    import mlx.core as mx

    from cptstudio.lm.blas import use_fast_blas

    use_fast_blas()
    left, right = mx.random.normal((2, size, size))
    mx.eval(left, right, left @ right)
    speeds: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not speeds:
        began = time.perf_counter()
        mx.eval(left @ right)
        speeds.append(2 * size**3 / (time.perf_counter() - began))
    return sorted(speeds)[len(speeds) // 2]


if __name__ == "__main__":
    print(json.dumps({"product_speed": product_speed()}))
