"""The types of GGUF files that are made here, and what they take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

GgufType = Literal["F32", "BF16", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]
GGUF_TYPES: Final[tuple[GgufType, ...]] = get_args(GgufType)
CONVERTED: Final = ("F32", "BF16", "F16", "Q8_0")
"""What llama.cpp's converter writes itself; the others are made of its file of floats."""


@dataclass(frozen=True)
class TypeFacts:
    """What is said of a type.

    Attributes:
        bits: of a weight, about, of the matrices; without vectors and what has another type.
        help: a line for a list of choices.
    """

    bits: float
    help: str


FACTS: Final[dict[GgufType, TypeFacts]] = {
    "F32": TypeFacts(32, "All there is; for tests."),
    "BF16": TypeFacts(16, "The same weights, where the model is bfloat16."),
    "F16": TypeFacts(16, "Half precision; quicker than BF16 on some machines."),
    "Q8_0": TypeFacts(8.5, "Hardly different from 16 bits."),
    "Q6_K": TypeFacts(6.6, "Close to Q8_0, a quarter smaller."),
    "Q5_K_M": TypeFacts(5.7, "Small, with little loss."),
    "Q4_K_M": TypeFacts(4.9, "The usual choice for large models."),
}

FLOAT_OF: Final[dict[str, GgufType]] = {"bfloat16": "BF16", "float16": "F16"}


def float_type(dtype: str) -> GgufType:
    """Return the type of floats that keeps all of a model whose main type this is."""
    return FLOAT_OF.get(dtype, "F32")


def estimated_bytes(parameters: int, kind: GgufType) -> int:
    """Return about how large a file is, without its vocabulary."""
    return int(parameters * FACTS[kind].bits / 8)
