"""Bounds of the numbers in a model's config.json, far above every real model's.

Libraries believe the file: transformers and mlx-lm make a list as long as the number of layers, so
that a billion of them takes eight gigabytes and minutes before anything is said. Whoever reads a
configuration, or lets a library read it, asks here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cptstudio.durable import read_foreign_json
from cptstudio.errors import UserError

_BOUNDS: Final = (
    # Objects that the libraries make one by one.
    (
        re.compile(
            r"layers?$|(^|_)blocks?$|^depth$|(^|_)loops?(_num)?$|_num_inputs$|_(split|neighbor)_num$"
        ),
        2_000,
    ),
    (re.compile(r"experts?$|(^|_)n?heads?$|(^|_)groups?$|_expert_num$|(^|_)(rank|r)$"), 65_536),
    # Axes of arrays, of which a square is made.
    (re.compile(r"vocab|^num_embeddings$"), 1 << 26),
    (
        re.compile(
            r"^(hidden|\w*_hidden|intermediate|\w*_intermediate|\w*ffn\w*|embedding|state)_size"
            r"|^(d_model|n_embd|n_inner)$|(_|^)dim$|_width$"
        ),
        1 << 24,
    ),
    (re.compile(r"positions?(_embeddings)?$|^n_ctx$"), 1 << 32),
)
_MOST_EXPERTS: Final = 1 << 20
_LAYERS: Final = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_EXPERTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


def check_numbers(config: Mapping[str, Any], where: object) -> None:
    """Refuse a configuration whose numbers no model has.

    Raises:
        UserError: a number is out of bounds; the message names field and value.
    """
    for section in _sections(config):
        for name, value in section.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            for pattern, bound in _BOUNDS:
                # NaN is larger than nothing, and no number of anything.
                if pattern.search(name) and not value <= bound:
                    raise _refusal(where, name, value, bound)
        layers, experts = (_largest(section, names) for names in (_LAYERS, _EXPERTS))
        if layers * experts > _MOST_EXPERTS:
            raise _refusal(where, "the number of all layers' experts", layers * experts, 1 << 20)


def check_model_folder(folder: Path, name: str = "config.json") -> None:
    """Refuse a folder whose configuration holds numbers that no model has; others are left alone.

    Args:
        folder: of a model, or of an adapter.

    Raises:
        UserError: as `check_numbers`.
    """
    file = folder / name
    try:
        config = read_foreign_json(file)
    except (OSError, ValueError, UserError):
        return
    if isinstance(config, dict):
        check_numbers(config, file)


def _sections(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    waiting = [config]
    while waiting:
        section = waiting.pop()
        yield section
        for value in section.values():
            if isinstance(value, dict):
                waiting.append(value)
            elif isinstance(value, list):
                waiting += [one for one in value if isinstance(one, dict)]


def _largest(section: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return max((v for name in names if isinstance(v := section.get(name), int)), default=0)


def _refusal(where: object, name: str, value: float, bound: int) -> UserError:
    shown = f"{value:,}" if isinstance(value, int) and value < 10**18 else f"{value:.3g}"
    return UserError(
        f"{where}: {name} is {shown}, more than any model has ({bound:,}). The file is "
        "damaged or malicious. Download the model again."
    )
