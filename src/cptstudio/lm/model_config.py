"""config.json as mlx-lm must read it: what transformers 5 moved is put where mlx-lm looks.

transformers 5 writes the rotary position embedding as one dictionary, `rope_parameters`, by kind
of layer where the layers differ, and no `rope_theta`, `rope_scaling` or `partial_rotary_factor`
beside it. Most of mlx-lm's architectures read only those, and take a default where they are
missing: the model loads, and is another one. `normalized` adds the former names, so that both
forms stand side by side; every reader of a model's configuration goes through it, and so does
what checkpoints write. Two forms that contradict each other are refused.

Nothing here imports MLX or transformers, so the web server may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cptstudio.errors import UserError
from cptstudio.lm.architecture_rules import RULES
from cptstudio.lm.config_section import Section
from cptstudio.lm.rope_fields import add_rope_fields


def normalized(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Return a model's configuration with each field under the names that mlx-lm reads, too.

    Raises:
        UserError: two fields contradict each other; the message names both and their values.
    """
    try:
        return _normalized(config, where)
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):
        raise UserError(
            f"A field in {where} has a value of the wrong type. Download the model again."
        ) from None


def _normalized(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    result = dict(config)
    inner = config.get("text_config")
    if isinstance(inner, dict):
        model_type = str(inner.get("model_type", ""))
        # mlx-lm has two networks for Llama 4: this one, and another for the language model alone.
        inside = "llama4" if config.get("model_type") == "llama4" else model_type
        result["text_config"] = _section(inner, inside, where)
    return _section(result, str(config.get("model_type", "")), where)


def additions(config: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Return the top-level fields of `normalized` that differ from the given configuration."""
    return {
        name: value
        for name, value in normalized(config, where).items()
        if name not in config or config[name] != value
    }


def _section(config: Mapping[str, Any], model_type: str, where: object) -> dict[str, Any]:
    section = Section(dict(config), model_type, where)
    add_rope_fields(section)
    for rule in RULES.get(model_type, ()):
        rule(section)
    return section.fields
