"""Keeps PyTorch out of processes that never use it.

mlx-lm imports transformers, and transformers imports PyTorch where that is installed, only to
know its types: 190 MB and 2 s of every start. Hidden, it counts as not installed. Programs
hide it before their first import of either, but for that of lm-evaluation-harness, which uses it.
"""

from __future__ import annotations

import sys


def leave_out_torch() -> None:
    """Make PyTorch look as if it were not installed, unless it is in use already."""
    # None is what the import system takes as "cannot be imported".
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
