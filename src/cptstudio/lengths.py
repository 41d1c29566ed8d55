"""Lengths with their unit: of a run, and between evaluations or checkpoints."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic.dataclasses import dataclass

from cptstudio.typed_numbers import AmbiguousNumberError, UnreadableNumberError, read_number

Unit = Literal["steps", "tokens", "epochs"]
_LENGTH = re.compile(r"(.*?)\s*(steps?|tokens?|epochs?)", re.DOTALL)
_LONGEST = 2.0**53
_LENGTH_WANTED = "Enter a number and a unit, such as 500 steps, 2M tokens, or 1.5 epochs."
_COUNT_WANTED = "Enter a whole number of {}, such as 500."


@dataclass(frozen=True)
class Length:
    """How long something lasts, with its unit: 500 steps, 2M tokens, 1.5 epochs."""

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        if not self.value > 0:
            raise ValueError("Use a length above 0.")
        if self.value > _LONGEST:
            raise ValueError("Use a shorter length.")
        if self.unit == "steps" and self.value != int(self.value):
            raise ValueError("Use a whole number of steps.")

    @classmethod
    def parse(cls, text: str) -> Length:
        """Read "500 steps", "2M tokens" or "1.5 epochs" (k, M and G multiply)."""
        match = _LENGTH.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(_LENGTH_WANTED)
        number, word = match.groups()
        units: dict[str, Unit] = {"s": "steps", "t": "tokens", "e": "epochs"}
        unit = units[word[0]]
        try:
            value = read_number(number, whole=unit != "epochs", suffixes=True)
        except AmbiguousNumberError:
            raise
        except UnreadableNumberError:
            value = None
        if value is None:
            raise ValueError(_LENGTH_WANTED if unit == "epochs" else _COUNT_WANTED.format(unit))
        return cls(value, unit)

    def __str__(self) -> str:
        # Not rounded: what is read again from here is the same length.
        number = str(int(self.value)) if self.value == int(self.value) else repr(self.value)
        return f"{number} {self.unit}"

    @property
    def words(self) -> str:
        """The length as people read it: 1 epoch, 2 epochs."""
        return str(self).removesuffix("s") if self.value == 1 else str(self)

    def to_steps(self, tokens_per_step: float, tokens_per_epoch: float) -> int:
        """Convert to whole optimizer updates, at least one.

        Args:
            tokens_per_step: counted target tokens of one optimizer update.
            tokens_per_epoch: counted target tokens of one epoch.
        """
        if self.unit == "steps":
            return int(self.value)
        tokens = self.value if self.unit == "tokens" else self.value * tokens_per_epoch
        return max(1, round(tokens / tokens_per_step))


def _length(value: Any) -> Any:
    if isinstance(value, str):
        return Length.parse(value)
    if isinstance(value, Length) or (isinstance(value, dict) and value.keys() == {"value", "unit"}):
        return value
    raise ValueError(_LENGTH_WANTED)


TypedLength = Annotated[
    Length,
    BeforeValidator(_length),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "format": "length", "examples": ["500 steps", "2M tokens", "1.5 epochs"]}
    ),
]
