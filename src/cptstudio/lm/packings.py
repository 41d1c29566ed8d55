"""How weights may be packed for MLX: bits, groups, formats and recipes. Imports no MLX.

mlx.core.quantize tells which go together; the recipes are mlx-lm's (`mlx_lm.convert`).
"""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from cptstudio.validation import LateModel, wrong

Mode = Literal["affine", "mxfp4", "nvfp4", "mxfp8"]
Recipe = Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"]

_FIXED: Final[dict[str, tuple[int, int]]] = {"mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}
"""Group size and bits of the formats that allow no others."""
_GROUPS: Final = (32, 64, 128)
_BITS: Final = (2, 3, 4, 5, 6, 8)


class Packing(LateModel):
    """How a model is quantized for MLX."""

    mode: Mode = Field(
        "affine",
        title="Format",
        description="affine: integers with a scale and an offset per group. mxfp4, nvfp4 and mxfp8 "
        "are floating-point formats with fixed groups.",
    )
    bits: int | None = Field(
        None, title="Bits", description="Bits per weight: 2, 3, 4 (default), 5, 6 or 8."
    )
    group_size: int | None = Field(
        None,
        title="Group size",
        description="Weights that share a scale: 32, 64 (default) or 128. Smaller groups are more "
        "exact and take more space.",
    )
    recipe: Recipe | None = Field(
        None,
        title="Mixed recipe",
        description="Fewer bits for most layers, more for the sensitive ones: mixed_3_6 packs most "
        "in 3 bits and some in 6.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.mode in _FIXED:
            groups, bits = _FIXED[self.mode]
            if self.recipe is not None:
                raise wrong("A mixed recipe goes with the format affine only.", "recipe")
            if self.bits not in (None, bits):
                raise wrong(f"{self.mode} has {bits} bits per weight.", "bits")
            if self.group_size not in (None, groups):
                raise wrong(f"{self.mode} has groups of {groups}.", "group_size")
            return self
        if self.recipe is not None and self.bits is not None:
            raise wrong("A mixed recipe sets the bits itself: leave them out.", "bits")
        if self.bits not in (None, *_BITS):
            raise wrong("Use 2, 3, 4, 5, 6 or 8 bits.", "bits")
        if self.group_size not in (None, *_GROUPS):
            raise wrong("Use groups of 32, 64 or 128.", "group_size")
        return self

    @property
    def sizes(self) -> tuple[int, int]:
        """Group size and bits, of most layers where there is a recipe."""
        if self.mode in _FIXED:
            return _FIXED[self.mode]
        bits = int(self.recipe.split("_")[1]) if self.recipe else self.bits or 4
        return self.group_size or 64, bits

    @property
    def bits_per_weight(self) -> float:
        """Of a packed layer, its scales of 16 bits included; with a recipe, of most layers."""
        groups, bits = self.sizes
        scales = 8 if self.mode in _FIXED else 32
        return bits + scales / groups

    @property
    def words(self) -> str:
        """What people call it, such as "4-bit (groups of 64)"."""
        if self.mode in _FIXED:
            return self.mode
        groups, bits = self.sizes
        return f"{self.recipe or f'{bits}-bit'} (groups of {groups})"


OFFERED: Final[tuple[Packing, ...]] = (
    Packing(bits=8), Packing(bits=6), Packing(bits=5), Packing(bits=4), Packing(bits=3),
    Packing(recipe="mixed_4_6"), Packing(recipe="mixed_3_6"), Packing(recipe="mixed_3_4"),
    Packing(recipe="mixed_2_6"), Packing(mode="mxfp8"), Packing(mode="mxfp4"),
    Packing(mode="nvfp4"),
)  # fmt: skip
"""What a page offers, the most exact first; groups of integers may be chosen beside."""
