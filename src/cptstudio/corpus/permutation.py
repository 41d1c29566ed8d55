"""Keyed permutations that are computed, not stored.

The order of an epoch must be a pure function of its key, on every machine and with every
version of numpy, and must cost no memory for ten million documents. A Feistel network over
the next even power of two with cycle walking (Black and Rogaway, "Ciphers with arbitrary
finite domains", 2002) gives any position of the permutation by itself.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_ROUNDS = 6
_GOLDEN = 0x9E3779B97F4A7C15


def derive_key(*parts: str | int) -> int:
    """Return a 64-bit key from names and numbers (BLAKE2b of their JSON list)."""
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def split_mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return values after the finalizer of SplitMix64 (Steele, Lea and Flood, 2014), in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


class KeyedPermutation:
    """A permutation of range(size) chosen by a key.

    Args:
        size: number of elements, at least 0 and below 2**62.
        key: 64-bit key; equal keys and sizes give equal permutations.
    """

    def __init__(self, size: int, key: int) -> None:
        self.size = size
        bits = max(2, (size - 1).bit_length()) if size > 1 else 2
        self._half = np.uint64((bits + 1) // 2)
        self._mask = np.uint64((1 << int(self._half)) - 1)
        round_keys = [(key + _GOLDEN * (number + 1)) % (1 << 64) for number in range(_ROUNDS)]
        self._keys = split_mix(np.array(round_keys, dtype=np.uint64))

    def _encipher(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (split_mix(right ^ key) & self._mask)
        return (left << self._half) | right

    def place_of(self, element: int) -> int:
        """Return the position that an element is at."""
        value = element
        while True:
            value = self._decipher(value)
            if value < self.size:
                return value

    def _decipher(self, value: int) -> int:
        half, mask = int(self._half), int(self._mask)
        left, right = value >> half, value & mask
        for key in self._keys[::-1]:
            mixed = split_mix(np.array([left], dtype=np.uint64) ^ key)
            left, right = right ^ (int(mixed[0]) & mask), left
        return (left << half) | right

    def __call__(self, positions: Indices) -> Indices:
        """Elements at the given positions, an integer array of any shape, each in range."""
        flat = np.asarray(positions, dtype=np.int64).ravel()
        values = self._encipher(flat.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while outside.size:
            walked = self._encipher(values[outside])
            values[outside] = walked
            outside = outside[walked >= self.size]
        return values.astype(np.int64).reshape(np.shape(positions))
