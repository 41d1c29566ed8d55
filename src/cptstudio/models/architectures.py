"""Which architectures mlx-lm can load, found without importing it (which would load MLX)."""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path

from cptstudio.python_source import parse_source


@functools.cache
def supported_model_types() -> frozenset[str] | None:
    """Values of a configuration's model_type that mlx-lm has a model for; None if unknown.

    mlx-lm looks for a module of the type's name in its `models` package, after a table of
    other names for the same architecture (`MODEL_REMAPPING` in its utils.py).
    """
    found = importlib.util.find_spec("mlx_lm")
    if found is None or not found.submodule_search_locations:
        return None
    package = Path(next(iter(found.submodule_search_locations)))
    own = {path.stem for path in (package / "models").glob("*.py")}
    if not own:
        return None
    try:
        other_names = _remapping((package / "utils.py").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        # Without the table an architecture might be missed: say nothing rather than that.
        return None
    return frozenset(own | {name for name, model in other_names.items() if model in own})


def _remapping(source: str) -> dict[str, str]:
    for statement in parse_source(source).body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "MODEL_REMAPPING"
            for target in statement.targets
        ):
            table = ast.literal_eval(statement.value)
            return {str(name): str(model) for name, model in table.items()}
    raise ValueError("mlx_lm/utils.py has no MODEL_REMAPPING")


def obstacle(model_type: str) -> str | None:
    """Return why a model of this type cannot be loaded; None when nothing is known against it."""
    known = supported_model_types()
    if known is None or model_type in known:
        return None
    return (
        f"mlx-lm does not support the architecture {model_type!r}. A newer mlx-lm may; "
        "until then, choose another model."
    )
