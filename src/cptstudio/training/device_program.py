"""Tells how much memory MLX's device has; the near side is `machine`.

{} -> {"result": {NAME: NUMBER, ...}}, as `mlx.core.device_info` names it
"""

from __future__ import annotations

import sys
from typing import Any

from cptstudio import job_programs
from cptstudio.training.machine import device_memory


def work(_: dict[str, Any], __: job_programs.Answer) -> dict[str, Any]:
    """Ask the device."""
    return device_memory()


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
