"""What texts cost: tokens as the endpoint counts them, at the prices that the user gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cptstudio.writers.passages import estimated_tokens

_MILLION: Final = 1_000_000


@dataclass
class Cost:
    """Sums of what was sent and written.

    Attributes:
        price_in: of a million tokens that are sent; None where the user gave none.
        price_out: of a million tokens that are written, likewise.
        estimated: some of the tokens were not counted by the writer, but estimated.
    """

    price_in: float | None = None
    price_out: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    texts: int = 0
    estimated: bool = False

    def add(self, record: dict[str, Any], sent: str) -> None:
        """Count a text.

        Args:
            record: as it is kept.
            sent: what was sent for it, of which tokens are estimated where nobody counted them.
        """
        for name, text in (("tokens_in", sent), ("tokens_out", str(record["text"]))):
            count = record[name]
            if count is None:
                count, self.estimated = estimated_tokens(text), True
            setattr(self, name, getattr(self, name) + count)
        self.seconds += record["seconds"]
        self.texts += 1

    @property
    def money(self) -> float | None:
        """What it cost, in the currency of the prices; None where there are none."""
        if self.price_in is None and self.price_out is None:
            return None
        return (
            self.tokens_in * (self.price_in or 0.0) + self.tokens_out * (self.price_out or 0.0)
        ) / _MILLION

    def told(self) -> dict[str, Any]:
        """Return the sums for a report."""
        return {
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "seconds": self.seconds,
            "cost": self.money,
            "estimated": self.estimated,
        }

    def sentence(self) -> str:
        """Return the sums in a few words."""
        about = "about " if self.estimated else ""
        tokens = f"{about}{self.tokens_in:,} tokens in, {self.tokens_out:,} out"
        return tokens if self.money is None else f"{tokens}, cost {self.money:.4g}"
