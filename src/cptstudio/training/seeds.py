"""Seeds of everything random in a run, each a pure function of the run's seed and a place.

Because every micro-batch, or every row, takes its own, a resumed run draws what the uninterrupted
one would have drawn, and there is no random state to save.
"""

from __future__ import annotations

import hashlib


def _derive(*parts: int | str) -> int:
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def micro_batch_seed(seed: int, step: int, micro_batch: int) -> int:
    """Return the seed of the dropout in one micro-batch of one step; 64 bits."""
    return _derive("micro-batch", seed, step, micro_batch)


def row_seed(seed: int, step: int, place: int) -> int:
    """Return the seed of the dropout in the row at a place of one step; 64 bits."""
    return _derive("row", seed, step, place)


def sample_seed(seed: int, prompt: int) -> int:
    """Return the seed of the completion of one prompt, the same in every evaluation; 64 bits."""
    return _derive("sample", seed, prompt)
