"""The programs that make exports, by the names of their modules, which bring MLX with them."""

from __future__ import annotations

from typing import Final

MAKE_MLX: Final = "cptstudio.exports.mlx_program"
