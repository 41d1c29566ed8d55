"""State that begins and ends with a server's boot."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Boot:
    """One start of the server. Its key is in memory alone, so what it proves ends with it.

    Attributes:
        id: tells boots apart; everybody may know it, nobody can know the next one.
        key: the secrets of this boot are made with it.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
