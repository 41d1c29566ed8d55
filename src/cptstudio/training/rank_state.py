"""What a rank is at, for the keeper that watches it: whether it waits for others, and since when.

A trainer that waits for another rank computes nothing and hears nothing. So it notes each exchange
before it begins and after it has ended, in a file without a name that its keeper has opened for it.
Standard library only.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Final

DESCRIPTOR_VARIABLE: Final = "CPT_STUDIO_RANK_STATE"
_FORM: Final = struct.Struct("<QQ")


@dataclass(frozen=True)
class RankState:
    """An exchange under way.

    Attributes:
        exchange: how many have begun.
        size: bytes of this one; 0 where none is under way.
    """

    exchange: int = 0
    size: int = 0

    @property
    def waits(self) -> bool:
        """Return whether it is in an exchange."""
        return self.size > 0


class StateNote:
    """The trainer's side; without a keeper nothing is noted."""

    def __init__(self) -> None:
        text = os.environ.get(DESCRIPTOR_VARIABLE, "")
        self._descriptor = int(text) if text.isdecimal() else None
        self._count = 0

    def begin(self, size: int) -> None:
        """An exchange of so many bytes begins."""
        self._count += 1
        self._write(max(1, size))

    def end(self) -> None:
        """It has ended."""
        self._write(0)

    def _write(self, size: int) -> None:
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _FORM.pack(self._count, size), 0)


def read_state(descriptor: int) -> RankState:
    """Return what the trainer noted last; the keeper's side."""
    data = os.pread(descriptor, _FORM.size, 0)
    return RankState(*_FORM.unpack(data)) if len(data) == _FORM.size else RankState()
