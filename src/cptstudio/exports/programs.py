"""The programs that make exports, by the names of their modules, which may bring MLX with them."""

from __future__ import annotations

from typing import Final

MAKE_MLX: Final = "cptstudio.exports.mlx_program"
MAKE_GGUF: Final = "cptstudio.exports.gguf_program"
MAKE_CONVERTER: Final = "cptstudio.exports.converter_program"
