"""The network that a run was trained as by versions that passed a base's raw config to mlx-lm.

mlx-lm's architectures take a default in silence where a field has another name than they read, so
those runs trained another network. Asked when such a run is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlx_lm.utils import _get_classes

from cptstudio.lm.description import read_model_config
from cptstudio.lm.known_differences import long_rope_context
from cptstudio.lm.model_config import normalized

_MISSING = object()


def differences(path: Path, context: int) -> list[str]:
    """Return how a base's network differed from the one of now, in words; mostly nothing.

    Args:
        context: tokens of the rows that the run trains on.

    Raises:
        UserError: the configuration cannot be read, or contradicts itself.
    """
    written = read_model_config(path)
    if written.get("model_file") is not None:
        return []  # Its own code reads what it needs.
    right = normalized(written, path / "config.json")
    found = list(_of_section(written, right, str(written["model_type"])))
    inner = right.get("text_config")
    if isinstance(inner, dict):
        found += _of_section(written["text_config"], inner, str(inner.get("model_type", "")))
    original = long_rope_context(right)
    if original is not None and context <= original:
        found.append(
            f"LongRoPE's factors for long texts in place of those for texts of up to {original:,} "
            "tokens"
        )
    return found


def _of_section(
    written: Mapping[str, Any], right: Mapping[str, Any], model_type: str
) -> Iterator[str]:
    former, present = _as_read(written, model_type), _as_read(right, model_type)
    if former is None or present is None:
        return
    for name in sorted(present.keys() & right.keys() - {"rope_parameters", "text_config"}):
        was, now = former.get(name, _MISSING), present[name]
        if name == "rope_scaling":
            was, now = _plain(was), _plain(now)
        # A size that was left open is computed from the others, to the same number.
        if was == now or (name == "head_dim" and was is None):
            continue
        yield f"{name} {_shown(was)} in place of {_shown(now)}"


def _as_read(config: Mapping[str, Any], model_type: str) -> dict[str, Any] | None:
    """The settings of mlx-lm's network; None where it cannot be built, so that no run has it."""
    try:
        _, arguments = _get_classes(config=dict(config) | {"model_type": model_type})
        return dict(vars(arguments.from_dict(dict(config))))
    except (ValueError, TypeError, KeyError, AttributeError, ImportError):
        return None


def _plain(scaling: Any) -> dict[str, Any] | None:
    """`rope_scaling` by what it does: its kind under one name, and nothing for the default kind."""
    if not isinstance(scaling, Mapping):
        return None
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind == "default":
        return None
    rest = {k: v for k, v in scaling.items() if k not in ("type", "rope_type") and v is not None}
    return {"rope_type": kind} | rest


def _shown(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:,}"
    return "nothing" if value is None or value is _MISSING else str(value)[:80]
