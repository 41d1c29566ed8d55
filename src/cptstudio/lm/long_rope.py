"""LongRoPE as the models were trained with it (Ding et al. 2024, arXiv 2402.13753).

A model with LongRoPE has two sets of factors: one for texts up to the context it was first trained
with, one for longer texts. mlx-lm (0.32) computes with the second set always, so that short texts,
which are nearly all, are scored and trained with positions that the model does not expect.
transformers chooses by the length of the text; so does this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models.rope_utils import SuScaledRoPE

from cptstudio.lm.config_section import language_model, long_ropes


class LongRoPE(Module):
    """Rotary embedding whose frequencies and scale depend on how long the text is.

    Args:
        dims: size of the rotated part of a head.
        base: RoPE base.
        scaling: `rope_scaling` of the configuration.
        original: tokens up to which the short factors hold.
        longest: `max_position_embeddings` of the configuration.
    """

    def __init__(
        self, dims: int, base: float, scaling: Mapping[str, Any], original: int, longest: int
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dims = dims
        self.original = original
        plain = base ** (mx.arange(0, dims, 2, dtype=mx.float32) / dims)
        self._short = mx.array(scaling["short_factor"], dtype=mx.float32) * plain
        self._long = mx.array(scaling["long_factor"], dtype=mx.float32) * plain
        scale = _scale(scaling, original, longest)
        self._short_scale = scaling.get("short_mscale") or scale
        self._long_scale = scaling.get("long_mscale") or scale

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        """Rotate queries or keys: [rows, heads, tokens, head], the first token at `offset`."""
        first = offset if isinstance(offset, int) else round(float(mx.max(offset)))
        short = first + x.shape[-2] <= self.original
        scale = self._short_scale if short else self._long_scale
        return mx.fast.rope(
            x.at[..., : self.dims].multiply(scale) if scale != 1 else x,
            self.dims,
            traditional=False,
            base=None,
            scale=1.0,
            offset=offset,
            freqs=self._short if short else self._long,
        )


def put_long_rope(model: Any, config: Mapping[str, Any]) -> None:
    """Exchange mlx-lm's LongRoPE in a network, in place.

    Args:
        config: its configuration, as `lm.model_config.normalized` gives it.
    """
    section = language_model(config)
    base = {"rope_theta": section.get("rope_theta", 10_000.0)}
    known = [base | dict(scaling) for scaling in long_ropes(section)]
    if not known:
        return
    for module in model.modules():
        for name, child in list(module.children().items()):
            if type(child) is SuScaledRoPE:
                mended = _mended(child, known, section)
                if mended is not None:
                    module[name] = mended


def _mended(
    given: SuScaledRoPE, known: list[dict[str, Any]], section: Mapping[str, Any]
) -> LongRoPE | None:
    longest = section["max_position_embeddings"]
    for scaling in known:
        original = section.get("original_max_position_embeddings") or scaling.get(
            "original_max_position_embeddings", given.original_max_position_embeddings
        )
        rope = LongRoPE(given.dim, scaling["rope_theta"], scaling, original, longest)
        # Layers may have factors of their own: those that mlx-lm took tell which.
        if mx.allclose(rope._long, given._freqs).item():
            return rope
    return None


def _scale(scaling: Mapping[str, Any], original: int, longest: int) -> float:
    given = scaling.get("attention_factor")
    if given is not None:
        return float(given)
    factor = scaling.get("factor") or longest / original
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
